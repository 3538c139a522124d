"""Why was it decided so? One tick's account in sentences for whoever is on call, from the very values that were used.

Pure: the same account always tells the same story. Loads are in the unit of the scaler's metric.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from client.words import counted
from controller.account import Account
from controller.aws_spec import GROUP_KIND
from controller.core.calibration import FULL_TRUST, MIN_SETTLED, NO_TRUST
from controller.core.decide import Step
from controller.core.forecast import Forecast
from controller.core.guardrails import RAILS, limited
from controller.core.policy import TARGET_BOUNDS, Policy, ScalingRules, SelectPolicy
from controller.core.record import Record
from controller.core.startup import LeadTimeSource
from controller.outcome import Stage
from controller.spec import Mode

Story = Iterator[tuple[str, str]]
"""A label and what there is to say under it."""

_SECONDS, _MINUTES = 120, 7200  # up to these, in seconds, a span is told in seconds and in minutes
_LIMITS = ("ScaleIn", *(name for name, _ in RAILS))


def told(account: Account) -> Story:
    """The whole story, the result first."""
    record = account.record
    if record is None:
        yield "Nothing", "was decided." + ("" if account.problems else f" The mode is {account.scaler.mode}.")
        yield from _problems(account)
        return
    yield "Result", _result(account, record)
    yield "Seen", _seen(record)
    yield "Forecast", _forecast(account, record)
    if record.inputs.forecast is not None:
        yield "Trust", _trust(record)
    if record.inputs.policy.objective is not None:
        yield "Objective", _objective(record, record.inputs.policy.objective)
    yield from _demand(record)
    yield "Rule", _sentence(str(record.decision.steps[0]))
    yield from _rails(record)
    yield from _turn(record)
    if record.inputs.forecast is not None:
        yield "Without it", _without_forecast(record)
    yield from _problems(account)
    yield "Made by", _maker(account)


def headline(account: Account) -> str:
    """Of what, and when."""
    return f"{account.scaler.namespace}/{account.scaler.name}, {stamp(account.time)}"


def stamp(time: datetime) -> str:
    """A time to the second, in UTC where it was."""
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def span(duration: timedelta) -> str:
    """A duration as people say it."""
    seconds = duration.total_seconds()
    if abs(seconds) <= _SECONDS:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if abs(seconds) <= _MINUTES else f"{seconds / 3600:.3g} h"


def _result(account: Account, record: Record) -> str:
    decision, target = record.decision, account.scaler.target or "the target"
    size = counted(decision.replicas, "replica")
    change = f"{decision.current} -> {size}"
    if decision.replicas == decision.current:
        words = f"{size}, as before."
    elif account.is_written:
        words = f"{change}, and {target} was told so."
    elif account.scaler.mode == Mode.OBSERVE:
        words = f"{change} would be asked for. The mode is Observe, so {target} was left alone."
    else:
        words = f"{change}, but {target} was not told."
    if account.found is not None and account.found != decision.current:
        words += f" {target} had {account.found}; {decision.current} is what it would have had by these decisions."
    return words


def _seen(record: Record) -> str:
    observation, policy = record.inputs.observation, record.inputs.policy
    if observation is None:
        return "The metric system gave nothing."
    late = f" Its history is not up to date: {observation.problem}." if observation.problem else ""
    if observation.latest is None:
        return f"No usable load: {observation.problem or 'the metric system gave none'}."
    value, age = observation.latest.value, record.inputs.now - observation.latest.time
    if record.decision.demand.seen is None:
        return (
            f"The last load was {value:.6g}, {span(age)} old: too old (over {span(policy.max_age)}) or no load.{late}"
        )
    served = record.inputs.current * policy.target_per_replica
    return (
        f"A load of {value:.6g}, {span(age)} old. "
        f"{_served(record.inputs.current)} {served:.6g} well, at {policy.target_per_replica:g} each.{late}"
    )


def _served(replicas: int) -> str:
    return f"{counted(replicas, 'replica')} {'serves' if replicas == 1 else 'serve'}"


def _forecast(account: Account, record: Record) -> str:
    forecast = record.inputs.forecast
    if forecast is None:
        problem = next((one for one in account.problems if one.stage is Stage.FORECAST), None)
        return "None, so it reacts to what is seen." if problem is None else f"None: {problem.message}."
    policy, now = record.inputs.policy, record.inputs.now
    end = now + policy.window
    return (
        f"{_model(account)} knew the load until {stamp(forecast.origin)}, {span(now - forecast.origin)} before. "
        f"A replica asked for at the next decision is ready at {stamp(end)}: {_lead(account, policy)}. "
        f"{_levels(forecast, now, end)}{_prepared(record, forecast)}"
    )


def _model(account: Account) -> str:
    model = account.model
    return "The model" if model is None else f"{model.name} {model.version} ({model.family}, {model.digest[:12]})"


def _lead(account: Account, policy: Policy) -> str:
    noun = "instance" if (account.scaler.target or "").startswith(GROUP_KIND) else "pod"
    named = {
        LeadTimeSource.LEARNT: "learnt from {}",
        LeadTimeSource.DEFAULT: f"until {noun}s were seen to start",
        LeadTimeSource.SPEC: "by the spec",
    }
    source = account.lead_time
    if source is None:
        return f"{span(policy.lead_time)} lead time and {span(policy.interval)} until then"
    why = named[source.source].format(counted(source.samples, noun))
    own = f"{span(policy.lead_time - source.of_pods)} lead time {why}"
    pods = f", {span(source.of_pods)} for the pods on it" if source.of_pods else ""
    return f"{own}{pods} and {span(policy.interval)} until then"


def _levels(forecast: Forecast, now: datetime, end: datetime) -> str:
    peaks = {level: forecast.peak(level, now, end) for level in forecast.levels}
    known = [f"{level * 100:g}%: {peak:.6g}" for level, peak in peaks.items() if peak is not None]
    return f"Highest until then, by level: {', '.join(known)}." if known else "The forecast does not reach that far."


def _prepared(record: Record, forecast: Forecast) -> str:
    """What became of the level that is asked for."""
    policy, prepared = record.inputs.policy, record.decision.demand.forecast
    if prepared is None:
        return ""
    raw = forecast.peak(policy.level, record.inputs.now, record.inputs.now + policy.window)
    level = f" Level {policy.level:.4g}" + ("" if raw is None else f", {raw:.6g},")
    if policy.objective is not None:
        return f"{level} with the objective's {record.memory.steering.shift:+.4g} of its doubt is {prepared:.6g}."
    covered = record.decision.coverage
    held = "too few are known to say how many held" if covered is None else f"of late {covered:.1%} held"
    return f"{level} corrected by {record.memory.track.correction:+.4g} of its band is {prepared:.6g}; {held}."


def _trust(record: Record) -> str:
    return " ".join([_skill(record), *_worth(record)])


def _worth(record: Record) -> Iterator[str]:
    """What both ways cost, where that counts."""
    rivals = record.memory.rivals
    if record.inputs.policy.objective is None or rivals.watched == 0.0:
        return
    forecast, reactive = rivals.forecast_cost / rivals.watched, rivals.reactive_cost / rivals.watched
    yield (
        f"For the same objective it would have needed {forecast:.4g} replicas, reacting alone {reactive:.4g}: by that "
        f"it counts {record.decision.demand.worth:.0%} at most."
    )


def _skill(record: Record) -> str:
    track, weight = record.memory.track, record.decision.demand.weight
    if track.settled < MIN_SETTLED:
        few = f"only {counted(track.settled, 'forecast')}" if track.settled else "no forecast yet"
        return f"It counts {weight:.0%}: {few} can be held against what came."
    losses = {"persistence": track.loss_persistence, "the seasonal naive one": track.loss_seasonal}
    name = min(losses, key=lambda one: losses[one])
    ratio = f"{track.loss / losses[name]:.2f}" if losses[name] > 0.0 else "far more than 1"
    return (
        f"It counts {weight:.0%}. Of late (over {track.settled:.3g} forecasts) it lost {track.loss:.4g}, {name}, the "
        f"better of the naive, {losses[name]:.4g}: {ratio} to 1. Up to {FULL_TRUST:g} it counts in full, from "
        f"{NO_TRUST:g} not at all; what is less than a replica's worth does not matter."
    )


def _objective(record: Record, objective: float) -> str:
    steering, share = record.memory.steering, record.decision.under_provisioned
    judged = f"over {counted(steering.settled, 'load')}"
    measured = "that was not measured yet" if share is None else f"of late it was {share:.2%}, {judged}"
    return (
        f"Too few replicas may be ready in {objective:.2%} of the time; {measured}. So {steering.shift:+.4g} of its "
        f"doubt is added to a forecast, and where none is trusted, what is seen counts {steering.headroom:.4g}-fold."
    )


def _demand(record: Record) -> Story:
    demand = record.decision.demand
    if demand.value is None or demand.seen is None:
        return
    parts = [f"{demand.seen:.6g} seen"]
    if demand.reactive is not None and demand.forecast is not None:
        parts.append(f"{demand.reactive:.6g} + {demand.weight:.4g} x ({demand.forecast:.6g} - {demand.reactive:.6g})")
    elif demand.reactive is not None and demand.reactive != demand.seen:
        parts.append(f"{demand.reactive:.6g} with headroom")
    total = f"the larger of {' and '.join(parts)}: {demand.value:.6g}" if len(parts) > 1 else f"{parts[0]}"
    yield "Demand", f"To be ready for: {total}."
    if demand.is_burst:
        yield (
            "Burst",
            f"More is seen than the {demand.expected:.6g} that was forecast at most: growth is not waited out.",
        )


def _rails(record: Record) -> Story:
    """Each limit in its order: what it changed, or what it let pass."""
    first, *others = record.decision.steps
    if first.rule == "Disabled":
        return
    changed = {step.rule: step for step in others}
    wished = first.after
    for rule in _LIMITS:
        step = changed.get(rule)
        yield _label(rule), _changed(step) if step else f"{wished} may pass: {_numbers(rule, record)}."
        wished = step.after if step else wished
    for limit in record.inputs.policy.limits:
        allowed = limited(wished, limit)
        yield _label(limit.rule), f"{_change(wished, allowed)}: {limit.why}."
        wished = allowed


def _change(before: int, after: int) -> str:
    return f"{before} may pass" if before == after else f"{before} -> {after}"


def _label(rule: str) -> str:
    names = {"Stabilization": "Hold-down", "FlapBudget": "Flap budget", "ScaleIn": "Scale-in"}
    return (names | {TARGET_BOUNDS: "Target bounds"}).get(rule, rule)


def _changed(step: Step) -> str:
    return f"{step.before} -> {step.after}, {step.why}."


def _numbers(rule: str, record: Record) -> str:
    """What the limit went by."""
    policy, demand, memory = record.inputs.policy, record.decision.demand, record.memory
    up, down = policy.scale_up, policy.scale_down
    budget = "none is set" if policy.flap_budget is None else f"{policy.flap_budget} an hour, {len(memory.turns)} used"
    soon = "no load is known" if demand.kept is None else f"one lead time further {demand.kept:.6g} must be served"
    return {
        "ScaleIn": soon,
        "Stabilization": f"windows of {span(up.stabilization)} up and {span(down.stabilization)} down",
        "Rate": f"{_rate('scaleUp', up)}; {_rate('scaleDown', down)}",
        "FlapBudget": budget,
        "Bounds": f"{policy.min_replicas} to {policy.max_replicas}",
    }[rule]


def _rate(name: str, rules: ScalingRules) -> str:
    """As in the spec, such as "scaleUp the Max of 4 Pods in 15 s and 100 Percent in 15 s"."""
    if rules.select is SelectPolicy.DISABLED:
        return f"{name} Disabled"
    limits = [f"{one.value} {one.type.value} in {span(one.period)}" for one in rules.policies]
    return f"{name} " + (f"the {rules.select.value} of {' and '.join(limits)}" if len(limits) > 1 else "".join(limits))


def _turn(record: Record) -> Story:
    turn = record.inputs.turn
    if turn is not None:
        yield "Experiment", _sentence(turn.words)


def _without_forecast(record: Record) -> str:
    decision, _ = replace(record.inputs, forecast=None).decide()
    return f"Had there been no forecast now, {counted(decision.replicas, 'replica')}: {decision.message}."


def _problems(account: Account) -> Story:
    for problem in account.problems:
        yield "Problem", _sentence(f"{problem.reason} ({problem.stage.value}): {problem.message}")


def _maker(account: Account) -> str:
    mode = f"mode {account.scaler.mode}, " if account.scaler.mode else ""
    return f"release {account.release}, {mode}generation {account.scaler.generation} of the spec."


def _sentence(words: str) -> str:
    return words if words.endswith(".") else f"{words}."
