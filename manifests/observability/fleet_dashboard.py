"""How are all PredictiveScalers? One row each, those in most trouble first."""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import units

from manifests.observability.panels import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Column,
    Place,
    Query,
    Words,
    columns,
    graph,
    number,
)
from manifests.observability.panels_controller import controller_panels
from manifests.observability.promql import MANY, SCALER, gauge, increase, known, series
from manifests.observability.scaler_dashboard import TAG
from manifests.observability.screen import Panel, Section, datasource, screen, values_of

UID = "predictive-scaler-fleet"
TITLE = "Predictive scalers: fleet"

_READY = gauge("condition", MANY, *SCALER, type="Ready")
_LOSING = gauge("condition_reason", MANY, *SCALER, type="Forecasting", status="False")
_MISSED = gauge("condition_reason", MANY, *SCALER, reason="ObjectiveMissed")
_NONE = f"(0 * {_READY})"
_NEEDED = gauge("demand_load", MANY, *SCALER, source="decided")
_MOST = f"({gauge('replicas_bound', MANY, *SCALER, bound='max')} * {gauge('replica_limit_load', MANY, *SCALER)})"
_TROUBLE = (
    f"8 * (1 - {_READY}) + 4 * ({_MISSED} or {_NONE}) "
    f"+ 2 * (({_NEEDED} > bool {_MOST}) or {_NONE}) + ({_LOSING} or {_NONE})"
)


def build() -> builders.Dashboard:
    """All of it; needs Grafana 10.1 or later."""
    text = "All PredictiveScalers of the chosen namespaces, those in most trouble first."
    made = screen(UID, TITLE, text, [TAG]).with_variable(datasource())
    namespaces = values_of("namespace", "Namespace", series("desired_replicas", ""))
    return made.with_variable(namespaces.multi(multi=True).include_all(include_all=True).all_value(".*"))


def sections() -> Iterator[Section]:
    """The rows, top down."""
    yield Section("At a glance", _glance())
    yield Section("Scalers", [_table()])
    yield Section("Over time", _over_time())
    yield Section("Controller health", controller_panels())


def _glance() -> list[Panel]:
    bad = ((None, GREEN), (1, RED))
    return [
        number(
            Words(title="Scalers", text="PredictiveScalers that were told of."),
            units.Short,
            Query(expr=f"count({_READY})", name="scalers"),
        ),
        number(
            Words(title="Not ready", text="They hold their size.", alert="PredictiveScalerNotAbleToScale"),
            units.Short,
            Query(expr=f"count({_READY} == 0) or on () vector(0)", name="not ready"),
            limits=bad,
        ),
        number(
            Words(title="Without metric", text="Their load is not known.", alert="PredictiveScalerMetricsMissing"),
            units.Short,
            Query(expr=_with(type="MetricsAvailable", status="False"), name="without metric"),
            limits=bad,
        ),
        number(
            Words(
                title="Without forecast", text="They react to what they see.", alert="PredictiveScalerForecastLosing"
            ),
            units.Short,
            Query(expr=_with(type="Forecasting", status="False"), name="without forecast"),
            limits=((None, GREEN), (1, YELLOW)),
        ),
        number(
            Words(title="At max", text="They want more than maxReplicas.", alert="PredictiveScalerAtMax"),
            units.Short,
            Query(expr=f"count({_NEEDED} > {_MOST}) or on () vector(0)", name="at max"),
            limits=((None, GREEN), (1, ORANGE)),
        ),
        number(
            Words(title="Replicas", text="Of all targets together."),
            units.Short,
            Query(expr=f"sum({known('current_replicas', MANY, *SCALER)})", name="replicas"),
        ),
    ]


def _with(**labels: str) -> str:
    return f"count({gauge('condition_reason', MANY, *SCALER, **labels)}) or on () vector(0)"


def _table() -> Panel:
    yes = {"1": ("yes", GREEN), "0": ("no", RED)}
    gap = (
        f"{gauge('forecast_coverage_ratio', MANY, *SCALER)} - {gauge('forecast_coverage_nominal_ratio', MANY, *SCALER)}"
    )
    late = f"time() - {gauge('tick_timestamp_seconds', MANY, *SCALER)}"
    of_info = ("mode", "kind", "target", "model")
    asked = [
        Column(expr=_TROUBLE, title="trouble", limits=((None, GREEN), (1, YELLOW), (8, RED))),
        Column(expr=_READY, title="ready", values=yes),
        Column(expr=gauge("condition_reason", MANY, *SCALER, "reason", type="Ready"), labels=("reason",)),
        Column(expr=gauge("info", MANY, *SCALER, *of_info), labels=of_info),
        Column(expr=gauge("current_replicas", MANY, *SCALER), title="replicas"),
        Column(expr=gauge("desired_replicas", MANY, *SCALER), title="wanted"),
        Column(expr=gauge("replicas_bound", MANY, *SCALER, bound="max"), title="max"),
        Column(expr=gauge("forecast_weight", MANY, *SCALER), title="trust", unit=units.PercentUnit),
        Column(expr=gap, title="coverage beside nominal", unit=units.PercentUnit),
        Column(expr=late, title="last tick", unit=units.Seconds, limits=((None, GREEN), (600, RED))),
    ]
    words = Words(
        title="Those in most trouble first",
        text="Trouble: 8 not ready, 4 an objective that is missed, 2 more load than maxReplicas serve, 1 no forecast "
        "that counts.",
    )
    return columns(words, asked, keys=SCALER, worst="trouble", place=Place(width=24, height=12))


def _over_time() -> list[Panel]:
    wanted, reactive = (known(name, MANY, *SCALER) for name in ("desired_replicas", "reactive_replicas"))
    return [
        graph(
            Words(
                title="Replicas of all",
                text="What is wanted, and what the loads that are seen would ask for now by reacting alone.",
            ),
            units.Short,
            Query(expr=f"sum({wanted})", name="wanted", color=BLUE),
            Query(expr=f"sum({reactive})", name="by reacting", color=ORANGE),
        ),
        graph(
            Words(title="Sizes written", text="Changes of all targets within each interval shown."),
            units.Short,
            Query(expr=increase("scale_changes_total", MANY, "direction"), name="{{direction}}"),
        ),
    ]
