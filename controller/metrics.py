"""What does Prometheus see of the controller? Every metric it exposes; the only owner of prometheus-client."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set, Sized
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from controller import RELEASE
from controller.conditions import Condition, Status
from controller.core.calibration import MIN_SETTLED
from controller.core.comparison import Estimate
from controller.core.decide import Decision
from controller.core.experiment import Arm
from controller.core.forecast import Forecast
from controller.core.memory import Steering, TrackRecord
from controller.core.replicas import needed
from controller.core.shadow import spare
from controller.experiment import Trial
from controller.grading import Grade
from controller.outcome import Beside, Outcome, Stage
from controller.registry import Scaler
from controller.spec import ScalerSpec, SpecError

LEADS = (timedelta(minutes=30), timedelta(hours=1))  # beside the scaler's own lead
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SCALER = ("namespace", "scaler")
_GRADED = ("window", "who")
_CALL = ("service", "operation")
_M = TypeVar("_M", Gauge, Counter)
_Labels = tuple[str, ...]
_NAN = float("nan")

SERIES_OF_A_SCALER = 80
"""No scaler has more, but for a few errors and rules that it seldom meets; most have some 40."""

LABELS = {
    "namespace": "the PredictiveScaler's",
    "scaler": "its name",
    "level": "two: `0.5` and the one that is prepared for, such as `0.99`",
    "lead": "seconds, three at most: the scaler's own lead time with one interval, `1800` and `3600`",
    "source": "`seen`, `forecast`, `decided`",
    "bound": "of replicas `min` and `max`; of a difference `estimate`, `low`, `high`",
    "forecaster": "`model`, `persistence`, `seasonal`",
    "type": "of a condition, five at most: `Ready`, `MetricsAvailable`, `Forecasting`, `AbleToScale`, `Recommended`",
    "status": "`True`, `False`, `Unknown`",
    "reason": "one of those in [conditions](../guide/conditions.md); of a condition only the one that holds now",
    "mode": "of the spec: `Observe`, `Active`, `Paused`, `Experiment`; only the one that holds now",
    "kind": "of the target; only the one that holds now",
    "target": "the target's name; only the one that holds now",
    "model": "name and version of the model; only the one that holds now, empty without one",
    "rule": "one of some fifteen that [explain](../guide/explain.md) names",
    "direction": "`up`, `down`",
    "step": "of a tick: `observe`, `forecast`, `read`, `coordinate`, `lead-time`, `decide`, `act`, `report`",
    "window": "`1d`, `7d`, `14d`",
    "who": "`own`: what the scaler would have had; `actual`: what the workload had",
    "arm": "`predictive`, `reactive`",
    "figure": "`replica_hours`, `under_provisioned`",
    "service": "of AWS: five at most",
    "operation": "of that service: some ten in all",
    "scheme": "`s3`, `https`, `oci`",
    "outcome": "`new`, `unchanged`, `failed`",
    "release": "of the controller",
    "what": "became of a Lease: `taken`, `released`, `lost`, `expired`",
}
"""What each label says, and how many values there are of it: no label holds a load, a message, a time or a pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric in words: `name` as it is scraped, `kind`: gauge, counter or histogram; `labels`: keys of LABELS."""

    name: str
    kind: str
    labels: _Labels
    text: str


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
        self.families: list[Family] = []
        self._children: defaultdict[str, _Children] = defaultdict(lambda: defaultdict(dict))
        self._keys: dict[str, str] = {}
        self._specs: dict[str, ScalerSpec | SpecError] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._declare_sizes()
        self._declare_forecast()
        self._declare_steering()
        self._declare_verdicts()
        self._declare_state()
        self._declare_process()

    def _declare_sizes(self) -> None:
        """The load, and the sizes that follow."""
        self._load = self._gauge("load", "Load that is seen now.")
        self._demand = self._gauge("demand_load", "Load to be ready for, by who named it.", "source")
        self._each = self._gauge("replica_load", "Load that one replica serves well: targetPerReplica.")
        self._most = self._gauge(
            "replica_limit_load",
            "Load of one ready replica above which it is short: with the tolerance that is allowed.",
        )
        self._desired = self._gauge("desired_replicas", "Replicas that the last decision asked for.")
        self._reactive = self._gauge(
            "reactive_replicas",
            "Replicas for the load that is seen alone, within the bounds and before any other rule.",
        )
        self._bounds = self._gauge("replicas_bound", "The spec's least and most replicas.", "bound")
        self._current = self._gauge("current_replicas", "Replicas that the target asks for.")
        self._ready = self._gauge("ready_replicas", "Of the replicas, those that serve, where the target tells.")
        self._warm = self._gauge("warm_replicas", "Further ones that wait half started, where the target tells.")

    def _declare_forecast(self) -> None:
        """What is forecast, and how good that was."""
        self._forecast = self._gauge(
            "forecast_load", "Forecast load by quantile and by seconds ahead.", "level", "lead"
        )
        self._trust = self._gauge("forecast_weight", "How far the forecast counts, 0 to 1.")
        self._loss = self._gauge(
            "forecast_loss", "Mean pinball loss of late forecasts, in units of load: less is better.", "forecaster"
        )
        self._coverage = self._gauge("forecast_coverage_ratio", "Share of late forecasts whose upper quantile held.")
        self._nominal = self._gauge("forecast_coverage_nominal_ratio", "Share of them in which it should hold.")

    def _declare_steering(self) -> None:
        """What an objective came to, and by what means."""
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

    def _declare_verdicts(self) -> None:
        """What Observe and Experiment found out."""
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

    def _declare_state(self) -> None:
        """What the scaler is and did."""
        self._condition = self._gauge("condition", "1 where the condition is True, 0 where it is not.", "type")
        self._reason = self._gauge(
            "condition_reason", "1: the status and the reason that a condition has now.", "type", "status", "reason"
        )
        self._info = self._gauge("info", "1: what the scaler is now.", "mode", "kind", "target", "model")
        self._ticked = self._gauge("tick_timestamp_seconds", "When the scaler last ticked, in seconds since 1970.")
        self._interval = self._gauge("tick_interval_seconds", "How often it is meant to tick.")
        self._decisions = self._counter("decisions", "Decisions by the rule that took part.", "rule")
        self._changes = self._counter("scale_changes", "Sizes written, by direction.", "direction")
        self._errors = self._counter("errors", "Problems by the step of the tick and the reason.", "step", "reason")

    def _declare_process(self) -> None:
        """What is the controller's own and of no single scaler."""
        self._scalers = self._own_gauge("scalers", "PredictiveScalers known.")
        self._silent = self._own_gauge(
            "watches_silent",
            "Watches that tell nothing of the changes that lists show: these take up to a minute to be seen. 0: well.",
        )
        self._own_gauge("build_info", "1: the release that runs.", "release").labels(RELEASE).set(1.0)
        self._lag = self._histogram("tick_lag_seconds", "How late a scaler's tick began.")
        self._query = self._histogram("query_seconds", "How long a query to a metric system took.")
        self._called = self._histogram(
            "aws_call_seconds", "How long a call to AWS took, with what was tried again.", *_CALL
        )
        self._fetched = self._histogram(
            "model_fetch_seconds", "How long fetching a model from its place took.", "scheme", "outcome"
        )
        self._took = self._histogram("step_seconds", "How long a step of a tick took; forecast is inference.", "step")
        self._shards = self._own_gauge("shards_held", "Shards of the scalers that this replica serves.")
        self._shards.set(1.0)
        text = "Shards whose Lease this replica took, released, lost or left to expire."
        name = self._name("lease_transitions_total", "counter", text, ("what",))
        self._passed = Counter(name, text, ("what",), registry=self.registry)
        self._renewal = self._histogram("lease_renewal_seconds", "How long renewing a shard's Lease took.")

    def tell(self, scaler: Scaler, outcome: Outcome, conditions: Sequence[Condition]) -> None:
        """Take in one scaler's tick."""
        self._keys[scaler.uid] = scaler.key
        self._set(scaler, self._ticked, outcome.time.timestamp())
        self._tell_conditions(scaler, conditions)
        self._tell_spec(scaler, outcome)
        for problem in outcome.problems:
            self.failed(scaler, problem.stage, problem.reason)
        if outcome.decision is None:
            self._silence(scaler, self._load, self._demand, self._current, self._trust, self._coverage, self._loss)
            self._silence(scaler, self._short, self._shift, self._headroom, self._turns, self._lead_time)
            self._silence(scaler, self._reactive)
        else:
            self._tell_decision(scaler, outcome.decision, is_written=outcome.is_written)
            self._set(scaler, self._current, outcome.current_replicas)
            self._set(scaler, self._turns, len(outcome.memory.turns))
            self._tell_steering(scaler, outcome.decision, outcome.memory.steering)
            self._tell_losses(scaler, outcome.memory.track)
        self._tell_beside(scaler, outcome.beside)
        if outcome.lead_time is not None:
            self._set(scaler, self._lead_time, outcome.lead_time.duration.total_seconds())
        self._tell_grade(scaler, outcome.grade)
        self._tell_trial(scaler, outcome.trial)
        if outcome.forecast is None or not isinstance(scaler.spec, ScalerSpec):
            self._silence(scaler, self._forecast)
        else:
            self._tell_forecast(scaler, scaler.spec, outcome, outcome.forecast)

    def failed(self, scaler: Scaler, stage: Stage, reason: str) -> None:
        """Something went wrong at a step of a scaler's tick."""
        self._child(scaler, self._errors, (stage.value, reason)).inc()

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

    def count_silent(self, silent: Callable[[], Sized]) -> None:
        """Expose how many watches are silent, whenever that is asked."""
        self._silent.set_function(lambda: len(silent()))

    def count_shards(self, held: Callable[[], int]) -> None:
        """Expose how many shards this process serves, whenever that is asked."""
        self._shards.set_function(held)

    def renewed(self, seconds: float) -> None:
        """How long renewing a shard's Lease took."""
        self._renewal.observe(seconds)

    def passed(self, what: str) -> None:
        """A shard's Lease was taken, released or lost."""
        self._passed.labels(what).inc()

    def forget(self, uid: str) -> None:
        """Drop the series of a scaler that is gone, unless another one has its name by now."""
        key = self._keys.pop(uid, None)
        if key is not None and key not in self._keys.values():
            self._specs.pop(key, None)
            for metric, held in self._children.pop(key, {}).items():
                for labels in held:
                    metric.remove(*key.split("/"), *labels)

    def _tell_conditions(self, scaler: Scaler, conditions: Sequence[Condition]) -> None:
        told: dict[_Labels, float | None] = {(one.type.value,): float(one.status is Status.TRUE) for one in conditions}
        self._set_all(scaler, self._condition, told)
        self._mark(scaler, self._reason, {(one.type.value, one.status.value, str(one.reason)) for one in conditions})

    def _tell_spec(self, scaler: Scaler, outcome: Outcome) -> None:
        """What the spec says, once: it is frozen. Of one that is refused nothing is known."""
        spec, key = scaler.spec, scaler.key
        is_new = self._specs.get(key) is not spec
        self._specs[key] = spec
        if isinstance(spec, ScalerSpec):
            card = None if outcome.model is None else outcome.model.card
            model = "" if card is None else f"{card.name} {card.version}"
            self._mark(scaler, self._info, {(spec.mode.value, spec.target.kind, spec.target.name, model)})
            if is_new:
                self._tell_promise(scaler, spec)
        elif is_new:
            self._mark(scaler, self._info, set())
            self._silence(scaler, self._each, self._most, self._bounds, self._nominal, self._objective, self._interval)

    def _tell_promise(self, scaler: Scaler, spec: ScalerSpec) -> None:
        """What it asks for, to be held against what is measured; an objective that is gone is not known."""
        policy = spec.policy
        self._set(scaler, self._interval, spec.interval.total_seconds())
        self._set(scaler, self._each, policy.target_per_replica)
        self._set(scaler, self._most, policy.target_per_replica * (1.0 + spare(policy)))
        for direction in ("up", "down"):
            self._child(scaler, self._changes, (direction,))  # from 0 on, so that the first change is an increase
        self._set_all(scaler, self._bounds, {("min",): policy.min_replicas, ("max",): policy.max_replicas})
        self._set(scaler, self._nominal, policy.level)
        self._silence(scaler, self._objective)
        if policy.objective is not None:
            self._set(scaler, self._objective, policy.objective)

    def _tell_decision(self, scaler: Scaler, decision: Decision, *, is_written: bool) -> None:
        demand = decision.demand
        parts = {"seen": demand.seen, "forecast": demand.forecast, "decided": demand.value}
        self._set(scaler, self._load, demand.seen)
        for source, value in parts.items():
            self._set(scaler, self._demand, value, source)
        self._set(scaler, self._desired, decision.replicas)
        self._set(scaler, self._trust, demand.weight)
        self._set(scaler, self._coverage, decision.coverage)
        self._set(scaler, self._reactive, _by_reacting(scaler, demand.reactive))
        for step in decision.steps:
            self._child(scaler, self._decisions, (step.rule,)).inc()
        if is_written:
            direction = "up" if decision.replicas > decision.current else "down"
            self._child(scaler, self._changes, (direction,)).inc()

    def _tell_losses(self, scaler: Scaler, track: TrackRecord) -> None:
        """A scaler that never had a forecast has no such series, and a few forecasts say nothing."""
        if track.settled < MIN_SETTLED:
            self._silence(scaler, self._loss)
            return
        losses = {"model": track.loss, "persistence": track.loss_persistence, "seasonal": track.loss_seasonal}
        for forecaster, loss in losses.items():
            self._set(scaler, self._loss, loss / track.settled, forecaster)

    def _tell_beside(self, scaler: Scaler, beside: Beside | None) -> None:
        """Most targets tell nothing more than their size, and have no such series."""
        self._silence(scaler, self._ready, self._warm)
        if beside is not None and beside.ready is not None:
            self._set(scaler, self._ready, beside.ready)
        if beside is not None and beside.warm is not None:
            self._set(scaler, self._warm, beside.warm)

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
        leads = {_seconds(lead): outcome.time + lead for lead in _leads(spec, outcome)}
        levels = {f"{level:g}": level for level in (0.5, spec.policy.level)}
        loads: dict[_Labels, float | None] = {
            (name, lead): forecast.peak(level, at - timedelta.resolution, at)
            for lead, at in leads.items()
            for name, level in levels.items()
        }
        self._set_all(scaler, self._forecast, loads)
        self._drop_but(scaler, self._forecast, loads.keys())

    def _mark(self, scaler: Scaler, gauge: Gauge, labels: Set[_Labels]) -> None:
        """1 for each of these, and no other series: what was so before is no more."""
        held = self._children[scaler.key][gauge]
        if held.keys() != labels:
            self._drop_but(scaler, gauge, labels)
            for one in labels:
                self._set(scaler, gauge, 1.0, *one)

    def _drop_but(self, scaler: Scaler, gauge: Gauge, labels: Set[_Labels]) -> None:
        """A lead time that is learnt, or a reason, changes: each one would leave series behind."""
        held = self._children[scaler.key][gauge]
        if not held.keys() <= labels:
            for one in held.keys() - labels:
                gauge.remove(scaler.namespace, scaler.name, *one)
                del held[one]

    def _silence(self, scaler: Scaler, *gauges: Gauge) -> None:
        """What these showed is not known now."""
        children = self._children[scaler.key]
        for gauge in gauges:
            if gauge in children:
                for child in children[gauge].values():
                    cast("Gauge", child).set(_NAN)

    def _set_all(self, scaler: Scaler, gauge: Gauge, values: Mapping[_Labels, float | None]) -> None:
        """These by their labels; of others that were told before nothing is known now."""
        held = self._children[scaler.key][gauge]
        for labels, value in values.items():
            self._set(scaler, gauge, value, *labels)
        if len(held) > len(values):
            for labels in held.keys() - values.keys():
                cast("Gauge", held[labels]).set(_NAN)

    def _set(self, scaler: Scaler, gauge: Gauge, value: float | None, *labels: str) -> None:
        """What is not known is NaN, never 0 and never what it once was."""
        self._child(scaler, gauge, labels).set(_NAN if value is None else value)

    def _child(self, scaler: Scaler, metric: _M, labels: _Labels) -> _M:
        """The series of a scaler, remembered so that it can be found at once and dropped with the scaler."""
        held = self._children[scaler.key][metric]
        child = held.get(labels)
        if child is None:
            child = held[labels] = metric.labels(scaler.namespace, scaler.name, *labels)
        return cast("_M", child)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return self._own_gauge(name, text, *_SCALER, *labels)

    def _own_gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """One that is the controller's own and not a scaler's."""
        return Gauge(self._name(name, "gauge", text, labels), text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        labels = (*_SCALER, *labels)
        return Counter(self._name(f"{name}_total", "counter", text, labels), text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        name = self._name(name, "histogram", text, labels)
        return Histogram(name, text, labels, registry=self.registry, buckets=SECONDS)

    def _name(self, name: str, kind: str, text: str, labels: _Labels) -> str:
        """The whole name; the family is noted for the reference."""
        family = Family(name=f"predictive_scaler_{name}", kind=kind, labels=labels, text=text)
        self.families.append(family)
        return family.name


_Children = defaultdict[Gauge | Counter, dict[_Labels, Gauge | Counter]]


def _by_reacting(scaler: Scaler, load: float | None) -> int | None:
    """The size for `load` within the spec's bounds; None where either is not known."""
    if load is None or not isinstance(scaler.spec, ScalerSpec):
        return None
    policy = scaler.spec.policy
    return min(max(needed(load, policy), policy.min_replicas), policy.max_replicas)
