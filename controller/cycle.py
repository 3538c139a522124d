"""In which order does a tick go, and what happens when a step fails?

Observe, forecast, decide, act, report: for all scalers of a batch at once. Knows no adapter; a failure at one step is
one scaler's Problem and never holds up the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import perf_counter

import numpy as np

from controller.aws_spec import GroupRef
from controller.coordination import CoordinationError, CoordinationReason, Known, pods_of, replicas_of, units_for
from controller.core import coordination
from controller.core.coordination import Pods, Units
from controller.core.decide import Decision
from controller.core.forecast import Forecast
from controller.core.policy import TARGET_BOUNDS, Limit, Policy
from controller.core.record import Inputs, Record
from controller.core.series import Observation
from controller.core.startup import LeadTime
from controller.experiment import concluded, disturbed, in_turn, left, met
from controller.fence import Left, always, writing
from controller.grading import Grade, settled, unwatched, watched
from controller.held import Held, Question, restored
from controller.outcome import Beside, LoadedModel, Outcome, Problem, Stage
from controller.ports import (
    ForecastRequest,
    LeadTimes,
    MetricError,
    MetricReason,
    MetricRequest,
    ModelError,
    Models,
    Owner,
    Owners,
    Reporter,
    Source,
    StatusError,
    Target,
    TargetError,
    TargetState,
)
from controller.registry import Registry, Scaler, choice, precedence
from controller.spec import AnyTarget, FloorRef, Metric, Mode, ModelRef, ScalerSpec, SpecError

log = logging.getLogger(__name__)

STEP_WITHOUT_MODEL = timedelta(minutes=5)
PARTNER_SECONDS = 2.0
"""So long pods wait within a tick for what their group is asked for; an AWS that hangs holds up no pods for longer."""


@dataclass(slots=True, kw_only=True)
class _Run:
    """One scaler's way through one tick. `permit`: for how long what it writes may be sent."""

    scaler: Scaler
    spec: ScalerSpec
    held: Held
    permit: Left
    problems: list[Problem] = field(default_factory=list)
    model: LoadedModel | None = None
    observation: Observation | None = None
    state: TargetState | None = None
    lead_time: LeadTime | None = None
    limits: tuple[Limit, ...] = ()
    record: Record | None = None
    decision: Decision | None = None
    is_written: bool = False
    has_decided: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def policy(self) -> Policy:
        """The spec's rules with the lead time and the limits that hold now."""
        rules = self.spec.policy
        return self.held.policy(
            rules, rules.lead_time if self.lead_time is None else self.lead_time.duration, self.limits
        )

    @property
    def forecast(self) -> Forecast | None:
        """The last one, while its model is there; the history that was asked for without one has another step."""
        return None if self.model is None else self.held.forecast

    def fail(self, stage: Stage, reason: str, message: str) -> None:
        self.problems.append(Problem(stage=stage, reason=reason, message=message))


