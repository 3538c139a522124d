"""How is a metric of ours asked for? PromQL that holds whichever replica tells it, and also while two do.

A scaler's series come from the replica that holds it. During a fail-over both may be there for a scrape, and each
restart begins a new `pod` and `instance`: so every query is a maximum over replicas, or a sum of rates.
"""

from __future__ import annotations

PREFIX = "predictive_scaler_"
ONE = 'namespace="$namespace",scaler="$scaler"'
"""The scaler that a dashboard is about, by Grafana's variables."""

MANY = 'namespace=~"$namespace"'
EVERY = ""
SCALER = ("namespace", "scaler")


def gauge(name: str, which: str, *by: str, ago: str = "", **labels: str) -> str:
    """One value for each of `by`; NaN only where no replica knows. `ago`: as it was so long before."""
    offset = f" offset {ago}" if ago else ""
    return f"max{_by(by)} ({series(name, which, **labels)}{offset})"


def known(name: str, which: str, *by: str, **labels: str) -> str:
    """As `gauge`, without what is NaN: for sums and means over time. Of what is never negative."""
    return f"({gauge(name, which, *by, **labels)} >= 0)"


def rate(name: str, which: str, *by: str, over: str = "$__rate_interval", **labels: str) -> str:
    """Of a counter, per second."""
    return f"sum{_by(by)} (rate({series(name, which, **labels)}[{over}]))"


def increase(name: str, which: str, *by: str, over: str = "$__rate_interval", **labels: str) -> str:
    """Of a counter, in `over`."""
    return f"sum{_by(by)} (increase({series(name, which, **labels)}[{over}]))"


def quantile(level: float, name: str, *by: str, over: str = "$__rate_interval") -> str:
    """Of a histogram of the controller's own."""
    buckets = rate(f"{name}_bucket", EVERY, "le", *by, over=over)
    return f"histogram_quantile({level:g}, {buckets})"


def series(name: str, which: str, **labels: str) -> str:
    """A plain selector. `labels`: equal to these; a value that begins with ~ or ! is another matcher."""
    matchers = [which, *(_matcher(label, value) for label, value in labels.items())]
    found = ",".join(matcher for matcher in matchers if matcher)
    return f"{PREFIX}{name}{{{found}}}" if found else f"{PREFIX}{name}"


def _matcher(label: str, value: str) -> str:
    for sign in ("!~", "!", "~"):
        if value.startswith(sign):
            operator = {"!~": "!~", "!": "!=", "~": "=~"}[sign]
            return f'{label}{operator}"{value.removeprefix(sign)}"'
    return f'{label}="{value}"'


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
