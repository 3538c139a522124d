"""What does one PredictiveScaler do, and why? The dashboard that answers it on one screen."""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard, units

from manifests.observability.panels import (
    BLUE,
    DATASOURCE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Place,
    Query,
    Words,
    graph,
    number,
    timeline,
)
from manifests.observability.panels_controller import controller_panels
from manifests.observability.promql import ONE, gauge, increase, known, rate, series
from manifests.observability.screen import Panel, Section, datasource, screen, values_of

UID = "predictive-scaler"
TITLE = "Predictive scaler"
TAG = "predictive-scaler"

_LEAD_AGO = "${lead}s"
_SERVED = f"({known('ready_replicas', ONE)} or {known('current_replicas', ONE)})"
"""What serves; where the target does not tell, what it asks for."""

_CAPACITY = f"{_SERVED} * {gauge('replica_load', ONE)}"
_MOST = f"{_SERVED} * {gauge('replica_limit_load', ONE)}"
_PEAK = f"ceil(max(max_over_time({series('load', ONE)}[$__range])) / {gauge('replica_load', ONE)})"
_MEAN = f"avg_over_time({known('current_replicas', ONE)}[$__range:$__interval])"
_SHORT = f"avg_over_time((({known('load', ONE)}) > bool ({_MOST}))[$__range:$__interval])"


def build() -> builders.Dashboard:
    """All of it; needs Grafana 10.1 or later."""
    text = (
        "What one PredictiveScaler sees, forecasts, decides and saves, and why. The i of each panel says how to read "
        "it. "
        "Loads are in the unit of the scaler's own metric."
    )
    made = screen(UID, TITLE, text, [TAG]).with_variable(datasource())
    made = made.with_variable(values_of("namespace", "Namespace", series("desired_replicas", "")))
    of_namespace = series("desired_replicas", 'namespace="$namespace"')
    made = made.with_variable(values_of("scaler", "Scaler", of_namespace))
    lead = values_of("lead", "Forecast made so many seconds before", series("forecast_load", ONE))
    made = made.with_variable(lead.sort(dashboard.VariableSort.NUMERICAL_ASC))
    for annotation in _annotations():
        made = made.annotation(annotation)
    return made


def sections() -> Iterator[Section]:
    """The rows, top down."""
    yield Section("At a glance", _glance())
    yield Section("Traffic and forecast", _traffic())
    yield Section("Replicas", _replicas())
    yield Section("Why", _why())
    yield Section("Accuracy and trust", _accuracy())
    yield Section("Savings and risk", _savings())
    yield Section("Controller health", controller_panels())


def _annotations() -> Iterator[builders.AnnotationQuery]:
    """A mark for each size that was written."""
    for name, direction, color in (("Grew", "up", GREEN), ("Shrank", "down", ORANGE)):
        changed = increase("scale_changes_total", ONE, over="$__interval", direction=direction)
        made = builders.AnnotationQuery().name(name).datasource(DATASOURCE).enable(enable=True)
        yield made.icon_color(color).expr(f"{changed} > 0")


def _glance() -> list[Panel]:
    small = Place(width=4, height=4)
    ready = f"{gauge('condition', ONE, 'type', type='Ready')} * on (type) group_left (reason) " + gauge(
        "condition_reason", ONE, "type", "reason", type="Ready"
    )
    return [
        number(
            Words(
                title="Ready",
                text="The condition Ready, by its reason: green is True. `kubectl describe psc` has the sentence with "
                "the cure.",
                alert="PredictiveScalerNotAbleToScale",
            ),
            units.NoUnit,
            Query(expr=ready, name="{{reason}}"),
            place=small,
            limits=((None, RED), (1, GREEN)),
            is_by_name=True,
        ),
        number(
            Words(
                title="What it is",
                text="Mode, target, and the model in use with its version. Observe and Paused never touch the target.",
            ),
            units.NoUnit,
            Query(
                expr=gauge("info", ONE, "mode", "kind", "target", "model"),
                name="{{mode}}: {{kind}} {{target}}, {{model}}",
            ),
            place=Place(width=8, height=4),
            is_by_name=True,
        ),
        number(
            Words(title="Replicas", text="What the target asks for now."),
            units.Short,
            Query(expr=gauge("current_replicas", ONE), name="replicas"),
            place=Place(width=3, height=4),
        ),
        number(
            Words(
                title="Trust",
                text="How far the forecast counts, 0 to 100 %. At 0 % the scaler reacts to what it sees, as an HPA "
                "does.",
                alert="PredictiveScalerForecastLosing",
            ),
            units.PercentUnit,
            Query(expr=gauge("forecast_weight", ONE), name="weight"),
            place=Place(width=3, height=4),
            limits=((None, ORANGE), (0.5, YELLOW), (0.9, GREEN)),
            decimals=0,
        ),
        number(
            Words(
                title="Short",
                text="Share of the time shown in which the load was too much for the ready replicas: more than "
                "`targetPerReplica` each, and without an objective more than the tolerance above that.",
                alert="PredictiveScalerObjectiveMissed",
            ),
            units.PercentUnit,
            Query(expr=_SHORT, name="short"),
            place=Place(width=3, height=4),
            limits=((None, GREEN), (0.01, YELLOW), (0.05, RED)),
            decimals=2,
        ),
        number(
            Words(
                title="Saved",
                text="How much smaller the workload was, on the mean of the time shown, than the fixed size that its "
                "highest "
                "load would have needed.",
            ),
            units.PercentUnit,
            Query(expr=f"1 - {_MEAN} / {_PEAK}", name="saved"),
            place=Place(width=3, height=4),
            limits=((None, ORANGE), (0, GREEN)),
            decimals=0,
        ),
    ]


