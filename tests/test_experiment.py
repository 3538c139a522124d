"""An experiment on the live cycle: whose decision is written, what counts, and what pauses and restarts do to it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.core import codec
from controller.core.experiment import Arm, Tally, arm_at
from controller.core.record import Record, difference
from controller.experiment import Phase, Trial, met, restored
from controller.ledger import Ledger
from controller.metrics import Metrics
from controller.ports import MetricError, TargetError
from controller.registry import Registry
from controller.report import Report
from controller.spec import ScalerSpec
from tests.builders import FRESH, NOW, body, forecast, scaler, seen, series
from tests.fakes import FakeReporter, FakeStatusWriter
from tests.test_cycle import World
from tests.trials import trial

MINUTE = timedelta(minutes=1)
SPEC: dict[str, Any] = {
    "mode": "Experiment",
    "maxReplicas": 100,
    "intervalSeconds": 60,
    "forecast": {"leadTime": "2m"},
    "experiment": {"windows": 4, "windowLength": "20m"},
}
WASHED = 8  # minutes of each window: 2 of the lead time, 1 of the interval, 5 until replicas may go
HIGH, LOW = 50, 10  # replicas that the forecast and the load call for
COUNTED = timedelta(minutes=20 - WASHED).total_seconds()


@dataclass(kw_only=True)
class Life:
    """A scaler that ticks each minute; its status outlives the controller."""

    spec: dict[str, Any] = field(default_factory=lambda: SPEC)
    generation: int = 1
    load: float | None = 100.0 * LOW
    writer: FakeStatusWriter = field(default_factory=FakeStatusWriter)
    minute: int = 0

    def __post_init__(self) -> None:
        self.sizes: dict[str, int] = {"web": LOW}
        self.restart()

    def restart(self) -> None:
        """A new process, which knows nothing but what the cluster keeps."""
        self.world = World(registry=Registry())
        self.world.target.sizes = self.sizes
        self.world.models.answer = lambda asked: forecast(*[100.0 * HIGH] * 3, origin=asked.history.end)
        self.metrics = Metrics()
        self.report = Report(writer=self.writer, metrics=self.metrics, ledger=Ledger())
        self.world.cycle._reporter = self.report
        self.put(self.spec)

    def put(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.generation += 1
        self.world.add("web", spec=spec, generation=self.generation, status=self.status)

    @property
    def now(self) -> datetime:
        return NOW + self.minute * MINUTE

    @property
    def status(self) -> dict[str, Any]:
        return json.loads(json.dumps(self.writer.statuses.get("uid-web", {})))  # type: ignore[no-any-return]

    @property
    def trial(self) -> Trial:
        held = self.world.cycle._held["uid-web"].trial
        assert held is not None
        return held

    async def tick(self, minutes: int = 1) -> None:
        for _ in range(minutes):
            history = series([math.nan], end=self.now)  # nothing to score the forecasts by
            missing = MetricError("MetricEmpty", "no series")
            self.world.source.answer = missing if self.load is None else seen(self.load, self.now, history)
            await self.world.cycle.tick(self.now, self.world.registry.all())
            self.minute += 1

    def events(self, reason: str) -> list[str]:
        return [event.note for event in self.writer.events if event.reason == reason]


@pytest.fixture
def life() -> Life:
    return Life()


def _arms(of: Trial) -> list[Arm]:
    """By window."""
    plan = of.experiment.plan
    return [arm_at(of.experiment, of.experiment.start + window * plan.window_length) for window in range(plan.windows)]


def _known(of: Trial) -> list[float]:
    return [tally.known for tally in of.experiment.tallies]


async def test_the_target_follows_the_arm_whose_window_it_is(life: Life) -> None:
    """What the forecast adds is there at the end of the predictive arm's windows, and gone at that of the others."""
    sizes = []
    for _ in range(4):
        await life.tick(20)
        sizes.append(life.sizes["web"])
    assert sizes == [HIGH if arm is Arm.PREDICTIVE else LOW for arm in _arms(life.trial)]
    assert sorted(sizes) == [LOW, LOW, HIGH, HIGH]


async def test_the_status_says_whose_turn_it_is(life: Life) -> None:
    await life.tick(21)
    told = life.status["experiment"]
    assert (told["phase"], told["arm"], told["window"], told["of"]) == ("Running", _arms(life.trial)[1].value, 2, 4)
    assert (told["windowEndsAt"], told["endsAt"]) == ("2026-03-02T12:40:00Z", "2026-03-02T13:20:00Z")


