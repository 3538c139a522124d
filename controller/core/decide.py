"""How many replicas, and why? The only way into the core.

Decides on data and returns data: nothing is read, written or logged here, and `now` is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.core import calibration, demand, guardrails, replicas, rivals
from controller.core.demand import Demand, DemandSource
from controller.core.forecast import Forecast
from controller.core.memory import Memory, Recommendation, Rivals, Steering, TrackRecord
from controller.core.policy import Policy
from controller.core.series import Observation
from controller.core.steering import steered


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule's part in a decision, in words built from the values it used."""

    rule: str
    before: int
    after: int
    why: str

    def __str__(self) -> str:
        change = f" {self.before} -> {self.after}" if self.before != self.after else ""
        return f"{self.rule}{change}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`replicas` to ask for at `time`, given `current`; `steps` tell why, also when nothing changes.

    `coverage`: the share of late forecasts whose upper quantile held, None while too few are known.
    `under_provisioned`: the share of late loads that were more than the ready replicas serve well; None without an
    objective.
    """

    time: datetime
    current: int
    replicas: int
    demand: Demand
    steps: tuple[Step, ...]
    coverage: float | None
    under_provisioned: float | None = None

    @property
    def message(self) -> str:
        """The whole reason in one line."""
        return "; ".join(str(step) for step in self.steps)


def decide(
    now: datetime,
    observation: Observation | None,
    forecast: Forecast | None,
    current: int,
    policy: Policy,
    memory: Memory,
) -> tuple[Decision, Memory]:
    """The size to ask for now, and what the next decision must know.

    `observation` None: the metric system gave nothing at all. `forecast` None: be reactive. `current`: replicas asked
    of the target at present; 0 means that somebody switched it off, and it stays off, as with an HPA.
    """
    keep = max(policy.longest_period, policy.max_age + policy.window)
    memory = memory.noticing(now, current, since=now - policy.interval, keep=keep)
    worth = demand.worthy(policy, memory.rivals, memory.steering)
    track, steering = _learnt(observation, forecast, policy, memory, worth)
    latest = None if observation is None else observation.latest
    load = demand.assess(now, latest, forecast, policy, track=track, steering=steering, worth=worth)
    problem = "the metric system gave nothing" if observation is None else observation.problem
    wish, wishes, last_metric = _wish(now, load, problem, current, policy, memory)
    memory = replace(
        memory,
        recommendations=wishes,
        last_metric=last_metric,
        track=track,
        steering=steering,
        rivals=memory.rivals if current == 0 else _planned(now, load, policy, memory),
    )
    steps = (wish,) if current == 0 else (wish, *_bounded(now, wish.after, load, current, policy, memory))
    decision = Decision(
        time=now,
        current=current,
        replicas=steps[-1].after,
        demand=load,
        steps=steps,
        coverage=calibration.coverage(track),
        under_provisioned=None if policy.objective is None else steering.under_provisioned,
    )
    return decision, memory


def _learnt(
    observation: Observation | None, forecast: Forecast | None, policy: Policy, memory: Memory, worth: float
) -> tuple[TrackRecord, Steering]:
    """What came since the last decision, held against what was said and done."""
    if observation is None:
        return memory.track, memory.steering
    record = calibration.updated(memory.track, observation.history, forecast, policy)
    if policy.objective is None:
        return record, memory.steering
    weight = min(worth, demand.skilled(forecast, policy, memory.track))
    return record, steered(memory, observation.latest, weight, policy)


def _wish(
    now: datetime, load: Demand, problem: str | None, current: int, policy: Policy, memory: Memory
) -> tuple[Step, tuple[Recommendation, ...], datetime | None]:
    """What the load asks for before any rail; the wishes to remember; and when there was a load to ask."""
    last_metric = memory.last_metric if load.value is None else now
    if current == 0:
        why = "the target is scaled to 0; scale it up to hand it back"
        return Step(rule="Disabled", before=0, after=0, why=why), memory.recommendations, last_metric
    last_metric = last_metric or now
    if load.value is None:
        step = _without_metric(now - last_metric, problem, current, policy)
    else:
        step = _by_load(load, load.value, current, policy)
    earlier = _earlier_wishes(now, current, policy, memory)
    wishes = guardrails.remembered(now, step.after, policy, earlier, is_held=load.value is None)
    return step, wishes, last_metric


def _planned(now: datetime, load: Demand, policy: Policy, memory: Memory) -> Rivals:
    """What going by the forecast and reacting would each ask for, where there is a choice."""
    if policy.objective is None or load.seen is None or load.reactive is None:
        return memory.rivals
    by_forecast = None if load.forecast is None else _sized(max(load.seen, load.forecast), policy)
    by_reacting = _sized(load.reactive, policy)
    return rivals.planned(now, load.seen, by_forecast, by_reacting, policy, memory)


def _sized(load: float, policy: Policy) -> int:
    return min(max(replicas.needed(load, policy), policy.min_replicas), policy.max_replicas)


def _earlier_wishes(now: datetime, current: int, policy: Policy, memory: Memory) -> tuple[Recommendation, ...]:
    """Where decisions are missing, at first and after a pause or an outage, the size that stood was the wish till now.

    Else the first glance at a load that nobody watched could shrink a target as if a whole window had been calm.
    """
    wishes = memory.recommendations
    if wishes and now - wishes[-1].time <= policy.max_age:
        return wishes
    return (*wishes, Recommendation(time=now, replicas=current))


def _by_load(load: Demand, value: float, current: int, policy: Policy) -> Step:
    needed = replicas.needed(value, policy)
    share = f"{_named(load)} load {value:.6g} / {policy.target_per_replica:g} per replica"
    if replicas.is_tolerable(value, current, policy):
        return Step(rule="Tolerance", before=current, after=current, why=f"{share} is within tolerance of {current}")
    return Step(rule="Load", before=current, after=needed, why=f"{share} needs {needed}")


def _without_metric(missing: timedelta, problem: str | None, current: int, policy: Policy) -> Step:
    """Absence never shrinks: hold, and after a while be no smaller than the fallback."""
    fallback = policy.fallback
    words = f"no usable metric for {missing.total_seconds():.0f} s ({problem or 'the last value is too old'})"
    if fallback.replicas is None or missing < fallback.after:
        return Step(rule="Hold", before=current, after=current, why=words)
    size = max(current, fallback.replicas)
    return Step(rule="Fallback", before=current, after=size, why=f"{words}: at least {fallback.replicas}")


def _named(load: Demand) -> str:
    """Whose load it is, in a word or two."""
    if load.is_burst:
        return f"{load.source.value} (burst, above the {load.expected:.6g} that was forecast)"
    is_padded = load.source is DemandSource.SEEN and load.reactive is not None and load.reactive != load.seen
    return f"{load.source.value} (with headroom)" if is_padded else load.source.value


def _bounded(
    now: datetime, wished: int, load: Demand, current: int, policy: Policy, memory: Memory
) -> tuple[Step, ...]:
    """The wish within what is needed soon and within the rails."""
    kept = _kept(wished, load, current, policy)
    railed = _railed(now, kept.after, current, policy if not load.is_burst else _at_once(policy), memory)
    return railed if kept.after == wished else (kept, *railed)


def _kept(wished: int, load: Demand, current: int, policy: Policy) -> Step:
    """Do not release what is needed again before another replica could have started."""
    soon = 0 if load.kept is None else replicas.needed(load.kept, policy)
    after = wished if wished >= current else min(current, max(wished, soon))
    return Step(rule="ScaleIn", before=wished, after=after, why=f"{soon} will be needed within the next lead time")


def _at_once(policy: Policy) -> Policy:
    """What nobody forecast is not waited out."""
    return replace(policy, scale_up=replace(policy.scale_up, stabilization=timedelta(0)))


def _railed(now: datetime, wished: int, current: int, policy: Policy, memory: Memory) -> tuple[Step, ...]:
    steps: list[Step] = []
    for name, rail in guardrails.RAILS:
        allowed, why = rail(now, wished, current, policy, memory)
        if allowed != wished:
            steps.append(Step(rule=name, before=wished, after=allowed, why=why))
        wished = allowed
    for limit in policy.limits:
        allowed = guardrails.limited(wished, limit)
        if allowed != wished:
            steps.append(Step(rule=limit.rule, before=wished, after=allowed, why=limit.why))
        wished = allowed
    return tuple(steps)
