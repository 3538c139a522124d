"""What does Prometheus see of the controller? Every metric it exposes; the only owner of prometheus-client."""

from __future__ import annotations

from collections.abc import Sequence, Set, Sized
from datetime import timedelta
from typing import TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from controller.conditions import Condition, Status
from controller.core.comparison import Estimate
from controller.core.decide import Decision
from controller.core.experiment import Arm
from controller.core.forecast import Forecast
from controller.core.memory import Steering
from controller.core.policy import Policy
from controller.experiment import Trial
from controller.grading import Grade
from controller.outcome import Beside, Outcome, Stage
from controller.registry import Scaler
from controller.spec import ScalerSpec

LEADS = (timedelta(minutes=30), timedelta(hours=1))  # beside the scaler's own lead
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SCALER = ("namespace", "scaler")
_GRADED = ("window", "who")
_CALL = ("service", "operation")
_M = TypeVar("_M", Gauge, Counter)


def _leads(spec: ScalerSpec, outcome: Outcome) -> tuple[timedelta, ...]:
    """The scaler's own, where it is known, and those of all."""
    if outcome.lead_time is not None:
        return outcome.lead_time.duration + spec.policy.interval, *LEADS
    return LEADS if spec.lead_time_auto else (spec.policy.window, *LEADS)


def _seconds(lead: timedelta) -> str:
    return f"{lead.total_seconds():g}"