async def test_a_new_turn_is_told_at_once(life: Life) -> None:
    """Else the status could name the wrong arm until the next checkpoint."""
    await life.tick(20)
    before = len(life.writer.patches)
    await life.tick()
    assert (len(life.writer.patches), life.status["experiment"]["window"]) == (before + 1, 2)


async def test_each_decision_names_its_arm(life: Life) -> None:
    for window in range(4):
        await life.tick(20)
        arm = _arms(life.trial)[window].value
        assert f"Experiment: window {window + 1} of 4 is the {arm} arm's" in life.status["lastDecision"]["message"]


async def test_the_wash_out_does_not_count(life: Life) -> None:
    await life.tick(WASHED + 1)
    assert _known(life.trial) == [0]
    await life.tick()
    assert _known(life.trial) == [60]
    await life.tick(71)
    assert _known(life.trial) == [COUNTED] * 4


async def test_the_forecast_is_made_in_every_window(life: Life) -> None:
    await life.tick(40)
    assert len(life.world.models.batches) == 40


async def test_while_the_reactive_arm_decides_the_forecast_is_not_said_to_lose(life: Life) -> None:
    answers = set()
    for _ in range(80):
        await life.tick()
        answers |= {(one["status"], one["reason"]) for one in life.status["conditions"] if one["type"] == "Forecasting"}
    assert answers == {("True", "Forecasting")}


async def test_the_end_is_told_once_with_what_was_found(life: Life) -> None:
    await life.tick(80)
    assert life.events("ExperimentEnded") == []
    await life.tick(20)
    (note,) = life.events("ExperimentEnded")
    assert note.startswith("over 2 pairs of windows, predictive had 50 replicas and reactive 10 (+40, of which fewer")
    assert life.status["experiment"]["phase"] == "Ended"


async def test_whether_it_is_significant_is_said_at_the_end_only(life: Life) -> None:
    await life.tick(79)
    assert "significant" not in life.status["experiment"]["result"]
    await life.tick(3)
    assert life.status["experiment"]["result"]["significant"] is False  # two pairs never are


@pytest.mark.slow
async def test_enough_windows_find_the_difference() -> None:
    life = Life(spec=SPEC | {"experiment": {"windows": 16, "windowLength": "20m"}})
    await life.tick(16 * 20 + 1)
    result = life.status["experiment"]["result"]
    assert (result["pairs"], result["significant"]) == (8, True)
    assert result["replicaHours"] == {
        "reactive": LOW,
        "predictive": HIGH,
        "difference": HIGH - LOW,
        "low": HIGH - LOW,
        "high": HIGH - LOW,
    }
    assert result["underProvisioned"]["difference"] == 0


async def test_after_the_end_the_predictive_arm_goes_on(life: Life) -> None:
    await life.tick(100)
    assert life.sizes["web"] == HIGH
    assert life.status["lastDecision"]["message"].endswith("all 4 windows are over; the predictive arm goes on")


async def test_a_test_of_the_reactive_arm_alone_goes_on_without_the_forecast() -> None:
    life = Life(spec=SPEC | {"experiment": SPEC["experiment"] | {"arms": ["reactive", "reactive"]}})
    await life.tick(100)
    assert life.sizes["web"] == LOW
    assert set(life.status["experiment"]["result"]["replicaHours"]) == {"first", "second", "difference"}


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 7, 19, 20, 21, 33, 79, 81])
async def test_a_restart_changes_nothing(life: Life, at: int) -> None:
    undisturbed = Life()
    await undisturbed.tick(90)
    await life.tick(at)
    life.restart()
    await life.tick(90 - at)
    assert life.trial.experiment.start == undisturbed.trial.experiment.start
    assert _arms(life.trial) == _arms(undisturbed.trial)
    assert life.sizes == undisturbed.sizes
    for mine, theirs in zip(life.trial.experiment.tallies, undisturbed.trial.experiment.tallies, strict=True):
        assert mine.known == pytest.approx(theirs.known, abs=240)  # four ticks are written at once
        assert mine.replicas == pytest.approx(theirs.replicas, abs=240 * HIGH)
    assert life.status["experiment"]["phase"] == "Ended"


