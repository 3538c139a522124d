"""When should a person look? Alerts, each about one scaler or one controller, and each with a runbook.

They hold with any number of replicas: a scaler's series come from the replica that holds it, and from two for a moment
when it changes hands. A series that is gone, or NaN, fires nothing but what is about its absence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from manifests.observability.panels import runbook
from manifests.observability.promql import EVERY, SCALER, gauge, increase, quantile, series

PREFIX = "PredictiveScaler"
KEPT = "5m"
"""So long an alert goes on when its series are gone: a controller that restarts has cured nothing."""

CRITICAL, WARNING = "critical", "warning"


def _action(text: str) -> str:
    """One action of a template of Prometheus."""
    return f"{{{{ {text} }}}}"


def _label(name: str) -> str:
    """A label of the series that fires."""
    return _action(f"$labels.{name}")


def _value(form: str) -> str:
    """The value of the series that fires, written by a function of Prometheus's templates."""
    return _action(f"$value | {form}")


_WHO = f"{_label('namespace')}/{_label('scaler')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """`name`: without the prefix; `hold`: how long it must be so; `summary`, `text`: Prometheus's templates.

    Lines of `expr`, `summary` and `text` are joined.
    """

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    text: str

    def to_yaml(self) -> dict[str, Any]:
        """As in a rule file."""
        name = f"{PREFIX}{self.name}"
        return {
            "alert": name,
            "expr": _joined(self.expr),
            "for": self.hold,
            "keep_firing_for": KEPT,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": _joined(self.summary),
                "description": _joined(self.text),
                "runbook_url": runbook(name),
            },
        }


def groups() -> list[dict[str, Any]]:
    """As in a rule file."""
    return [
        {"name": "predictive-scaler.scalers", "rules": [alert.to_yaml() for alert in (*_BROKEN, *_WEAK)]},
        {"name": "predictive-scaler.controller", "rules": [alert.to_yaml() for alert in _CONTROLLER]},
    ]


def _now(**labels: str) -> str:
    """The scalers with a condition like this."""
    return f"{gauge('condition_reason', EVERY, *SCALER, **labels)} == 1"


def _joined(text: str) -> str:
    return " ".join(text.split())


def _reason(kind: str) -> str:
    """The reason that a condition has when the alert is written."""
    selector = series("condition_reason", f"namespace='%s',scaler='%s',type='{kind}'")
    found = _action(f'with printf "{selector}" $labels.namespace $labels.scaler | query')
    return "".join((found, _action('. | first | label "reason"'), _action("else"), "unknown", _action("end")))


_IDLE = "TargetOwned|TargetScaledToZero|Paused|SpecInvalid"
_BROKEN = (
    Alert(
        name="SpecInvalid",
        expr=_now(type="Ready", reason="SpecInvalid"),
        hold="5m",
        severity=WARNING,
        summary=f"{_WHO}: the spec cannot be used",
        text=f"""
            PredictiveScaler {_WHO} does nothing: its spec is refused. The message of its condition Ready names the
            field.
        """,
    ),
    Alert(
        name="MetricsMissing",
        expr=_now(type="MetricsAvailable", status="False"),
        hold="5m",
        severity=CRITICAL,
        summary=f"{_WHO}: the load is not known ({_reason('MetricsAvailable')})",
        text=f"""
            PredictiveScaler {_WHO} cannot read its metric ({_reason("MetricsAvailable")}). It holds the size, or goes
            to its fallback; it will not grow when the load does.
        """,
    ),
    Alert(
        name="TargetOwned",
        expr=_now(type="AbleToScale", reason="TargetOwned"),
        hold="10m",
        severity=WARNING,
        summary=f"{_WHO}: another one sets its target's size",
        text=f"""
            PredictiveScaler {_WHO} does not scale: somebody else sets the replicas of its target, and it does not
            fight. The message of its condition AbleToScale names whom.
        """,
    ),
    Alert(
        name="AnotherController",
        expr=_now(type="Ready", reason="AnotherController"),
        hold="15m",
        severity=WARNING,
        summary=f"{_WHO}: two controllers decide for it",
        text=f"""
            PredictiveScaler {_WHO} is served by another controller as well, so that sizes may go back and forth. The
            message of its condition Ready names the other one.
        """,
    ),
    Alert(
        name="NotAbleToScale",
        expr=_now(type="AbleToScale", status="False", reason=f"!~{_IDLE}"),
        hold="10m",
        severity=CRITICAL,
        summary=f"{_WHO}: the target cannot be scaled ({_reason('AbleToScale')})",
        text=f"""
            PredictiveScaler {_WHO} cannot read or scale its target ({_reason("AbleToScale")}). It tries again at every
            tick.
        """,
    ),
    Alert(
        name="Stuck",
        expr=f"""
            time() - {gauge("tick_timestamp_seconds", EVERY, *SCALER)}
            > 5 * {gauge("tick_interval_seconds", EVERY, *SCALER)} + 120
        """,
        hold="5m",
        severity=CRITICAL,
        summary=f"{_WHO}: no tick for {_value('humanizeDuration')}",
        text=f"""
            PredictiveScaler {_WHO} has not ticked for {_value("humanizeDuration")}, though a controller holds it: a
            call that does not end holds it up, or the process is overloaded.
        """,
    ),
)
_EACH = gauge("replica_load", EVERY, *SCALER)
_NEEDED = f"{gauge('demand_load', EVERY, *SCALER, source='decided')} / {_EACH}"
_TOLERATED = f"({gauge('replica_limit_load', EVERY, *SCALER)} / {_EACH})"
"""What is above 1 of it is no reason to grow."""

_WEAK = (
    Alert(
        name="AtMax",
        expr=f"""
            {_NEEDED} > {gauge("replicas_bound", EVERY, *SCALER, bound="max")} * {_TOLERATED}
            and {gauge("info", EVERY, *SCALER, mode="~Active|Experiment")} == 1
        """,
        hold="15m",
        severity=WARNING,
        summary=f"{_WHO}: needs more than maxReplicas",
        text=f"""
            PredictiveScaler {_WHO} would need {_value('printf "%.1f"')} replicas for the load to be ready for, which
            is more than spec.maxReplicas allows.
        """,
    ),
    Alert(
        name="ObjectiveMissed",
        expr=_now(type="Ready", reason="ObjectiveMissed"),
        hold="1h",
        severity=WARNING,
        summary=f"{_WHO}: short more than twice as often as its objective allows",
        text=f"""
            Of late the target of PredictiveScaler {_WHO} was too small for more than twice the share of time that
            spec.objective.underProvisionedTime allows.
        """,
    ),
    Alert(
        name="ForecastLosing",
        expr=_now(type="Forecasting", reason="LosingToNaive"),
        hold="6h",
        severity=WARNING,
        summary=f"{_WHO}: the forecast loses to the naive ones",
        text=f"""
            For six hours the model of PredictiveScaler {_WHO} was worse than saying that the load stays, or is as a
            season before. It counts less than half, so the scaler mostly reacts; nothing is unsafe.
        """,
    ),
    Alert(
        name="ModelUnusable",
        expr=_now(type="Forecasting", status="False", reason="~Model.+"),
        hold="30m",
        severity=WARNING,
        summary=f"{_WHO}: no model ({_reason('Forecasting')})",
        text=f"""
            The model of PredictiveScaler {_WHO} cannot be had or breaks its contract ({_reason("Forecasting")}). The
            scaler reacts to what it sees, as an HPA does.
        """,
    ),
    Alert(
        name="CoverageOff",
        expr=f"""
            1 - {gauge("forecast_coverage_ratio", EVERY, *SCALER)}
            > 2 * (1 - {gauge("forecast_coverage_nominal_ratio", EVERY, *SCALER)}) + 0.05
        """,
        hold="6h",
        severity=WARNING,
        summary=f"""
            {_WHO}: the load is above the forecast's upper quantile in {_value("humanizePercentage")} of the cases
        """,
        text=f"""
            For six hours the upper quantile of PredictiveScaler {_WHO} was exceeded in {_value("humanizePercentage")}
            of late windows, far more often than it should be: too few replicas are prepared.
        """,
    ),
)
_KNOWN = f"max by (job) ({series('scalers', EVERY)})"
_SERVED = f"count by (job) (group by (job, namespace, scaler) ({series('tick_timestamp_seconds', EVERY)}))"
_BUG = {"reason": "InternalError"}
_CONTROLLER = (
    Alert(
        name="ControllerDown",
        expr=f"absent({series('build_info', EVERY)})",
        hold="5m",
        severity=CRITICAL,
        summary="No controller of predictive-scaler is scraped",
        text="""
            No replica of the controller runs, or Prometheus scrapes none. Targets keep their last size, and nothing
            grows.
        """,
    ),
    Alert(
        name="Unserved",
        expr=f"{_KNOWN} - ({_SERVED} or 0 * {_KNOWN}) > 0",
        hold="5m",
        severity=CRITICAL,
        summary=f"{_action('$value')} PredictiveScalers are served by nobody",
        text=f"""
            {_action("$value")} of the PredictiveScalers that the controllers know do not tick: no replica holds their
            shard.
        """,
    ),
    Alert(
        name="WatchesSilent",
        expr=f"{gauge('watches_silent', EVERY, 'job')} > 0",
        hold="5m",
        severity=WARNING,
        summary="A watch of PredictiveScalers tells nothing",
        text=f"""
            Watches of one controller that tell nothing of the changes that lists show: {_action("$value")}. Changes of
            PredictiveScalers take up to a minute to be seen; none is missed.
        """,
    ),
    Alert(
        name="TickLag",
        expr=f"{quantile(0.99, 'tick_lag_seconds', 'job', over='10m')} > 5",
        hold="15m",
        severity=WARNING,
        summary=f"Ticks begin {_value('humanizeDuration')} late",
        text=f"""
            One tick in a hundred begins {_value("humanizeDuration")} late or later: the controller has too little CPU
            or too many scalers for one replica.
        """,
    ),
    Alert(
        name="InternalError",
        expr=f"""
            {increase("errors_total", EVERY, *SCALER, "step", over="15m", **_BUG)} > 0
            or {gauge("errors_total", EVERY, *SCALER, "step", **_BUG)}
            unless {gauge("errors_total", EVERY, *SCALER, "step", ago="15m", **_BUG)}
        """,
        hold="0m",
        severity=WARNING,
        summary=f"{_WHO}: an unforeseen error at step {_label('step')}",
        text=f"""
            A tick of PredictiveScaler {_WHO} met an error at step {_label("step")} that nobody thought of. The last
            size stands; other scalers are not held up. It is a bug: the log has its trace.
        """,
    ),
)
ALERTS = (*_BROKEN, *_WEAK, *_CONTROLLER)