class Metrics:
    """The controller's metrics, in a registry of their own. Loads are in the unit of the scaler's metric."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # else each counter has a second series
        self.registry = CollectorRegistry()
        self._children: dict[str, dict[tuple[Gauge | Counter, tuple[str, ...]], Gauge | Counter]] = {}
        self._keys: dict[str, str] = {}
        self._load = self._gauge("load", "Load that is seen now.")
        self._forecast = self._gauge(
            "forecast_load", "Forecast load by quantile and by seconds ahead.", "level", "lead"
        )
        self._demand = self._gauge("demand_load", "Load to be ready for, by who named it.", "source")
        self._desired = self._gauge("desired_replicas", "Replicas that the last decision asked for.")
        self._current = self._gauge("current_replicas", "Replicas that the target asks for.")
        self._ready = self._gauge("ready_replicas", "Of the replicas, those that serve, where the target tells.")
        self._warm = self._gauge("warm_replicas", "Further ones that wait half started, where the target tells.")
        self._trust = self._gauge("forecast_weight", "How far the forecast counts, 0 to 1.")
        self._coverage = self._gauge("forecast_coverage_ratio", "Share of late forecasts whose upper quantile held.")
        self._nominal = self._gauge("forecast_coverage_nominal_ratio", "Share of them in which it should hold.")
        self._short = self._gauge(
            "under_provisioned_ratio", "Share of late loads that were more than the ready replicas serve well."
        )
        self._objective = self._gauge("under_provisioned_objective_ratio", "Share of them that the objective allows.")
        self._shift = self._gauge(
            "steering_shift", "Units of the forecast's doubt that are added to meet the objective."
        )
        self._headroom = self._gauge(
            "steering_headroom", "Factor on the load that is seen, where no forecast is trusted."
        )
        self._lead_time = self._gauge("lead_time_seconds", "How long a new replica is taken to need until it serves.")
        self._turns = self._gauge("direction_changes", "Turns from growing to shrinking or back within the last hour.")
        self._grade_replicas = self._gauge(
            "grade_replica_hours", "Replica-hours of what mode Observe would have had, and of what was.", *_GRADED
        )
        self._grade_short = self._gauge(
            "grade_under_provisioned_minutes", "Minutes in which too few replicas were ready, of both.", *_GRADED
        )
        self._grade_known = self._gauge("grade_known_hours", "Time that the grade speaks of.", "window")
        self._arm = self._gauge("experiment_arm", "1 for the arm of the experiment that decides, 0 for others.", "arm")
        self._window = self._gauge("experiment_window", "The window of the experiment, from 1; NaN before and after.")
        self._pairs = self._gauge("experiment_pairs", "Pairs of windows of the experiment that can be compared.")
        self._difference = self._gauge(
            "experiment_difference",
            "By how much the predictive arm is above the reactive one, and the bounds of that: of replica_hours in an "
            "hour, and of the under_provisioned share of the time.",
            *("figure", "bound"),
        )
        self._condition = self._gauge("condition", "1 where the condition is True, 0 where it is not.", "type")
        self._decisions = self._counter("decisions", "Decisions by the rule that took part.", "rule")
        self._changes = self._counter("scale_changes", "Sizes written, by direction.", "direction")
        self._errors = self._counter("errors", "Problems by the step of the tick and the reason.", "step", "reason")
        self._scalers = Gauge("predictive_scaler_scalers", "PredictiveScalers known.", registry=self.registry)
        self._lag = self._histogram("tick_lag_seconds", "How late a scaler's tick began.")
        self._query = self._histogram("query_seconds", "How long a query to a metric system took.")
        self._called = self._histogram(
            "aws_call_seconds", "How long a call to AWS took, with what was tried again.", *_CALL
        )
        self._fetched = self._histogram(
            "model_fetch_seconds", "How long fetching a model from its place took.", "scheme", "outcome"
        )
        self._took = self._histogram("step_seconds", "How long a step of a tick took; forecast is inference.", "step")

    def tell(self, scaler: Scaler, outcome: Outcome, conditions: Sequence[Condition]) -> None:
        """Take in one scaler's tick."""
        self._keys[scaler.uid] = scaler.key
        self._silence(scaler, self._condition)
        for condition in conditions:
            self._set(scaler, self._condition, float(condition.status is Status.TRUE), condition.type.value)
        for problem in outcome.problems:
            self.failed(scaler, problem.stage, problem.reason)
        if outcome.decision is None:
            self._silence(scaler, self._load, self._demand, self._current, self._trust, self._coverage)
            self._silence(scaler, self._short, self._shift, self._headroom, self._turns, self._lead_time)
        else:
            self._tell_decision(scaler, outcome.decision, is_written=outcome.is_written)
            self._set(scaler, self._current, outcome.current_replicas)
            self._set(scaler, self._turns, len(outcome.memory.turns))
            self._tell_steering(scaler, outcome.decision, outcome.memory.steering)
        self._tell_beside(scaler, outcome.beside)
        if isinstance(scaler.spec, ScalerSpec):
            self._tell_promise(scaler, scaler.spec.policy)
        if outcome.lead_time is not None:
            self._set(scaler, self._lead_time, outcome.lead_time.duration.total_seconds())
        self._tell_grade(scaler, outcome.grade)
        self._tell_trial(scaler, outcome.trial)
        self._silence(scaler, self._forecast)
        if outcome.forecast is not None and isinstance(scaler.spec, ScalerSpec):
            self._tell_forecast(scaler, scaler.spec, outcome, outcome.forecast)

    def failed(self, scaler: Scaler, stage: Stage, reason: str) -> None:
        """Something went wrong at a step of a scaler's tick."""
        self._child(scaler, self._errors, stage.value, reason).inc()

    def queried(self, seconds: float) -> None:
        """How long a query took."""
        self._query.observe(seconds)

    def called(self, service: str, operation: str, seconds: float) -> None:
        """How long a call to AWS took; from any thread."""
        self._called.labels(service, operation).observe(seconds)

    def fetched(self, scheme: str, outcome: str, seconds: float) -> None:
        """How long fetching a model took; `outcome`: new, unchanged or failed."""
        self._fetched.labels(scheme, outcome).observe(seconds)

    def took(self, stage: Stage, seconds: float) -> None:
        """How long a shared step of a tick took."""
        self._took.labels(stage.value).observe(seconds)

    def lagged(self, lag: timedelta) -> None:
        """How late a scaler's tick began."""
        self._lag.observe(lag.total_seconds())

    def count(self, scalers: Sized) -> None:
        """Expose how many PredictiveScalers are known, whenever that is asked."""
        self._scalers.set_function(lambda: len(scalers))

    def forget(self, uid: str) -> None:
        """Drop the series of a scaler that is gone, unless another one has its name by now."""
        key = self._keys.pop(uid, None)
        if key is not None and key not in self._keys.values():
            for metric, labels in self._children.pop(key, {}):
                metric.remove(*labels)

    def _tell_decision(self, scaler: Scaler, decision: Decision, *, is_written: bool) -> None:
        demand = decision.demand
        parts = {"seen": demand.seen, "forecast": demand.forecast, "decided": demand.value}
        self._set(scaler, self._load, demand.seen)
        for source, value in parts.items():
            self._set(scaler, self._demand, value, source)
        self._set(scaler, self._desired, decision.replicas)
        self._set(scaler, self._trust, demand.weight)
        self._set(scaler, self._coverage, decision.coverage)
        for step in decision.steps:
            self._child(scaler, self._decisions, step.rule).inc()
        if is_written:
            direction = "up" if decision.replicas > decision.current else "down"
            self._child(scaler, self._changes, direction).inc()

    def _tell_beside(self, scaler: Scaler, beside: Beside | None) -> None:
        """Most targets tell nothing more than their size, and have no such series."""
        self._silence(scaler, self._ready, self._warm)
        if beside is not None and beside.ready is not None:
            self._set(scaler, self._ready, beside.ready)
        if beside is not None and beside.warm is not None:
            self._set(scaler, self._warm, beside.warm)

    def _tell_promise(self, scaler: Scaler, policy: Policy) -> None:
        """What the spec asks for, to be held against what is measured; an objective that is gone is not known."""
        self._set(scaler, self._nominal, policy.level)
        if policy.objective is None:
            self._silence(scaler, self._objective)
        else:
            self._set(scaler, self._objective, policy.objective)

    def _tell_steering(self, scaler: Scaler, decision: Decision, steering: Steering) -> None:
        """Without an objective nothing is steered, and a scaler that never had one has no such series."""
        if decision.under_provisioned is None:
            self._silence(scaler, self._short, self._shift, self._headroom)
            return
        self._set(scaler, self._short, decision.under_provisioned)
        self._set(scaler, self._shift, steering.shift)
        self._set(scaler, self._headroom, steering.headroom)

    def _tell_grade(self, scaler: Scaler, grade: Grade | None) -> None:
        """Only while it is kept: what was true two weeks before a scaler began to act says nothing now."""
        if grade is None or grade.shadow is None:
            self._silence(scaler, self._grade_replicas, self._grade_short, self._grade_known)
            return
        for length, tally in grade.windows().items():
            window = f"{length.days}d"
            self._set(scaler, self._grade_known, tally.known / 3600.0, window)
            for who, replicas, short in (
                ("own", tally.own_replicas, tally.own_short),
                ("actual", tally.actual_replicas, tally.actual_short),
            ):
                self._set(scaler, self._grade_replicas, replicas / 3600.0, window, who)
                self._set(scaler, self._grade_short, short / 60.0, window, who)

    def _tell_trial(self, scaler: Scaler, trial: Trial | None) -> None:
        self._silence(scaler, self._arm, self._window, self._pairs, self._difference)
        if trial is None:
            return
        if trial.turn is not None:
            self._set(scaler, self._window, trial.turn.window)
            for arm in Arm:
                self._set(scaler, self._arm, float(arm is trial.turn.arm), arm.value)
        if trial.comparison is not None:
            self._set(scaler, self._pairs, trial.comparison.pairs)
            self._tell_difference(scaler, "replica_hours", trial.comparison.replica_hours)
            self._tell_difference(scaler, "under_provisioned", trial.comparison.under_provisioned)

    def _tell_difference(self, scaler: Scaler, figure: str, estimate: Estimate) -> None:
        bounds = {"estimate": estimate.difference, "low": estimate.low, "high": estimate.high}
        for bound, value in bounds.items():
            self._set(scaler, self._difference, value, figure, bound)

    def _tell_forecast(self, scaler: Scaler, spec: ScalerSpec, outcome: Outcome, forecast: Forecast) -> None:
        leads = _leads(spec, outcome)
        for lead in leads:
            for level in (0.5, spec.policy.level):
                at = outcome.time + lead
                load = forecast.peak(level, at - timedelta.resolution, at)
                self._set(scaler, self._forecast, load, f"{level:g}", _seconds(lead))
        self._drop_leads_but(scaler, {_seconds(lead) for lead in leads})

    def _drop_leads_but(self, scaler: Scaler, leads: Set[str]) -> None:
        """A lead time that is learnt changes with the pods: each one would leave series behind."""
        children = self._children[scaler.key]
        for metric, labels in [key for key in children if key[0] is self._forecast and key[1][-1] not in leads]:
            metric.remove(*labels)
            del children[metric, labels]

    def _silence(self, scaler: Scaler, *gauges: Gauge) -> None:
        """What these showed is not known now."""
        for (metric, _), child in self._children.get(scaler.key, {}).items():
            if metric in gauges:
                cast("Gauge", child).set(float("nan"))

    def _set(self, scaler: Scaler, gauge: Gauge, value: float | None, *labels: str) -> None:
        """What is not known is NaN, never 0 and never what it once was."""
        self._child(scaler, gauge, *labels).set(float("nan") if value is None else value)

    def _child(self, scaler: Scaler, metric: _M, *labels: str) -> _M:
        """The series of a scaler, remembered so that it can be found at once and dropped with the scaler."""
        values = (scaler.namespace, scaler.name, *labels)
        children = self._children.setdefault(scaler.key, {})
        child = children.get((metric, values))
        if child is None:
            child = children[metric, values] = metric.labels(*values)
        return cast("_M", child)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"predictive_scaler_{name}", text, (*_SCALER, *labels), registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"predictive_scaler_{name}", text, (*_SCALER, *labels), registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"predictive_scaler_{name}", text, labels, registry=self.registry, buckets=SECONDS)