class Cycle:
    """Ticks over batches of scalers; everything it meets the world with is handed in.

    `begun`: around a scaler's part of a tick; gives for how long what comes of it may be written.
    """

    def __init__(
        self,
        *,
        source: Source[Metric],
        models: Models,
        target: Target[AnyTarget],
        owners: Owners[AnyTarget],
        lead_times: LeadTimes,
        reporter: Reporter,
        registry: Registry,
        begun: Callable[[Scaler], AbstractContextManager[Left]] = always,
        timer: Callable[[], float] = perf_counter,
    ) -> None:
        self._source = source
        self._models = models
        self._target = target
        self._owners = owners
        self._lead_times = lead_times
        self._reporter = reporter
        self._registry = registry
        self._begun = begun
        self._timer = timer
        self._held: dict[str, Held] = {}
        self._slow: set[str] = set()

    async def tick(
        self, now: datetime, scalers: Sequence[Scaler], done: Callable[[Scaler], None] = lambda _: None
    ) -> None:
        """One tick over the scalers that are due; never raises for a single one of them.

        `done` hears of each scaler as soon as its own part has ended.
        """
        with contextlib.ExitStack() as stack:
            permits = {scaler.uid: stack.enter_context(self._begun(scaler)) for scaler in scalers}
            runs = [run for scaler in scalers if (run := self._begin(scaler, permits[scaler.uid])) is not None]
            if runs:
                await self._run(now, runs, done)
            running = {run.scaler.uid for run in runs}
            idle = [scaler for scaler in scalers if scaler.uid not in running]
            await asyncio.gather(*(self._report_idle(now, scaler, permits[scaler.uid]) for scaler in idle))

    async def _run(self, now: datetime, runs: Sequence[_Run], done: Callable[[Scaler], None]) -> None:
        await _guarded(Stage.FORECAST, runs, self._load_models(runs))
        await _guarded(Stage.OBSERVE, runs, self._observe(now, runs))
        await _guarded(Stage.FORECAST, runs, self._forecast(runs))
        groups = {run.scaler.uid: run.has_decided for run in runs if run.spec.coordination is not None}
        await asyncio.gather(*(self._finish(now, run, groups, done) for run in runs))

    async def _finish(
        self, now: datetime, run: _Run, groups: Mapping[str, asyncio.Event], done: Callable[[Scaler], None]
    ) -> None:
        """Pods decide after the group that they run on, where both are due now. All writes are here."""
        group = self._group(run)
        if group is not None and group.uid in groups:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(groups[group.uid].wait(), PARTNER_SECONDS)
        with writing(run.permit):
            await _guarded(Stage.DECIDE, [run], self._decide_and_act(now, run))
            run.has_decided.set()
            await self._report(now, run)
        done(run.scaler)

    def is_slow(self, uid: str) -> bool:
        """Whether the scaler's metric came too late at its last tick."""
        return uid in self._slow

    def forget(self, uid: str) -> None:
        """Drop what is held of a scaler that is gone."""
        self._held.pop(uid, None)
        self._slow.discard(uid)
        self._lead_times.forget(uid)

    def _begin(self, scaler: Scaler, permit: Left) -> _Run | None:
        """None for a scaler that is refused or paused."""
        spec = scaler.spec
        if isinstance(spec, SpecError) or spec.mode is Mode.PAUSED:
            return None
        held = self._hold(scaler)
        held.take_metric(spec.metric)
        held.trial = held.trial and replace(held.trial, has_ended=False)
        return _Run(scaler=scaler, spec=spec, held=held, permit=permit)

    def _hold(self, scaler: Scaler) -> Held:
        held = self._held.get(scaler.uid)
        if held is None:
            held = self._held[scaler.uid] = restored(scaler)
        if held.grade is not None and (isinstance(scaler.spec, SpecError) or scaler.spec.mode is not Mode.OBSERVE):
            held.grade, held.memory = unwatched(held.grade, held.memory)
        return held

    async def _load_models(self, runs: Sequence[_Run]) -> None:
        wanted = {run.spec.model for run in runs if run.spec.model is not None}
        answers = await asyncio.to_thread(self._cards, wanted)
        for run in runs:
            answer = None if run.spec.model is None else answers[run.spec.model]
            if isinstance(answer, LoadedModel):
                run.model = answer
                run.held.take_model(answer.digest)
            else:
                run.held.take_forecast(None, _or_problem(answer))

    def _cards(self, models: set[ModelRef]) -> dict[ModelRef, LoadedModel | ModelError]:
        answers: dict[ModelRef, LoadedModel | ModelError] = {}
        for model in models:
            try:
                card, digest = self._models.card(model)
            except ModelError as error:
                answers[model] = error
            else:
                answers[model] = LoadedModel(card=card, digest=digest)
        return answers

    async def _observe(self, now: datetime, runs: Sequence[_Run]) -> None:
        began = self._timer()
        answers = await self._source.observe([_question(run) for run in runs], now)
        for run, answer in zip(runs, answers, strict=True):
            _take_answer(run, answer)
        late = {run.scaler.uid for run in runs if any(one.reason == MetricReason.TIMEOUT for one in run.problems)}
        self._slow = self._slow - {run.scaler.uid for run in runs} | late
        self._reporter.took(Stage.OBSERVE, self._timer() - began)

    async def _forecast(self, runs: Sequence[_Run]) -> None:
        """Run the models where a step was closed since the last forecast; otherwise that one still stands.

        Pods and the nodes under them often follow the same load: what is asked twice is computed once.
        """
        due = [(run, *asked) for run in runs if (asked := _new_request(run)) is not None]
        if due:
            began = self._timer()
            rows = {_row(question, request): request for _, question, request in due}
            made = await asyncio.to_thread(self._models.forecast, list(rows.values()))
            answers = dict(zip(rows, made, strict=True))
            for run, question, request in due:
                run.held.take_forecast(question, _or_problem(answers[_row(question, request)]))
            self._reporter.took(Stage.FORECAST, self._timer() - began)
        for run in runs:
            if run.held.forecast_problem is not None:
                run.problems.append(run.held.forecast_problem)

    async def _decide_and_act(self, now: datetime, run: _Run) -> None:
        run.state = await self._read(run)
        if run.state is None:
            return
        own = run.lead_time = self._lead_time(now, run, run.state)
        pods = await self._pods(now, run)
        held, current = run.held, _size_to_decide_from(now, run, run.state)
        run.limits = (*self._coordination(now, run, pods, current), *_bounds_of(run.spec, run.state))
        inputs = Inputs(
            now=now,
            observation=run.observation,
            forecast=run.forecast,
            current=current,
            policy=run.policy,
            memory=held.memory,
        )
        trial = met(held.trial, now, run.scaler.uid, run.spec, held.memory)
        run.record = Record.of(inputs if trial is None else in_turn(inputs, trial))
        run.decision, memory = run.record.decision, run.record.memory
        if trial is not None:
            memory, trial = concluded(trial, inputs, run.record)
        if await self._act(now, run, run.state, run.decision):
            held.memory, held.trial = memory, trial
        if any(problem.stage is Stage.ACT for problem in run.problems):
            held.trial = held.trial and disturbed(held.trial)
        if run.spec.mode is Mode.OBSERVE and held.grade is not None:
            seen, replicas = run.decision.demand.seen, run.decision.replicas
            held.grade = settled(held.grade, now, seen, replicas, run.policy, await self._other(now, run, held.grade))
        self._remember(now, run, run.state, run.decision, own)

    async def _pods(self, now: datetime, run: _Run) -> Pods | None:
        """What runs on a group: read now, since the pods' own scaler may be paused, or never have ticked yet.

        Units are to serve before the pods on them are asked for, so the group looks ahead by both lead times.
        """
        try:
            partner = pods_of(self._registry, run.scaler, run.spec)
            if partner is None:
                return None
            scaler, spec = partner
            held = self._held.get(scaler.uid)
            known = None if held is None else held.known
            if run.lead_time is not None:
                later = spec.policy.lead_time if known is None else known.lead_time
                run.lead_time = coordination.lead_time(run.lead_time, later)
            state = await self._target.read(scaler.namespace, spec.target)
        except CoordinationError as error:
            run.fail(Stage.COORDINATE, error.reason, str(error))
            return None
        except TargetError as error:
            problem = CoordinationError(CoordinationReason.UNKNOWN, f"the pods' target cannot be read: {error}")
            run.fail(Stage.COORDINATE, problem.reason, str(problem))
            return None
        there = max(state.replicas, state.present or 0)
        return Pods(name=f'"{scaler.name}"', replicas=replicas_of(spec, known, there, now))

    def _coordination(self, now: datetime, run: _Run, pods: Pods | None, current: int) -> tuple[Limit, ...]:
        """A group keeps what its pods need, and pods wait for the units that were asked for."""
        if run.spec.coordination is not None:
            return (coordination.units_kept(pods, run.spec.coordination.per_unit, current, run.spec.policy),)
        units = self._units(now, run)
        limit = coordination.pods_held_back(now, units, run.held.wishes, current, run.spec.policy)
        return () if limit is None else (limit,)

    def _group(self, run: _Run) -> Scaler | None:
        """Whose units the target's pods wait for; a group waits for none."""
        if isinstance(run.spec.target, GroupRef) or not run.spec.mode.is_acting:
            return None
        return self._registry.group(run.scaler.namespace, run.scaler.name)

    def _units(self, now: datetime, run: _Run) -> Units | None:
        group = self._group(run)
        if group is None or isinstance(group.spec, SpecError):
            return None
        held = self._held.get(group.uid)
        return units_for(group.spec, None if held is None else held.known, now)

    def _remember(self, now: datetime, run: _Run, state: TargetState, decision: Decision, own: LeadTime) -> None:
        """What the next ticks go by, of this scaler and of the one that it coordinates with."""
        asked = decision.replicas if run.is_written else state.replicas
        run.held.known = Known(time=now, asked=asked, ready=state.ready, lead_time=own.duration)
        units = self._units(now, run)
        wish = next((step.before for step in decision.steps if step.rule == coordination.RULE), decision.replicas)
        run.held.wishes = () if units is None else coordination.wished(run.held.wishes, now, wish, units.patience)

    async def _read(self, run: _Run) -> TargetState | None:
        try:
            return await self._target.read(run.scaler.namespace, run.spec.target)
        except TargetError as error:
            run.fail(Stage.READ, error.reason, str(error))
            return None

    def _lead_time(self, now: datetime, run: _Run, state: TargetState) -> LeadTime:
        if not run.spec.lead_time_auto:
            return LeadTime.given(run.spec.policy.lead_time)
        lead_time, problem = self._lead_times.lead_time(run.scaler, run.spec, state, now)
        if problem is not None:
            run.problems.append(problem)
        return lead_time

    async def _act(self, now: datetime, run: _Run, state: TargetState, decision: Decision) -> bool:
        """Write what differs; False when that failed and the decision must be made anew."""
        if not run.spec.mode.is_acting:
            return True
        try:
            owner = await self._owner(now, run)
            if owner is not None:
                run.fail(Stage.ACT, "TargetOwned", f"{owner.words} sets {_target_words(run.spec)}; {owner.cure}")
            elif decision.replicas != state.replicas:
                await self._target.write(run.scaler.namespace, run.spec.target, state, decision.replicas)
                run.is_written = True
        except TargetError as error:
            run.fail(Stage.ACT, error.reason, str(error))
            return False
        return True

    async def _other(self, now: datetime, run: _Run, grade: Grade) -> str | None:
        """Whose work an observed scaler is graded against: the last one that was known."""
        try:
            owner = await self._owners.owner(run.scaler.namespace, run.spec.target, now)
        except TargetError:
            return grade.against
        return None if owner is None else owner.words

    async def _owner(self, now: datetime, run: _Run) -> Owner | None:
        rival = self._registry.rival(run.scaler)
        if rival is not None:
            return Owner(words=precedence(rival, run.scaler), cure=choice(rival, run.scaler))
        scaler = run.scaler
        return await self._owners.owner(scaler.namespace, run.spec.target, now, generation=scaler.generation)

    async def _report(self, now: datetime, run: _Run) -> None:
        outcome = Outcome(
            time=now,
            problems=tuple(run.problems),
            model=run.model,
            forecast=run.forecast,
            lead_time=run.lead_time,
            found=None if run.state is None else run.state.replicas,
            beside=None if run.state is None else _beside(run.state),
            record=run.record,
            decision=run.decision,
            is_written=run.is_written,
            memory=run.held.memory,
            grade=_graded(run.scaler, run.held),
            trial=run.held.trial,
        )
        await self._tell(run.scaler, outcome)

    async def _report_idle(self, now: datetime, scaler: Scaler, permit: Left) -> None:
        """A refused or paused scaler does nothing, and says so."""
        held = self._hold(scaler)
        held.trial = left(held.trial, now, scaler.spec)
        with writing(permit):
            await self._tell(
                scaler, Outcome(time=now, memory=held.memory, grade=_graded(scaler, held), trial=held.trial)
            )

    async def _tell(self, scaler: Scaler, outcome: Outcome) -> None:
        try:
            await self._reporter.report(scaler, outcome)
        except StatusError as error:
            log.warning("status not written", extra={"scaler": scaler.key, "error": str(error)})
            if error.gone:
                self._registry.discard(scaler.uid)
        except Exception:
            log.exception("report failed", extra={"scaler": scaler.key})


