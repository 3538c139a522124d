"""What can be measured of the controller? Its metrics as a page for people, from the code that exposes them."""

from __future__ import annotations

from controller.metrics import LABELS, SERIES_OF_A_SCALER, Family, Metrics
from manifests.install import ROOT

FILE = ROOT / "docs/reference/metrics.md"
HEAD = f"""\
# Metrics

<!-- Written by `make manifests` from controller/metrics.py; change that instead. -->

`/metrics` on the HTTP port, in Prometheus's text format. Loads are in the unit of the scaler's own metric. What is not
known is `NaN`, never 0 and never what it once was; a scaler that is gone, or that another replica serves, leaves no
series.

A scaler has some 40 series, and {SERIES_OF_A_SCALER} where it has all that can be had; a histogram of the controller's
own has some 15 for each set of its labels. Of labels that change, such as a condition's reason, only the present one is
there. [Observe](../guide/observe.md) has the dashboards, the alerts, and the one setting that a scrape needs,
`honorLabels: true`.

"""
TABLE = "| metric | type | labels | meaning |\n|---|---|---|---|\n"
PROCESS = """\

## Of the process

`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`,
`process_start_time_seconds`, `process_open_fds`, `process_max_fds` and `python_info`, as of every Python program.
"""
_SCALER = ("namespace", "scaler")


def page() -> str:
    """The whole page."""
    families = Metrics().families
    scalers = [one for one in families if one.labels[: len(_SCALER)] == _SCALER]
    others = [one for one in families if one not in scalers]
    parts = [HEAD, "## Of each scaler\n\nAll with the labels `namespace` and `scaler`.\n\n", _table(scalers)]
    parts += ["\n## Of the controller\n\n", _table(others), PROCESS, "\n## Labels\n\n| label | values |\n|---|---|\n"]
    return "".join([*parts, *(f"| `{name}` | {values} |\n" for name, values in LABELS.items())])


def _table(families: list[Family]) -> str:
    return TABLE + "".join(_row(family) for family in families)


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels if label not in _SCALER)
    return f"| `{family.name}` | {family.kind} | {labels} | {family.text} |\n"
