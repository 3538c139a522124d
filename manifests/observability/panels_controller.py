"""Is the controller itself well? The panels about its replicas, shared by the dashboards."""

from __future__ import annotations

from grafana_foundation_sdk.models import units

from manifests.observability.panels import GREEN, ORANGE, RED, Place, Query, Words, graph
from manifests.observability.promql import EVERY, increase, quantile, series
from manifests.observability.screen import Panel

_OURS = f"on (job, instance) group_left () {series('build_info', EVERY)}"
"""The process metrics that every program has: only the controller's."""


def controller_panels() -> list[Panel]:
    """Of all of its replicas."""
    third = Place(width=8, height=7)
    return [
        graph(
            Words(
                title="How late ticks begin",
                text="A tick that begins late decides late. Seconds are much: the process has too little CPU, or too "
                "many "
                "scalers for one replica; add shards.",
                alert="PredictiveScalerTickLag",
            ),
            units.Seconds,
            Query(expr=quantile(0.5, "tick_lag_seconds"), name="half", color=GREEN),
            Query(expr=quantile(0.99, "tick_lag_seconds"), name="99 %", color=ORANGE),
            place=third,
        ),
        graph(
            Words(
                title="How long the steps of a tick take",
                text="99 % take less: observe asks the metric systems, forecast runs the models.",
            ),
            units.Seconds,
            Query(expr=quantile(0.99, "step_seconds", "step"), name="{{step}}"),
            Query(expr=quantile(0.99, "query_seconds"), name="one query", color=RED),
            place=third,
        ),
        graph(
            Words(
                title="Problems of all scalers",
                text="By step and reason, within each interval shown.",
                alert="PredictiveScalerInternalError",
            ),
            units.Short,
            Query(
                expr=f"{increase('errors_total', EVERY, 'step', 'reason')} or on () vector(0)",
                name="{{step}} {{reason}}",
            ),
            place=third,
            is_stacked=True,
        ),
        graph(
            Words(
                title="Memory",
                text="Resident memory of each replica. It grows with the scalers and the histories that their models "
                "need.",
            ),
            units.BytesIEC,
            Query(expr=f"process_resident_memory_bytes * {_OURS}", name="{{instance}}"),
            place=Place(width=6, height=7),
        ),
        graph(
            Words(title="CPU", text="Cores that each replica uses. One is the most that ticks can use."),
            units.Short,
            Query(expr=f"rate(process_cpu_seconds_total[$__rate_interval]) * {_OURS}", name="{{instance}}"),
            place=Place(width=6, height=7),
        ),
        graph(
            Words(
                title="Shards held",
                text="How many shards each replica serves: with one shard the leader has 1 and the others 0. None "
                "held by "
                "anybody for more than 15 s is an outage. `taken`, `released`, `lost` and `expired` count changes of "
                "hands.",
                alert="PredictiveScalerUnserved",
            ),
            units.Short,
            Query(expr=series("shards_held", EVERY), name="{{instance}}"),
            Query(expr=increase("lease_transitions_total", EVERY, "what"), name="{{what}}"),
            place=Place(width=6, height=7),
        ),
        graph(
            Words(
                title="Scalers known and served",
                text="Known to the controller, and ticking within their interval. Those that are known and not served "
                "get "
                "no decisions.",
                alert="PredictiveScalerUnserved",
            ),
            units.Short,
            Query(expr=f"max({series('scalers', EVERY)})", name="known"),
            Query(expr=f"count(max by (namespace, scaler) ({series('tick_timestamp_seconds', EVERY)}))", name="served"),
            place=Place(width=6, height=7),
        ),
    ]