async def _guarded(stage: Stage, runs: Sequence[_Run], work: Awaitable[None]) -> None:
    """The one place where anything unforeseen ends: the last size stands, and the other scalers go on."""
    try:
        await work
    except Exception as error:
        log.exception("unforeseen error", extra={"stage": stage.value, "scalers": [run.scaler.key for run in runs]})
        for run in runs:
            run.fail(stage, "InternalError", f"{type(error).__name__}: {error}; the last size stands")


def _beside(state: TargetState) -> Beside:
    return Beside(ready=state.ready, warm=state.warm, note=state.note)


def _bounds_of(spec: ScalerSpec, state: TargetState) -> Iterator[Limit]:
    """The target's own, beyond which it takes no size."""
    if state.lowest is not None:
        why = f"the {spec.target.kind}'s own minimum is {state.lowest}"
        yield Limit(rule=TARGET_BOUNDS, lowest=state.lowest, why=why)
    if state.highest is not None:
        why = f"the {spec.target.kind}'s own maximum is {state.highest}"
        yield Limit(rule=TARGET_BOUNDS, highest=state.highest, why=why)


def _graded(scaler: Scaler, held: Held) -> Grade | None:
    """What an autoscaler would have made of a higher floor nobody knows, so a floor is not graded."""
    is_floor = isinstance(scaler.spec, ScalerSpec) and isinstance(scaler.spec.target, FloorRef)
    return None if is_floor else held.grade


