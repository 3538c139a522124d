"""One tick, with fakes for the world: the order, the batches, the modes, and what survives a failure."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.core.memory import Memory, TrackRecord
from controller.core.scorecard import Tally
from controller.core.series import Observation
from controller.core.startup import LeadTime, LeadTimeSource
from controller.cycle import Cycle
from controller.ledger import Ledger
from controller.metrics import Metrics
from controller.outcome import Outcome, Stage
from controller.ports import MetricError, ModelError, StatusError, TargetError
from controller.registry import Registry
from controller.report import Report
from tests.builders import NOW, STEP, body, forecast, seconds, seen, series, unseen
from tests.fakes import FakeLeadTimes, FakeModels, FakeOwners, FakeReporter, FakeSource, FakeStatusWriter, FakeTarget

CONFLICT = TargetError("TargetConflict", "changed meanwhile")


@dataclass(kw_only=True)
class World:
    """A cycle, everything it meets, and one list of the calls in order."""

    source: FakeSource = field(default_factory=lambda: FakeSource(answer=seen(1000)))
    models: FakeModels = field(default_factory=FakeModels)
    target: FakeTarget = field(default_factory=FakeTarget)
    owners: FakeOwners = field(default_factory=FakeOwners)
    lead_times: FakeLeadTimes = field(default_factory=FakeLeadTimes)
    reporter: FakeReporter = field(default_factory=FakeReporter)
    registry: Registry = field(default_factory=Registry)
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for part in (self.source, self.models, self.target, self.owners, self.lead_times, self.reporter):
            part.calls = self.calls
        self.cycle = Cycle(
            source=self.source,
            models=self.models,
            target=self.target,
            owners=self.owners,
            lead_times=self.lead_times,
            reporter=self.reporter,
            registry=self.registry,
        )

    def add(self, *names: str, **changes: Any) -> None:
        for name in names:
            self.registry.put(body(name, **changes))

    async def tick(self, now: datetime = NOW) -> dict[str, Outcome]:
        await self.cycle.tick(now, self.registry.all())
        return self.reporter.outcomes


@pytest.fixture
def world() -> World:
    """One scaler "web" of 100 a replica at most 10, a target of size 1 and a load of 1000."""
    world = World()
    world.add("web")
    return world


def _history(end: datetime, values: Sequence[float] = (1.0,)) -> Observation:
    return seen(1000, at=end, history=series(values, end=end))


async def test_order_of_the_steps(world: World) -> None:
    await world.tick()
    assert world.calls == ["card", "observe", "forecast", "read", "owner", "write", "report"]


async def test_the_decision_is_written(world: World) -> None:
    await world.tick()
    assert world.target.written == [("web", 5)]  # 1 + 4 pods in 15 s


async def test_many_scalers_ask_the_source_once(world: World) -> None:
    world.add("api", "shop")
    await world.tick()
    assert [len(batch) for batch in world.source.batches] == [3]


async def test_many_scalers_ask_the_models_once(world: World) -> None:
    for name in ("api", "shop"):
        world.add(name, spec={"metric": {"prometheus": {"query": name}}})
        world.source.by_query[name] = _history(NOW, [float(len(name))])
    await world.tick()
    assert [len(batch) for batch in world.models.batches] == [3]


async def test_what_is_equal_is_forecast_once_for_all_that_ask(world: World) -> None:
    """As pods and the nodes under them do; every scaler has the forecast."""
    world.source.answer = _history(NOW, [math.nan, 3.0])
    world.models.answer = lambda asked: forecast(700, origin=asked.history.end)
    world.add("nodes", "other", spec={"metric": {"targetPerReplica": 400}})
    world.add("elsewhere", spec={"forecast": {"timeZone": "Europe/Berlin"}})
    outcomes = await world.tick()
    assert [len(batch) for batch in world.models.batches] == [2]
    made = {name: outcome.forecast for name, outcome in outcomes.items()}
    assert made["web"] is made["nodes"] is made["other"]
    assert made["elsewhere"] not in {None, made["web"]}


@pytest.mark.parametrize(
    "other",
    [
        _history(NOW, [3.0, math.nan]),
        _history(NOW, [math.nan, 3.5]),
        _history(NOW + STEP, [math.nan, 3.0]),
        _history(NOW, [3.0]),
        seen(1000, history=series([math.nan, 3.0], step=2 * STEP)),
    ],
    ids=["gap-elsewhere", "value", "end", "length", "step"],
)
async def test_what_differs_is_forecast_apart(world: World, other: Observation) -> None:
    world.source.answer = _history(NOW, [math.nan, 3.0])
    world.source.by_query["other"] = other
    world.add("other", spec={"metric": {"prometheus": {"query": "other"}}})
    await world.tick()
    assert [len(batch) for batch in world.models.batches] == [2]


async def test_equal_sizes_are_not_written(world: World) -> None:
    world.target.sizes["web"] = 10
    await world.tick()
    assert world.target.written == []


AUTO = {"forecast": {"leadTime": "auto"}}


async def test_a_lead_time_that_is_learnt_decides_how_far_ahead_one_looks() -> None:
    """The forecast rises by 100 a step of five minutes; a replica serves 100."""
    world = World(source=FakeSource(answer=_history(NOW, [0.0])))
    world.models.answer = lambda asked: forecast(*(100 * ahead for ahead in range(1, 13)), origin=asked.history.end)
    world.add("web", spec=AUTO)
    world.lead_times.answer = LeadTime(duration=3 * STEP, source=LeadTimeSource.LEARNT)
    outcomes = await world.tick()
    assert outcomes["web"].lead_time == world.lead_times.answer
    assert outcomes["web"].decision is not None
    assert outcomes["web"].decision.demand.forecast == 400


async def test_a_lead_time_of_the_spec_is_not_learnt(world: World) -> None:
    outcomes = await world.tick()
    assert outcomes["web"].lead_time == LeadTime.given(timedelta(minutes=2))
    assert "lead-time" not in world.calls


async def test_a_lead_time_is_looked_up_once_the_target_was_read() -> None:
    world = World()
    world.add("web", spec=AUTO)
    await world.tick()
    assert world.calls[-5:] == ["read", "lead-time", "owner", "write", "report"]


async def test_a_target_that_cannot_be_read_has_no_lead_time(world: World) -> None:
    world.target.read_error = TargetError("TargetNotFound", "create it")
    outcomes = await world.tick()
    assert outcomes["web"].lead_time is None


def test_what_is_held_of_a_lead_time_goes_with_the_scaler(world: World) -> None:
    world.cycle.forget("uid-web")
    assert world.lead_times.forgotten == ["uid-web"]


@pytest.mark.parametrize(
    ("later", "batches"),
    [
        (_history(NOW, [math.nan, 1.0]), 1),  # nothing new
        (_history(NOW + STEP, [1.0, 1.0]), 2),  # a step was closed
        (_history(NOW, [1.0, 1.0]), 2),  # the history got more complete
    ],
    ids=["the-same", "a-closed-step", "a-filled-gap"],
)
async def test_the_forecast_is_made_anew_by_what_became_known(world: World, later: Observation, batches: int) -> None:
    world.source.answer = _history(NOW, [math.nan, 1.0])
    await world.tick()
    world.source.answer = later
    await world.tick(NOW + seconds(15))
    assert len(world.models.batches) == batches


async def test_the_forecast_is_made_anew_by_another_model(world: World) -> None:
    await world.tick()
    world.models.digest = "cd" * 32
    await world.tick(NOW + seconds(15))
    assert len(world.models.batches) == 2


async def test_the_last_forecast_stands_until_the_next(world: World) -> None:
    world.models.answer = lambda asked: forecast(5000, origin=asked.history.end)
    await world.tick()
    outcomes = await world.tick(NOW + seconds(15))
    assert outcomes["web"].decision is not None
    assert outcomes["web"].decision.demand.forecast == 5000


async def test_a_forecast_that_failed_unforeseen_is_tried_again(world: World) -> None:
    def broken(_: object) -> ModelError:
        raise OSError("disk")

    world.models.answer = broken
    await world.tick()
    world.models.answer = lambda asked: forecast(0.0, origin=asked.history.end)
    outcomes = await world.tick(NOW + seconds(15))
    assert outcomes["web"].forecast is not None


async def test_a_model_that_comes_back_forecasts_at_once(world: World) -> None:
    model, world.models.model = world.models.model, ModelError("file", "there is no such file")
    await world.tick()
    world.models.model = model
    outcomes = await world.tick(NOW + seconds(15))
    assert outcomes["web"].forecast is not None


async def test_where_no_model_is_wanted_none_is_asked_for_and_nothing_fails(world: World) -> None:
    world.add("web", generation=2, spec={"forecast": {"model": "none"}})
    outcomes = await world.tick()
    assert {"card", "forecast"}.isdisjoint(world.calls)
    assert (outcomes["web"].problems, outcomes["web"].forecast) == ((), None)
    assert world.target.written == [("web", 5)]


async def test_a_model_that_failed_and_is_not_wanted_any_more_is_no_problem(world: World) -> None:
    world.models.answer = lambda _: ModelError("run", "fails")
    await world.tick()
    world.add("web", generation=2, spec={"forecast": {"model": "none"}})
    outcomes = await world.tick(NOW + seconds(15))
    assert outcomes["web"].problems == ()


async def test_another_model_begins_without_the_record_of_the_last(world: World) -> None:
    await world.tick()
    world.models.digest = "cd" * 32
    world.models.answer = lambda _: ModelError("run", "fails")
    outcomes = await world.tick(NOW + seconds(15))
    assert outcomes["web"].memory.track == TrackRecord()


@pytest.mark.parametrize(
    "answer", [seen(1000, history=series([1.0])), MetricError("MetricEmpty", "no series")], ids=["seen", "missing"]
)
async def test_another_load_begins_without_the_forecast_of_the_last(
    world: World, answer: Observation | MetricError
) -> None:
    world.source.answer = _history(NOW)
    world.models.answer = lambda asked: forecast(5000, origin=asked.history.end)
    await world.tick()
    world.add("web", generation=2, spec={"metric": {"prometheus": {"query": "in_another_unit"}}})
    world.models.answer = lambda _: ModelError("run", "fails")
    world.source.answer = answer
    outcomes = await world.tick(NOW + seconds(15))
    assert outcomes["web"].forecast is None


async def test_another_load_begins_without_the_record_of_the_last(world: World) -> None:
    await world.tick()
    world.add("web", generation=2, spec={"metric": {"prometheus": {"query": "in_another_unit"}}})
    world.models.answer = lambda _: ModelError("run", "fails")
    outcomes = await world.tick(NOW + seconds(15))
    assert outcomes["web"].memory.track == TrackRecord()


async def test_the_forecast_is_made_anew_by_another_zone(world: World) -> None:
    await world.tick()
    world.add("web", generation=2, spec={"forecast": {"timeZone": "Europe/Berlin"}})
    await world.tick(NOW + seconds(15))
    assert len(world.models.batches) == 2


async def test_a_restart_with_the_same_model_keeps_its_record() -> None:
    track = TrackRecord(settled=9.0, loss=1.0)
    world = World()
    world.models.answer = lambda _: ModelError("run", "fails")
    status = {"memory": Memory(track=track).to_json(), "model": {"digest": world.models.digest}}
    world.add("web", status=status)
    outcomes = await world.tick()
    assert outcomes["web"].memory.track == track


async def test_a_record_of_nobody_knows_which_model_is_dropped() -> None:
    world = World()
    world.add("web", status={"memory": Memory(track=TrackRecord(settled=9.0)).to_json(), "model": None})
    outcomes = await world.tick()
    assert outcomes["web"].memory.track.settled == 0.0


@pytest.mark.parametrize(("reason", "is_slow"), [("MetricTimeout", True), ("MetricEmpty", False)])
async def test_slow_is_whose_metric_came_too_late(world: World, reason: str, is_slow: bool) -> None:
    world.source.answer = MetricError(reason, "no answer")
    await world.tick()
    assert world.cycle.is_slow("uid-web") is is_slow


async def test_slow_is_no_longer_whose_metric_came_in_time(world: World) -> None:
    in_time, world.source.answer = world.source.answer, MetricError("MetricTimeout", "no answer")
    await world.tick()
    world.source.answer = in_time
    await world.tick(NOW + seconds(15))
    assert not world.cycle.is_slow("uid-web")


@pytest.mark.parametrize(
    ("mode", "calls"),
    [("Observe", ["card", "observe", "forecast", "read", "owner", "report"]), ("Paused", ["report"])],
)
async def test_calls_by_mode(mode: str, calls: list[str]) -> None:
    world = World()
    world.add("web", spec={"mode": mode})
    await world.tick()
    assert world.calls == calls


def _observing(**changes: Any) -> World:
    world = World()
    world.add("web", **({"spec": {"mode": "Observe"}} | changes))
    return world


async def _ticks(world: World, count: int) -> Outcome:
    """After so many ticks, a quarter of a minute apart."""
    for index in range(count):
        await world.tick(NOW + index * seconds(15))
    return world.reporter.outcomes["web"]


async def test_observe_decides_from_the_size_that_it_would_have() -> None:
    outcome = await _ticks(_observing(), 2)
    assert outcome.decision is not None
    # 1 + 4 pods in the first 15 s; then twice as many
    assert (outcome.decision.current, outcome.decision.replicas, outcome.current_replicas) == (5, 10, 1)


async def test_observe_keeps_the_score_of_both() -> None:
    grade = (await _ticks(_observing(), 3)).grade
    assert grade is not None
    # 5 of its own for 15 s, then 10; the workload had 1
    assert grade.windows()[timedelta(days=1)] == Tally(
        known=30, own_replicas=15 * (5 + 10), own_short=30, actual_replicas=30, actual_short=30
    )


async def test_a_floor_that_is_observed_is_decided_and_not_scored() -> None:
    target = {"kind": "HorizontalPodAutoscaler", "name": "web"}
    outcome = await _ticks(_observing(spec={"mode": "Observe", "targetRef": target}), 3)
    assert outcome.decision is not None
    assert outcome.grade is None


async def test_active_keeps_no_score(world: World) -> None:
    assert (await _ticks(world, 2)).grade is None


async def test_active_after_observe_goes_by_what_the_target_has() -> None:
    """The ten that it would have had are no change of size that the rate would allow for."""
    world = _observing()
    await _ticks(world, 3)
    world.add("web", generation=2)
    await world.tick(NOW + seconds(45))
    assert world.target.written == [("web", 5)]


async def test_the_score_survives_a_restart() -> None:
    world = _observing()
    grade = (await _ticks(world, 3)).grade
    assert grade is not None
    later = _observing(status={"grade": {"state": grade.to_json()}})
    await later.tick(NOW + seconds(45))
    resumed = later.reporter.outcomes["web"].grade
    assert resumed is not None
    assert resumed.windows()[timedelta(days=1)].known == 45


async def test_a_score_that_cannot_be_read_begins_anew() -> None:
    outcome = await _ticks(_observing(status={"grade": {"state": {"version": 99}}}), 2)
    assert outcome.grade is not None
    assert outcome.grade.windows()[timedelta(days=1)].known == 15


async def test_observe_names_whom_it_is_held_against() -> None:
    world = _observing()
    world.owners.owners["web"] = 'HorizontalPodAutoscaler "web"'
    await _ticks(world, 2)
    world.owners.error = TargetError("TargetForbidden", "no list")
    outcome = await _ticks(world, 3)
    assert outcome.grade is not None
    assert (outcome.grade.against, outcome.problems) == ('HorizontalPodAutoscaler "web"', ())


async def test_a_target_that_cannot_be_read_makes_that_time_unknown() -> None:
    world = _observing()
    await _ticks(world, 2)
    world.target.read_error = TargetError("TargetUnavailable", "no answer")
    await world.tick(NOW + seconds(30))
    world.target.read_error = None
    await world.tick(NOW + seconds(15 + 151))
    grade = world.reporter.outcomes["web"].grade
    assert grade is not None
    assert grade.windows()[timedelta(days=1)].known == 15


async def test_a_failed_write_leaves_the_memory_as_it_was(world: World) -> None:
    world.target.write_error = CONFLICT
    outcomes = await world.tick()
    assert outcomes["web"].memory == Memory()


async def test_a_failed_write_is_made_at_the_next_tick(world: World) -> None:
    world.target.write_error = CONFLICT
    await world.tick()
    world.target.write_error = None
    await world.tick(NOW + seconds(15))
    assert world.target.written == [("web", 5)]


@pytest.mark.parametrize(
    "error", [RuntimeError("boom"), KeyError("spec"), TargetError("TargetNotFound", "gone")], ids=repr
)
async def test_one_target_that_fails_does_not_hold_up_another(world: World, error: Exception) -> None:
    world.add("api")
    world.target.failing, world.target.read_error = "web", error
    await world.tick()
    assert world.target.written == [("api", 5)]


async def test_a_target_that_hangs_does_not_hold_up_the_report_of_another(world: World) -> None:
    world.add("api")
    world.target.hanging = "web"
    done: list[str] = []
    tick = asyncio.create_task(world.cycle.tick(NOW, world.registry.all(), lambda scaler: done.append(scaler.name)))
    await world.reporter.told.wait()
    told = list(world.reporter.reported)
    world.target.release.set()
    await tick
    assert (told, done) == (["api"], ["api", "web"])


async def test_one_metric_that_fails_does_not_hold_up_another(world: World) -> None:
    world.add("api", spec={"metric": {"prometheus": {"query": "up"}}})
    world.source.by_query["up"] = MetricError("MetricEmpty", "no series")
    await world.tick()
    assert world.target.written == [("web", 5)]


async def test_a_report_that_fails_does_not_hold_up_another(world: World) -> None:
    world.add("api")
    world.reporter.error = RuntimeError("boom")
    await world.tick()
    assert world.calls.count("report") == 2


@pytest.mark.parametrize("error", [StatusError("no"), StatusError("gone", gone=True)], ids=["refused", "gone"])
async def test_a_status_that_cannot_be_told_ends_nothing(world: World, error: StatusError) -> None:
    world.reporter.error = error
    await world.tick()
    assert world.target.written == [("web", 5)]


@pytest.mark.parametrize(("is_gone", "known"), [(True, 0), (False, 1)])
async def test_what_is_gone_scales_nothing_any_more(world: World, is_gone: bool, known: int) -> None:
    world.reporter.error = StatusError("not written", gone=is_gone)
    await world.tick()
    assert len(world.registry) == known


@pytest.mark.parametrize("answer", [RuntimeError("boom"), MetricError("MetricTimeout", "no answer")], ids=repr)
async def test_a_whole_source_that_fails_holds_all(world: World, answer: Exception) -> None:
    world.add("api")
    world.target.sizes = {"web": 7, "api": 9}
    world.source.answer = answer
    await world.tick()
    assert world.target.sizes == {"web": 7, "api": 9}


async def test_an_older_predictive_scaler_owns_the_target(world: World) -> None:
    world.add("late", created="2026-03-01T09:00:00Z", spec={"targetRef": {"name": "web"}})
    outcomes = await world.tick()
    problem = outcomes["late"].problem(Stage.ACT)
    assert problem is not None
    assert (problem.reason, problem.message) == (
        "TargetOwned",
        'PredictiveScaler "web", the older one, sets the replicas of Deployment "web"; '
        "one of the two is enough: delete shop/late (this one) or shop/web, or give one of them mode Observe",
    )


async def test_only_the_owner_of_a_target_writes(world: World) -> None:
    world.add("late", created="2026-03-01T09:00:00Z", spec={"targetRef": {"name": "web"}})
    await world.tick()
    assert world.target.written == [("web", 5)]


async def test_a_target_that_another_autoscaler_owns_is_left_alone(world: World) -> None:
    world.owners.owners["web"] = 'HorizontalPodAutoscaler "web"'
    await world.tick()
    assert world.target.written == []


async def test_a_target_whose_owner_cannot_be_known_is_left_alone(world: World) -> None:
    world.owners.error = TargetError("TargetForbidden", "grant list")
    await world.tick()
    assert world.target.written == []


async def test_a_target_at_zero_stays_there(world: World) -> None:
    world.target.sizes["web"] = 0
    await world.tick()
    assert world.target.written == []


async def test_a_forgotten_scaler_starts_from_its_status_again(world: World) -> None:
    await world.tick()
    world.cycle.forget("uid-web")
    world.source.answer = unseen()
    world.models.answer = lambda _: ModelError("run", "fails")
    world.target.write_error = CONFLICT
    outcomes = await world.tick(NOW + timedelta(hours=1))
    assert outcomes["web"].memory.recommendations[0].time == NOW + timedelta(hours=1)


@pytest.mark.parametrize("memory", [{"version": 99}, {"version": 1}, {"version": 1, "size": [1]}], ids=repr)
async def test_a_memory_that_cannot_be_read_starts_afresh(memory: dict[str, Any]) -> None:
    world = World()
    world.add("web", status={"memory": memory})
    await world.tick()
    assert world.target.written == [("web", 5)]


async def test_shared_stages_are_timed(world: World) -> None:
    await world.tick()
    assert world.reporter.timed == [Stage.OBSERVE, Stage.FORECAST]


class Restarts:
    """A cycle that tells a real Report into a status that outlives it; `restart` is what a kill leaves."""

    def __init__(self) -> None:
        self.writer = FakeStatusWriter()
        self.world = self._born()

    def _born(self) -> World:
        report = Report(writer=self.writer, metrics=Metrics(), ledger=Ledger())
        world = World()
        world.cycle = Cycle(
            source=world.source,
            models=world.models,
            target=world.target,
            owners=world.owners,
            lead_times=world.lead_times,
            reporter=report,
            registry=world.registry,
        )
        spec = {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}}}
        world.add("web", spec=spec, status=self.writer.statuses.get("uid-web", {}))
        return world

    def restart(self) -> None:
        target = self.world.target
        self.world = self._born()
        self.world.target.sizes = target.sizes

    async def tick(self, now: datetime) -> int:
        self.world.source.answer = seen(1000, at=now)
        await self.world.cycle.tick(now, self.world.registry.all())
        return self.world.target.sizes.get("web", 1)


async def _sizes(*, killed_before: Sequence[int], lost_writes: Sequence[int] = ()) -> list[int]:
    """The size after each of eight ticks; a lost write fails, and the kill comes before the status is patched."""
    story, sizes = Restarts(), []
    for tick in range(8):
        if tick in killed_before:
            story.restart()
        if tick in lost_writes:
            story.world.target.write_error = CONFLICT
            story.writer.error = StatusError("killed")
        sizes.append(await story.tick(NOW + seconds(15 * tick)))
        story.world.target.write_error, story.writer.error = None, None
    return sizes


async def test_a_restart_between_ticks_changes_no_size() -> None:
    assert await _sizes(killed_before=range(1, 8)) == await _sizes(killed_before=[])


async def test_a_kill_between_deciding_and_acting_comes_to_the_same_size_a_tick_later() -> None:
    unhurt = await _sizes(killed_before=[])
    assert await _sizes(killed_before=[1], lost_writes=[0]) == [1, *unhurt[:-1]]


async def test_a_kill_between_acting_and_telling_uses_the_rate_once() -> None:
    story = Restarts()
    await story.tick(NOW)
    story.writer.error = StatusError("killed")
    story.world.target.sizes["web"] = 1
    grown = await story.tick(NOW + seconds(60))
    story.restart()
    story.writer.error = None
    assert await story.tick(NOW + seconds(75)) == grown


async def test_fallback_after_its_time_survives_a_restart() -> None:
    story = Restarts()
    story.world.target.sizes["web"] = 3
    await story.tick(NOW)
    story.restart()
    status: Any = story.writer.statuses["uid-web"]
    assert Memory.from_json(status["memory"]).last_metric == NOW