def _traffic() -> list[Panel]:
    median = gauge("forecast_load", ONE, ago=_LEAD_AGO, lead="$lead", level="0.5")
    upper = gauge("forecast_load", ONE, ago=_LEAD_AGO, lead="$lead", level="!0.5")
    return [
        graph(
            Words(
                title="What came, and what was forecast for it ${lead} s before",
                text="The blue band lies where the forecast, made so many seconds earlier, put this moment: from its "
                "median "
                "to the level that is prepared for. What was seen should lie below the band's upper edge, all but a "
                "few "
                "times. Choose at the top how long before; the first choice is the scaler's own lead time, which is "
                "what "
                "decisions go by. The dashed line is what the ready replicas serve well: load above it is served "
                "badly.",
                alert="PredictiveScalerMetricsMissing",
            ),
            units.Short,
            Query(expr=gauge("load", ONE), name="seen", color=GREEN),
            Query(expr=upper, name="forecast, upper", color=BLUE, above="forecast, median"),
            Query(expr=median, name="forecast, median", color="light-blue"),
            Query(expr=gauge("demand_load", ONE, source="decided"), name="decided for", color=PURPLE),
            Query(expr=_CAPACITY, name="served well", color=GREY, is_dashed=True),
            place=Place(width=24, height=11),
        )
    ]


def _replicas() -> list[Panel]:
    highest, wanted = gauge("replicas_bound", ONE, bound="max"), gauge("desired_replicas", ONE)
    return [
        graph(
            Words(
                title="Replicas: wanted, asked for, ready",
                text="`wanted` is the last decision, `asked for` the target's own size (in mode Observe somebody "
                "else's doing), "
                "`ready` what serves, where the target tells. `by reacting` is what the load that is seen would ask "
                "for "
                "now without forecast, windows and rates: the distance up to `wanted` is what looking ahead adds. The "
                "upper bound is drawn where it is near.",
                alert="PredictiveScalerAtMax",
            ),
            units.Short,
            Query(expr=wanted, name="wanted", color=PURPLE),
            Query(expr=gauge("current_replicas", ONE), name="asked for", color=BLUE),
            Query(expr=gauge("ready_replicas", ONE), name="ready", color=GREEN),
            Query(expr=gauge("reactive_replicas", ONE), name="by reacting", color=ORANGE),
            Query(expr=f"{highest} < 2 * {wanted}", name="max", color=GREY, is_dashed=True),
            Query(expr=gauge("replicas_bound", ONE, bound="min"), name="min", color=GREY, is_dashed=True),
            place=Place(width=16, height=9),
        ),
        graph(
            Words(
                title="Sizes written",
                text="How often the size was changed, up and down. Many of both within an hour are flapping: a longer "
                "`behavior.scaleDown.stabilizationWindowSeconds`, or `behavior.maxDirectionChangesPerHour`, calms it.",
            ),
            units.Short,
            Query(expr=increase("scale_changes_total", ONE, "direction"), name="{{direction}}"),
            Query(expr=gauge("direction_changes", ONE), name="turns in the last hour", color=GREY, is_dashed=True),
            place=Place(width=8, height=9),
        ),
    ]


def _why() -> list[Panel]:
    true = {"1": ("True", GREEN), "0": ("not True", RED)}
    reasons = f"{gauge('condition', ONE, 'type')} * on (type) group_right () " + gauge(
        "condition_reason", ONE, "type", "reason"
    )
    return [
        graph(
            Words(
                title="Rules that took part in decisions",
                text="Decisions a minute by rule. `Load` sizes for the load, `Tolerance` leaves a size that is near "
                "enough, "
                "`HoldDown`, `Rate` and `FlapBudget` slow a change, `ScaleIn` keeps what is needed again soon, "
                "`Bounds` "
                "are min and max, `Hold` and `Fallback` go without a metric. `kubectl predictivescaler explain` tells "
                "the "
                "whole of any one decision.",
            ),
            units.Short,
            Query(expr=f"60 * {rate('decisions_total', ONE, 'rule')}", name="{{rule}}"),
            is_stacked=True,
        ),
        timeline(
            Words(
                title="Conditions and their reasons",
                text="A row for each reason that a condition had, green while the condition was True. Red "
                "`Forecasting` costs "
                "nothing but money: what is seen is always prepared for. The guide has every reason with its cure.",
                alert="PredictiveScalerSpecInvalid",
            ),
            Query(expr=reasons, name="{{type}}: {{reason}}"),
            values=true,
        ),
        graph(
            Words(
                title="Problems",
                text="What went wrong at a step of the ticks, by reason, within each interval shown. One now and then "
                "is "
                "tried again at the next tick and of no concern.",
                alert="PredictiveScalerInternalError",
            ),
            units.Short,
            Query(
                expr=f"{increase('errors_total', ONE, 'step', 'reason')} or on () vector(0)", name="{{step}} {{reason}}"
            ),
            place=Place(width=12, height=7),
            is_stacked=True,
        ),
        graph(
            Words(
                title="Lead time",
                text="How long a new replica is taken to need until it serves: given by the spec, or learnt from pods "
                "that "
                "started. The forecast is prepared for this far ahead, and one interval more.",
            ),
            units.Seconds,
            Query(expr=gauge("lead_time_seconds", ONE), name="lead time", color=BLUE),
            place=Place(width=12, height=7),
        ),
    ]