def _size_to_decide_from(now: datetime, run: _Run, state: TargetState) -> int:
    """The target's own; but of a scaler that is only watched, the one that it would have."""
    if run.spec.mode is not Mode.OBSERVE:
        return state.replicas
    run.held.grade, shadow = watched(run.held.grade, now, state.replicas, run.spec, run.policy)
    return shadow.own.size


def _question(run: _Run) -> MetricRequest[Metric]:
    return MetricRequest(
        namespace=run.scaler.namespace,
        metric=run.spec.metric,
        step=run.model.card.step if run.model else STEP_WITHOUT_MODEL,
        context=run.model.card.context if run.model else 0,
        max_age=run.spec.policy.max_age,
    )


def _new_request(run: _Run) -> tuple[Question, ForecastRequest] | None:
    """None where there is nothing to run, or where the last forecast is still the newest there can be."""
    if run.model is None or run.spec.model is None or run.observation is None:
        return None
    history = run.observation.history
    question = (history.end, int(np.isfinite(history.values).sum()), run.spec.zone, run.model.digest)
    if question == run.held.asked:
        return None
    return question, ForecastRequest(model=run.spec.model, history=history, zone=run.spec.zone)


def _row(question: Question, request: ForecastRequest) -> tuple[object, ...]:
    """Equal where a forecast would be equal; the digest is in the question, whatever name it was found by."""
    return *question, request.history.step, request.history.values.tobytes()


def _take_answer(run: _Run, answer: Observation | MetricError) -> None:
    if isinstance(answer, MetricError):
        run.fail(Stage.OBSERVE, answer.reason, str(answer))
        return
    run.observation = answer
    if answer.problem is not None:
        run.fail(Stage.OBSERVE, answer.reason or MetricReason.UNAVAILABLE, answer.problem)


def _or_problem(answer: Forecast | ModelError | None) -> Forecast | Problem | None:
    if isinstance(answer, ModelError):
        return Problem(stage=Stage.FORECAST, reason=_reason("Model", answer.check), message=str(answer))
    return answer


def _reason(prefix: str, check: str) -> str:
    """A check such as "test-vector" as a condition's reason: ModelTestVector."""
    return prefix + "".join(word.capitalize() for word in check.split("-"))


def _target_words(spec: ScalerSpec) -> str:
    what = "floor" if isinstance(spec.target, FloorRef) else "replicas"
    return f'the {what} of {spec.target.kind} "{spec.target.name}"'