async def test_a_restart_at_the_end_keeps_the_result(life: Life) -> None:
    await life.tick(90)
    result = life.status["experiment"]["result"]
    life.restart()
    await life.tick()
    assert life.status["experiment"]["result"] == result
    assert len(life.events("ExperimentEnded")) == 1


@pytest.mark.parametrize("mode", ["Paused", "Observe", "Active"])
async def test_another_mode_in_between_does_not_count_and_time_goes_on(life: Life, mode: str) -> None:
    await life.tick(20)
    life.put(SPEC | {"mode": mode})
    await life.tick(20)
    told = life.status["experiment"]
    assert (told["phase"], "arm" in told, "window" in told) == ("Waiting", False, False)
    life.put(SPEC)
    await life.tick(41)
    assert _known(life.trial) == [COUNTED - 60, 0, COUNTED, COUNTED]  # the last minute ended in the other mode
    assert life.trial.phase is Phase.ENDED
    assert life.status["experiment"]["result"]["pairs"] == 1


async def test_in_mode_observe_nothing_is_written(life: Life) -> None:
    await life.tick(20)
    life.put(SPEC | {"mode": "Observe"})
    written = len(life.world.target.written)
    await life.tick(40)
    assert len(life.world.target.written) == written


async def test_an_experiment_that_ends_in_another_mode_has_ended(life: Life) -> None:
    await life.tick(70)
    life.put(SPEC | {"mode": "Active"})
    await life.tick(20)
    assert life.status["experiment"]["phase"] == "Ended"
    assert len(life.events("ExperimentEnded")) == 1


async def test_the_result_stays_after_the_end_in_mode_active_and_over_a_restart(life: Life) -> None:
    await life.tick(90)
    result = life.status["experiment"]["result"]
    life.put(SPEC | {"mode": "Active"})
    await life.tick(10)
    life.restart()
    await life.tick(10)
    assert life.status["experiment"]["result"] == result


@pytest.mark.parametrize(
    "change",
    [
        {"experiment": {"windows": 6, "windowLength": "20m"}},
        {"experiment": {"windows": 4, "windowLength": "30m"}},
        {"experiment": {"windows": 4, "windowLength": "20m", "arms": ["predictive", "predictive"]}},
        {"maxReplicas": 90},
        {"forecast": {"leadTime": "3m"}},
        {"metric": {"prometheus": {"query": "in_another_unit"}}},
        {"targetRef": {"name": "web", "kind": "StatefulSet"}},
    ],
    ids=["windows", "length", "arms", "rules", "lead-time", "load", "target"],
)
async def test_another_question_begins_anew(life: Life, change: dict[str, Any]) -> None:
    await life.tick(30)
    life.put(SPEC | change)
    await life.tick()
    assert life.trial.experiment.start == NOW + 30 * MINUTE
    assert life.trial.experiment.tallies == (Tally(),)


async def test_the_same_spec_in_another_generation_goes_on(life: Life) -> None:
    await life.tick(30)
    life.put(dict(SPEC))
    await life.tick()
    assert life.trial.experiment.start == NOW


async def test_without_an_experiment_in_the_spec_there_is_none_in_the_status(life: Life) -> None:
    await life.tick(30)
    life.put({name: value for name, value in SPEC.items() if name != "experiment"} | {"mode": "Active"})
    await life.tick()
    assert "experiment" not in life.status


async def test_a_refused_spec_keeps_the_experiment(life: Life) -> None:
    await life.tick(30)
    life.put(SPEC | {"maxReplicas": 0})
    await life.tick(4)
    life.put(SPEC)
    await life.tick()
    assert life.trial.experiment.start == NOW


async def test_time_without_a_metric_does_not_count(life: Life) -> None:
    await life.tick(12)
    life.load = None
    await life.tick(4)
    life.load = 100.0 * LOW
    await life.tick(5)
    assert _known(life.trial)[0] == COUNTED - 4 * 60


async def test_time_in_which_another_sets_the_size_does_not_count(life: Life) -> None:
    life.world.owners.owners["web"] = 'HorizontalPodAutoscaler "web"'
    await life.tick(41)
    assert (_known(life.trial), life.world.target.written) == ([0, 0, 0], [])