def _accuracy() -> list[Panel]:
    model = gauge("forecast_loss", ONE, forecaster="model")
    naive = gauge("forecast_loss", ONE, forecaster="!model")
    return [
        graph(
            Words(
                title="Loss beside the naive forecasters",
                text="Mean pinball loss of late, in units of load: less is better. `persistence` says that the load "
                "stays, "
                "`seasonal` that it is as a season before. A model above the lower of both is not worth having.",
                alert="PredictiveScalerForecastLosing",
            ),
            units.Short,
            Query(expr=gauge("forecast_loss", ONE, "forecaster"), name="{{forecaster}}"),
            place=Place(width=8, height=8),
        ),
        graph(
            Words(
                title="Coverage",
                text="Share of late windows whose highest load stayed below the upper quantile, beside the share in "
                "which it "
                "should. Below: too few replicas are prepared. Above: too many. It is told after a few forecasts.",
                alert="PredictiveScalerCoverageOff",
            ),
            units.PercentUnit,
            Query(expr=gauge("forecast_coverage_ratio", ONE), name="held", color=GREEN),
            Query(expr=gauge("forecast_coverage_nominal_ratio", ONE), name="should hold", color=GREY, is_dashed=True),
            place=Place(width=8, height=8),
            most=1.0,
        ),
        graph(
            Words(
                title="Trust",
                text="How far the forecast counts. It falls smoothly to 0 while the model loses to the naive ones, "
                "or, with an "
                "objective, while reacting alone costs less; it comes back by itself. `lost` is the model's loss in "
                "units "
                "of the better naive one's: up to 1 the weight is 1, from 1.5 it is 0.",
                alert="PredictiveScalerForecastLosing",
            ),
            units.PercentUnit,
            Query(expr=gauge("forecast_weight", ONE), name="weight", color=BLUE),
            Query(expr=f"{model} / min({naive})", name="lost", color=ORANGE),
            place=Place(width=8, height=8),
        ),
    ]


def _savings() -> list[Panel]:
    return [
        graph(
            Words(
                title="Short: measured, and what the objective allows",
                text="Only with `objective`: the share of late loads that were more than the ready replicas serve "
                "well, steered "
                "to what is allowed. Above it for hours: reach `maxReplicas` less often, or let it grow faster.",
                alert="PredictiveScalerObjectiveMissed",
            ),
            units.PercentUnit,
            Query(expr=gauge("under_provisioned_ratio", ONE), name="short", color=RED),
            Query(expr=gauge("under_provisioned_objective_ratio", ONE), name="allowed", color=GREY, is_dashed=True),
            place=Place(width=8, height=8),
        ),
        graph(
            Words(
                title="Beside a fixed size for the peak",
                text="The size, its mean, and the fixed size that the highest load of the time shown would have "
                "needed.",
            ),
            units.Short,
            Query(expr=gauge("current_replicas", ONE), name="size", color=BLUE),
            Query(expr=_MEAN, name="mean until then", color=GREEN),
            Query(expr=_PEAK, name="fixed, for the peak until then", color=RED, is_dashed=True),
            place=Place(width=8, height=8),
        ),
        graph(
            Words(
                title="Observed: replica-hours it would have had",
                text="Only in mode Observe: what this scaler would have had over 1, 7 and 14 days, beside what the "
                "workload "
                "had. The condition Recommended says by these whether to let it act.",
            ),
            units.Short,
            Query(expr=gauge("grade_replica_hours", ONE, "window", "who"), name="{{window}} {{who}}"),
            place=Place(width=4, height=8),
        ),
        graph(
            Words(
                title="Observed: minutes short",
                text="Only in mode Observe: minutes in which too few replicas would have been ready, beside those in "
                "which "
                "too few were.",
            ),
            "m",
            Query(expr=gauge("grade_under_provisioned_minutes", ONE, "window", "who"), name="{{window}} {{who}}"),
            place=Place(width=4, height=8),
        ),
    ]
