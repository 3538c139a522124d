"""When is something told, and when not: status patches and events."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.core.scorecard import Scorecard, Tally, added
from controller.core.startup import LeadTime, LeadTimeSource
from controller.grading import Grade
from controller.ledger import Ledger
from controller.metrics import Metrics
from controller.outcome import Outcome, Problem, Stage
from controller.ports import StatusError
from controller.registry import STATUS_MANAGER, Scaler, read
from controller.report import CHECKPOINT_INTERVALS, RIVAL_INTERVALS, Report
from tests.builders import FRESH, INTERVAL, NOW, body, forecast, record, scaler, seconds
from tests.fakes import FakeStatusWriter

BROKEN = Problem(stage=Stage.ACT, reason="TargetConflict", message="changed meanwhile")
OTHERWISE_BROKEN = Problem(stage=Stage.ACT, reason="TargetForbidden", message="may not")


class World:
    def __init__(self) -> None:
        self.writer, self.ledger, self.metrics = FakeStatusWriter(), Ledger(), Metrics()
        self.report = Report(writer=self.writer, metrics=self.metrics, ledger=self.ledger, group="a/own")

    async def tell(
        self,
        tick: int,
        *problems: Problem,
        load: float = 50,
        written: bool = False,
        of: Scaler | None = None,
        current: int = 5,
    ) -> None:
        """Report the tick number `tick` of a scaler of size `current`."""
        now = NOW + tick * INTERVAL
        made = record(load, at=now, ahead=forecast(1), current=current)
        outcome = Outcome(
            time=now,
            problems=problems,
            record=made,
            decision=made.decision,
            forecast=forecast(1),
            is_written=written,
            memory=made.memory,
        )
        await self.report.report(of or scaler(), outcome)

    def reasons(self) -> list[str]:
        return [event.reason for event in self.writer.events]


@pytest.fixture
def world() -> World:
    return World()


async def test_the_first_tick_is_written(world: World) -> None:
    await world.tell(0)
    assert len(world.writer.patches) == 1


async def test_the_same_again_is_not_written(world: World) -> None:
    await world.tell(0, load=50)
    await world.tell(1, load=51)
    assert len(world.writer.patches) == 1


async def test_the_memory_is_written_at_each_checkpoint(world: World) -> None:
    for tick in range(3 * CHECKPOINT_INTERVALS):
        await world.tell(tick)
    assert len(world.writer.patches) == 3


async def test_the_memory_is_written_after_the_clock_was_put_back(world: World) -> None:
    await world.tell(1000)
    await world.tell(0)
    assert len(world.writer.patches) == 2


@pytest.mark.parametrize(
    ("problems", "load", "patches"),
    [((), 99, 2), ((BROKEN,), 50, 2), ((), 50, 1)],
    ids=["another-size", "another-condition", "nothing"],
)
async def test_patches_by_what_is_new(world: World, problems: tuple[Problem, ...], load: float, patches: int) -> None:
    await world.tell(0)
    await world.tell(1, *problems, load=load)
    assert len(world.writer.patches) == patches


@pytest.mark.parametrize(
    ("mode", "loads", "patches"),
    [("Observe", (0, 50), 2), ("Observe", (50, 51), 1), ("Observe", (50, 120), 2), ("Active", (0, 50), 1)],
)
async def test_whoever_may_wake_a_target_at_0_hears_of_its_load(
    world: World, mode: str, loads: tuple[float, float], patches: int
) -> None:
    for tick, load in enumerate(loads):
        await world.tell(tick, load=load, current=0, of=scaler(spec={"mode": mode}))
    assert len(world.writer.patches) == patches


async def test_another_reason_is_news_but_no_flip(world: World) -> None:
    await world.tell(0, BROKEN)
    world.writer.events.clear()
    await world.tell(1, OTHERWISE_BROKEN)
    assert (len(world.writer.patches), world.reasons()) == (2, [])


@pytest.mark.parametrize(
    ("changes", "patches"),
    [({"template": "b"}, 2), ({"source": LeadTimeSource.LEARNT}, 2), ({"duration": seconds(121), "waiting": 3}, 1)],
    ids=["another-template", "learnt", "longer"],
)
async def test_a_lead_time_is_news_by_how_it_is_known(world: World, changes: dict[str, Any], patches: int) -> None:
    """Not by each second that a pod waits longer: that is told at the next checkpoint."""
    first = LeadTime(duration=seconds(120), source=LeadTimeSource.DEFAULT, template="a")
    for lead_time in (first, replace(first, **changes)):
        await world.report.report(scaler(), Outcome(time=NOW, lead_time=lead_time, memory=FRESH))
    assert len(world.writer.patches) == patches


async def test_a_new_generation_is_news(world: World) -> None:
    await world.tell(0)
    await world.tell(1, of=scaler(generation=2))
    assert world.writer.statuses["uid-web"]["observedGeneration"] == 2


async def test_that_a_new_scaler_is_well_is_no_event(world: World) -> None:
    await world.tell(0)
    assert world.reasons() == []


async def test_each_change_of_size_is_one_event(world: World) -> None:
    await world.tell(0, load=99, written=True)
    await world.tell(1, load=99)
    assert world.reasons() == ["Scaled"]


async def test_the_event_of_a_change_says_from_where_to_where_and_why(world: World) -> None:
    await world.tell(0, load=99, written=True)
    (event,) = world.writer.events
    assert event.note.startswith("from 5 to 10 replicas: Load 5 -> 10: Seen (burst")
    assert event.note.endswith("load 99 / 10 per replica needs 10")


async def test_each_flipped_condition_is_one_event(world: World) -> None:
    await world.tell(0)
    await world.tell(1, BROKEN)
    await world.tell(2, BROKEN)
    assert [(event.type, event.reason) for event in world.writer.events] == [("Warning", "TargetConflict")] * 2


async def test_a_verdict_is_an_event_and_never_a_warning(world: World) -> None:
    watched, day = scaler(spec={"mode": "Observe"}), 86_400
    made = record(50, at=NOW, ahead=forecast(1), current=5)
    for tick, known in enumerate((0.9, 2, 2)):
        tally = Tally(known=known * day, own_replicas=9 * day, actual_replicas=5 * day)
        grade = Grade(target="", rules="").counted(added(Scorecard(), NOW, tally), NOW)
        now = NOW + tick * INTERVAL
        outcome = Outcome(time=now, decision=made.decision, forecast=forecast(1), memory=made.memory, grade=grade)
        await world.report.report(watched, outcome)
    assert [(event.type, event.reason) for event in world.writer.events] == [("Normal", "CostsMore")]


async def test_a_condition_that_is_well_again_is_an_event(world: World) -> None:
    await world.tell(0, BROKEN)
    world.writer.events.clear()
    await world.tell(1)
    assert [(event.type, event.reason) for event in world.writer.events] == [
        ("Normal", "Scaling"),
        ("Normal", "ReadyForNewScale"),
    ]


async def test_a_restart_repeats_no_flip(world: World) -> None:
    await world.tell(0, BROKEN)
    restarted = World()
    await restarted.tell(1, BROKEN, of=scaler(status=world.writer.statuses["uid-web"]))
    assert restarted.reasons() == []


async def test_a_failed_status_is_written_at_the_next_tick(world: World) -> None:
    world.writer.error = StatusError("refused")
    await world.tell(0)
    world.writer.error = None
    await world.tell(1)
    assert len(world.writer.patches) == 1


async def test_flips_wait_for_a_status_that_can_be_written(world: World) -> None:
    await world.tell(0)
    world.writer.error = StatusError("refused")
    await world.tell(1, BROKEN)
    waiting = list(world.reasons())
    world.writer.error = None
    await world.tell(2, BROKEN)
    await world.tell(3, BROKEN)
    assert (waiting, world.reasons()) == ([], ["TargetConflict"] * 2)


async def test_a_change_of_size_is_told_even_when_the_status_cannot_be(world: World) -> None:
    world.writer.error = StatusError("refused")
    await world.tell(0, load=99, written=True)
    assert world.reasons() == ["Scaled"]


async def test_an_event_that_cannot_be_recorded_does_not_end_the_report(world: World) -> None:
    world.writer.event_error = StatusError("refused")
    await world.tell(0, BROKEN)
    assert len(world.writer.patches) == 1


@pytest.mark.parametrize(("part", "reason"), [("error", "StatusNotWritten"), ("event_error", "EventNotRecorded")])
async def test_what_cannot_be_told_is_counted_as_an_error_of_the_report(world: World, part: str, reason: str) -> None:
    setattr(world.writer, part, StatusError("refused"))
    await world.tell(0, BROKEN, load=99, written=True)
    labels = {"namespace": "shop", "scaler": "web", "step": "report", "reason": reason}
    assert world.metrics.registry.get_sample_value("predictive_scaler_errors_total", labels)


async def test_that_the_scaler_is_gone_is_passed_on(world: World) -> None:
    world.writer.error = StatusError("deleted", gone=True)
    with pytest.raises(StatusError):
        await world.tell(0)


async def test_decisions_come_into_the_ledger(world: World) -> None:
    await world.tell(0)
    await world.tell(1, load=80)
    told = [json.loads(text)["record"]["decision"]["replicas"] for text in world.ledger.texts("uid-web", 9)]
    assert told == [5, 8]


def _series_of_scalers(world: World) -> list[Any]:
    return [
        sample
        for family in world.metrics.registry.collect()
        for sample in family.samples
        if sample.labels.get("scaler") == "web"
    ]


async def test_metrics_go_with_the_scaler(world: World) -> None:
    await world.tell(0, BROKEN, load=99, written=True)
    world.report.forget("uid-web")
    assert _series_of_scalers(world) == []


async def test_of_what_another_replica_serves_nothing_is_told_and_the_records_stay(world: World) -> None:
    await world.tell(0)
    world.report.leave("uid-web")
    assert (_series_of_scalers(world), len(world.ledger.texts("uid-web", 9))) == ([], 1)


async def test_the_ledger_goes_with_the_scaler(world: World) -> None:
    await world.tell(0)
    world.report.forget("uid-web")
    assert world.ledger.texts("uid-web", 9) == []


async def test_after_it_was_forgotten_a_scaler_is_told_anew(world: World) -> None:
    await world.tell(0)
    world.report.forget("uid-web")
    await world.tell(1)
    assert len(world.writer.patches) == 2


async def test_a_scaler_of_a_short_interval_is_checkpointed_by_its_own_interval(world: World) -> None:
    quick = scaler(spec={"intervalSeconds": 60})
    for tick in range(4):
        await world.tell(tick, of=quick)
    assert (len(world.writer.patches), INTERVAL) == (1, seconds(15))


def _stored(version: int, **times: str) -> dict[str, Any]:
    """The object at a version; by name of a controller in namespace a, when it last wrote in the status."""
    made = body()
    entries = [
        {"manager": f"{STATUS_MANAGER}a/{name}", "subresource": "status", "time": time} for name, time in times.items()
    ]
    made["metadata"] |= {"resourceVersion": str(version), "managedFields": entries}
    return made


class TestAnotherController:
    """What was there before we wrote is a predecessor's; who writes after us is there now."""

    async def told(self, world: World, after: dict[str, Any], then: dict[str, Any], tick: int = 1) -> str:
        """The reason of Ready at a tick that sees `then`, after one whose status made the object `after`."""
        world.writer.after = after
        await world.tell(0, of=read(_stored(4)))
        await world.tell(tick, of=read(then))
        return self.reason(world)

    def reason(self, world: World) -> str:
        return str(world.writer.statuses["uid-web"]["conditions"][0]["reason"])

    @pytest.mark.parametrize(
        ("after", "then", "reason"),
        [
            (_stored(5, own="1"), _stored(6, own="1", other="2"), "AnotherController"),
            (_stored(5, own="1", other="0"), _stored(6, own="1", other="2"), "AnotherController"),
            (_stored(5, own="1"), _stored(6, other="1"), "AnotherController"),
            (_stored(5, own="1"), _stored(5, own="1"), "Scaling"),
            (_stored(5, own="1", other="0"), _stored(6, own="2", other="0"), "Scaling"),
            (_stored(5, own="1"), _stored(4, other="0"), "Scaling"),
        ],
        ids=["new", "again", "took-all", "nobody", "predecessor", "the-watch-is-late"],
    )
    async def test_by_who_wrote_since(
        self, world: World, after: dict[str, Any], then: dict[str, Any], reason: str
    ) -> None:
        assert await self.told(world, after, then) == reason

    async def test_there_is_one_event_that_names_it(self, world: World) -> None:
        await self.told(world, _stored(5, own="1"), _stored(6, own="1", other="2"))
        world.writer.after = _stored(7, own="3", other="2")
        await world.tell(2, of=read(_stored(8, own="3", other="4")))
        (event,) = [one for one in world.writer.events if one.reason == "AnotherController"]
        assert (event.type, '"a/other"' in event.note) == ("Warning", True)

    @pytest.mark.parametrize(
        ("ticks", "reason"), [(RIVAL_INTERVALS - 1, "AnotherController"), (RIVAL_INTERVALS, "Scaling")]
    )
    async def test_it_is_told_until_it_has_been_away_for_long(self, world: World, ticks: int, reason: str) -> None:
        """Of two that write in turns, each sees itself as the last one now and then."""
        await self.told(world, _stored(5, own="1"), _stored(6, own="1", other="2"))
        world.writer.after = _stored(7, own="3", other="2")
        for tick in range(2, ticks + 2):
            await world.tell(tick, of=read(_stored(7, own="3", other="2")))
        assert self.reason(world) == reason

    async def test_who_does_not_know_versions_notices_nothing(self, world: World) -> None:
        assert await self.told(world, body(), _stored(6, other="2")) == "Scaling"