async def test_a_write_that_failed_is_made_anew_and_that_time_does_not_count(life: Life) -> None:
    await life.tick(12)
    known = _known(life.trial)[0]
    life.sizes["web"] = 5
    life.world.target.write_error = TargetError("TargetConflict", "changed meanwhile")
    await life.tick()
    life.world.target.write_error = None
    await life.tick()
    assert life.sizes["web"] > 5
    assert _known(life.trial)[0] == known


async def test_a_target_that_cannot_be_read_holds_up_nothing(life: Life) -> None:
    await life.tick(81)
    life.world.target.read_error = TargetError("TargetMissing", "gone")
    await life.tick(3)
    assert len(life.events("ExperimentEnded")) == 1


@pytest.mark.parametrize("minutes", [5, 25, 45, 65])
async def test_each_decision_of_either_arm_replays(life: Life, minutes: int) -> None:
    await life.tick(minutes)
    listener = FakeReporter()
    life.world.cycle._reporter = listener
    await life.tick()
    record = listener.outcomes["web"].record
    assert record is not None
    kept = codec.from_json(Record, json.loads(json.dumps(codec.to_json(Record, record.thinned()))))
    assert kept.inputs.turn is not None
    assert difference(kept, kept.replayed()) is None
    assert kept.decision == record.decision


def test_a_state_that_cannot_be_read_is_refused() -> None:
    status: Mapping[str, Any] = {"experiment": {"state": {"version": 99}}}
    with pytest.raises(ValueError, match="version 99 of an experiment is not known"):
        restored(status)


async def test_a_state_that_cannot_be_read_begins_anew() -> None:
    life = Life()
    life.writer.statuses["uid-web"] = {"experiment": {"state": {"version": 99}}}
    life.restart()
    await life.tick()
    assert life.trial.experiment.start == NOW


def test_what_was_found_in_words() -> None:
    assert trial().words == (
        "over 12 pairs of windows, predictive had 6 replicas and reactive 5 (+1, from +1 to +1, more than chance); "
        "too few were ready in 0.00% and 10.00% of the time (-10 points, from -10 to -10, "
        "more than chance)"
    )
    assert trial(pairs=4).words.startswith("over 4 pairs of windows, predictive had 6 replicas and reactive 5 (+1, of")
    assert trial(pairs=0).words == "no pair of windows can be compared yet"


@pytest.mark.parametrize(("length", "is_told"), [("15m", True), ("16m", False)])
async def test_windows_too_short_for_the_wash_out_are_told(length: str, is_told: bool) -> None:
    """8 minutes of each are washed out: half of 16."""
    life = Life(spec=SPEC | {"experiment": {"windows": 4, "windowLength": length}})
    await life.tick(33)
    message = life.status["experiment"]["result"]["message"]
    assert message.endswith("lengthen them") == is_told


def test_the_scaler_of_an_experiment_is_in_the_way_of_a_younger_one() -> None:
    registry = Registry()
    registry.put(body("older", spec=SPEC | {"targetRef": {"name": "web"}}))
    registry.put(body("younger", created="2026-03-01T00:00:01Z", spec={"targetRef": {"name": "web"}}))
    (found,) = [one for one in registry.all() if one.name == "younger"]
    rival = registry.rival(found)
    assert rival is not None
    assert rival.name == "older"


EXPERIMENT = {
    "mode": "Experiment",
    "experiment": {},
    "forecast": {"leadTime": "auto"},
    "objective": {"underProvisionedTime": "1%"},
}
GROUP = {"kind": "AutoScalingGroup", "name": "workers", "region": "eu-central-1"}


def _identity(spec: dict[str, Any]) -> str:
    made = scaler(spec=spec).spec
    assert isinstance(made, ScalerSpec)
    return met(None, NOW, "uid", made, FRESH).experiment.identity  # type: ignore[union-attr]  # the mode is Experiment


def test_the_mark_of_what_is_compared_outlives_a_release() -> None:
    """As releases wrote it that knew neither CloudWatch nor groups: else an upgrade would begin an experiment anew."""
    assert _identity(EXPERIMENT) == "c56758f9fc51ccab"


def test_a_group_of_the_same_name_in_another_region_is_another_target() -> None:
    here, there = (
        _identity(EXPERIMENT | {"targetRef": GROUP | {"region": region}}) for region in ("eu-west-1", "us-east-1")
    )
    assert here != there
