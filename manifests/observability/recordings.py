"""Which figures are worth keeping for months? One series a scaler, whichever replica told it."""

from __future__ import annotations

from typing import Any

from manifests.observability.promql import EVERY, SCALER, gauge, known

LEVEL = "namespace_scaler"
KEPT = ("load", "demand_load", "desired_replicas", "current_replicas", "reactive_replicas", "forecast_weight")


def groups() -> list[dict[str, Any]]:
    """As in a rule file: the figures of now, and those of a day of them."""
    return [
        {"name": "predictive-scaler.now", "rules": [*map(_latest, KEPT), _short()]},
        {"name": "predictive-scaler.days", "interval": "5m", "rules": _days()},
    ]


def name(metric: str, operation: str) -> str:
    """Level, metric and operation, as recorded series are named."""
    return f"{LEVEL}:predictive_scaler_{metric}:{operation}"


def _latest(metric: str) -> dict[str, str]:
    """What is not known is left out."""
    which = 'source="decided"' if metric == "demand_load" else EVERY
    return {"record": name(metric, "max"), "expr": known(metric, which, *SCALER)}


def _short() -> dict[str, str]:
    """1 while the load is too much for what serves, 0 while it is not."""
    ready, current = (known(metric, EVERY, *SCALER) for metric in ("ready_replicas", "current_replicas"))
    served = f"({ready} or {current}) * {gauge('replica_limit_load', EVERY, *SCALER)}"
    return {"record": name("under_provisioned", "bool"), "expr": f"{known('load', EVERY, *SCALER)} > bool ({served})"}


def _days() -> list[dict[str, str]]:
    load, each = name("load", "max"), gauge("replica_load", EVERY, *SCALER)
    return [
        {
            "record": name("under_provisioned", "avg_1d"),
            "expr": f"avg_over_time({name('under_provisioned', 'bool')}[1d])",
        },
        {"record": name("current_replicas", "avg_1d"), "expr": f"avg_over_time({name('current_replicas', 'max')}[1d])"},
        {
            "record": name("peak_replicas", "max_1d"),
            "expr": f"ceil(max_over_time({load}[1d]) / on (namespace, scaler) {each})",
        },
    ]
