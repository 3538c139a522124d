"""The failure table, row by row: what the cycle does, and what the user sees in condition, event and metric.

Each row runs one good tick, breaks one thing, and runs another. `size` is the target's size after that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.core.memory import Memory, TrackRecord
from controller.core.startup import LeadTime, LeadTimeSource
from controller.cycle import Cycle
from controller.ledger import Ledger
from controller.metrics import Metrics
from controller.outcome import Problem, Stage
from controller.ports import MetricError, ModelError, TargetError
from controller.registry import Registry
from controller.report import Report
from controller.spec import TargetRef
from controller.targets.claims import Claims, Field
from tests.builders import NOW, body, forecast, seconds, seen, series, unseen
from tests.fakes import FakeLeadTimes, FakeModels, FakeOwners, FakeSource, FakeStatusWriter, FakeTarget

LATER = NOW + seconds(30)
LATER_STILL = NOW + timedelta(minutes=20)
AT_REST = seen(500, at=LATER)
"""A load for which the 5 replicas of the first tick are right."""


class World:
    """A cycle that reports for real. "web" serves 100 a replica and falls back to 8; "other" is its neighbour."""

    def __init__(self) -> None:
        self.source = FakeSource(answer=seen(500))
        self.models = FakeModels()
        self.target = FakeTarget(sizes={"web": 5, "other": 5})
        self.owners = FakeOwners()
        self.lead_times = FakeLeadTimes()
        self.writer = FakeStatusWriter()
        self.metrics = Metrics()
        self.registry = Registry()
        report = Report(writer=self.writer, metrics=self.metrics, ledger=Ledger())
        self.cycle = Cycle(
            source=self.source,
            models=self.models,
            target=self.target,
            owners=self.owners,
            lead_times=self.lead_times,
            reporter=report,
            registry=self.registry,
        )
        self.registry.put(body("web", spec=WEB))
        self.registry.put(body("other"))

    def lead_time(self) -> dict[str, Any]:
        """What the status says of it."""
        return dict(self.writer.statuses["uid-web"]["leadTime"])

    async def tick(self, now: datetime) -> None:
        await self.cycle.tick(now, self.registry.all())

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason."""
        found = {one["type"]: one for one in self.writer.statuses["uid-web"]["conditions"]}
        return found[kind]["status"], found[kind]["reason"]

    def events(self) -> list[tuple[str, str]]:
        return [(event.type, event.reason) for event in self.writer.events if event.uid == "uid-web"]

    def errors(self) -> dict[tuple[str, str], float]:
        """Counted problems by step and reason."""
        family = next(one for one in self.metrics.registry.collect() if one.name == "predictive_scaler_errors")
        return {
            (sample.labels["step"], sample.labels["reason"]): sample.value
            for sample in family.samples
            if sample.labels["scaler"] == "web" and sample.name.endswith("_total")
        }

    def message(self, kind: str) -> str:
        found = {one["type"]: one for one in self.writer.statuses["uid-web"]["conditions"]}
        return str(found[kind]["message"])


AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0}}
WEB: dict[str, Any] = {"fallback": {"after": "10m", "replicas": 8}, "maxReplicas": 20}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: how it is broken, and what must follow. `when`: the time of the second tick."""

    name: str
    break_: Callable[[World], None]
    condition: str
    reason: str
    step: str | None = None
    size: int = 5
    when: datetime = LATER
    words: str = ""


def _refuse(world: World) -> None:
    world.registry.put(body("web", generation=2, spec=WEB | {"maxReplicas": 0}))


def _answer(answer: Any) -> Callable[[World], None]:
    def break_(world: World) -> None:
        world.source.by_query[QUERY] = answer

    return break_


QUERY = "sum(rate(http_requests_total[1m]))"


def _model(error: ModelError) -> Callable[[World], None]:
    def break_(world: World) -> None:
        world.models.model = error

    return break_


def _output(world: World) -> None:
    world.models.answer = lambda _: ModelError("output-finite", "the forecast holds NaN or infinity")
    world.source.answer = seen(700, at=LATER, history=series([1.0], end=LATER))


def _read(reason: str) -> Callable[[World], None]:
    def break_(world: World) -> None:
        world.target.failing, world.target.read_error = "web", TargetError(reason, f"words for {reason}")

    return break_


def _write(reason: str) -> Callable[[World], None]:
    def break_(world: World) -> None:
        world.source.answer = seen(900, at=LATER)
        world.target.failing, world.target.write_error = "web", TargetError(reason, f"words for {reason}")

    return break_


def _coordinated(world: World) -> None:
    """ "web" is a group whose pods nobody knows: the load would let it shrink."""
    group = {"kind": "AutoScalingGroup", "name": "web", "region": "eu-central-1"}
    lost = {"targetRef": group, "coordination": {"scaler": "pods", "replicasPerUnit": 4}}
    world.registry.put(body("web", generation=2, spec=WEB | lost | {"behavior": AT_ONCE}))
    world.source.answer = seen(100, at=LATER)


def _misled(world: World) -> None:
    """It names a group, itself."""
    _coordinated(world)
    spec = {"coordination": {"scaler": "web", "replicasPerUnit": 4}}
    whole = {"targetRef": {"kind": "AutoScalingGroup", "name": "web", "region": "eu-central-1"}} | spec
    world.registry.put(body("web", generation=3, spec=WEB | whole | {"behavior": AT_ONCE}))


def _owned(world: World) -> None:
    world.source.answer = seen(900, at=LATER)
    world.owners.owners["web"] = 'HorizontalPodAutoscaler "web"'


def _kept_by_git(world: World) -> None:
    """What was written is set back, and the owner says so with what is to be pasted."""
    world.source.answer = seen(900, at=LATER)
    field = Field.of("shop", TargetRef(api_version="apps/v1", kind="Deployment", name="web"))
    claims = Claims(lambda: 0.0)
    claims.wrote(field, 7)
    claims.saw(field, 5, ["argocd-controller"])
    owner = claims.owner(field, 1)
    assert owner is not None
    world.owners.owners["web"] = owner


def _floor(break_: Callable[[World], None]) -> Callable[[World], None]:
    """ "web" is the autoscaler whose floor is raised."""

    def broken(world: World) -> None:
        target = {"targetRef": {"kind": "HorizontalPodAutoscaler", "name": "web"}}
        world.registry.put(body("web", generation=2, spec=WEB | target))
        break_(world)

    return broken


def _lose(world: World) -> None:
    """A record that lost by twice the naive loss, as it is after a restart; the forecast asks for 20 replicas."""
    record = TrackRecord(settled=1e6, loss=2e12, loss_persistence=1e12, loss_seasonal=1e12)
    status = {"memory": Memory(track=record).to_json(), "model": {"digest": world.models.digest}}
    world.registry.discard("uid-web")
    world.registry.put(body("web", spec=WEB, status=status))
    world.cycle.forget("uid-web")
    world.models.answer = lambda asked: forecast(2000, origin=asked.history.end)
    world.source.answer = seen(500, at=LATER, history=series([1.0], end=LATER))


def _break_unforeseen(world: World) -> None:
    world.source.answer = seen(900, at=LATER)
    world.target.failing, world.target.read_error = "web", RuntimeError("boom")


ROWS = [
    Row(name="spec refused", break_=_refuse, condition="Ready", reason="SpecInvalid", words="maxReplicas"),
    Row(
        name="metric missing",
        break_=_answer(MetricError("MetricEmpty", "no series")),
        condition="MetricsAvailable",
        reason="MetricEmpty",
        step="observe",
        words="no series",
    ),
    Row(
        name="metric null, NaN or too old",
        break_=_answer(unseen("the last sample is too old", "MetricStale")),
        condition="MetricsAvailable",
        reason="MetricStale",
        step="observe",
        words="too old",
    ),
    Row(
        name="metric missing beyond fallback.after",
        break_=_answer(MetricError("MetricEmpty", "no series")),
        condition="MetricsAvailable",
        reason="MetricEmpty",
        step="observe",
        when=LATER_STILL,
        size=8,
    ),
    Row(
        name="AWS allows no more questions",
        break_=_answer(MetricError("MetricThrottled", "it is asked again in 4 s")),
        condition="MetricsAvailable",
        reason="MetricThrottled",
        step="observe",
        words="asked again",
    ),
    Row(
        name="the step is no whole number of periods",
        break_=_answer(MetricError("MetricPeriodInvalid", "period 5m does not divide")),
        condition="MetricsAvailable",
        reason="MetricPeriodInvalid",
        step="observe",
        words="5m",
    ),
    Row(
        name="model absent",
        break_=_model(ModelError("file", "there is no such file")),
        condition="Forecasting",
        reason="ModelFile",
        step="forecast",
        words="file",
    ),
    Row(
        name="model corrupt",
        break_=_model(ModelError("onnx", "refused")),
        condition="Forecasting",
        reason="ModelOnnx",
        step="forecast",
    ),
    Row(
        name="card wrong",
        break_=_model(ModelError("test-vector", "answers differently")),
        condition="Forecasting",
        reason="ModelTestVector",
        step="forecast",
        words="test-vector",
    ),
    Row(
        name="output not finite: reactive on what is seen",
        break_=_output,
        condition="Forecasting",
        reason="ModelOutputFinite",
        step="forecast",
        size=7,
    ),
    Row(name="forecast worse than naive", break_=_lose, condition="Forecasting", reason="LosingToNaive", words="0%"),
    Row(
        name="target missing",
        break_=_read("TargetNotFound"),
        condition="AbleToScale",
        reason="TargetNotFound",
        step="read",
    ),
    Row(
        name="target conflict",
        break_=_write("TargetConflict"),
        condition="AbleToScale",
        reason="TargetConflict",
        step="act",
    ),
    Row(
        name="target forbidden",
        break_=_write("TargetForbidden"),
        condition="AbleToScale",
        reason="TargetForbidden",
        step="act",
    ),
    Row(
        name="AWS knows nobody here",
        break_=_read("TargetUnauthorized"),
        condition="AbleToScale",
        reason="TargetUnauthorized",
        step="read",
    ),
    Row(
        name="AWS allows no more calls",
        break_=_read("TargetThrottled"),
        condition="AbleToScale",
        reason="TargetThrottled",
        step="read",
    ),
    Row(
        name="launches are suspended",
        break_=_write("TargetSuspended"),
        condition="AbleToScale",
        reason="TargetSuspended",
        step="act",
    ),
    Row(
        name="the pods on a group are not known: no unit is released",
        break_=_coordinated,
        condition="AbleToScale",
        reason="CoordinationUnknown",
        step="coordinate",
        words='there is no PredictiveScaler "pods"',
    ),
    Row(
        name="a group is named as the pods on a group: no unit is released",
        break_=_misled,
        condition="AbleToScale",
        reason="CoordinationInvalid",
        step="coordinate",
        words="name the one that scales the pods",
    ),
    Row(
        name="another autoscaler owns the target",
        break_=_owned,
        condition="AbleToScale",
        reason="TargetOwned",
        step="act",
        words='HorizontalPodAutoscaler "web"',
    ),
    Row(
        name="what was written is set back as Git has it",
        break_=_kept_by_git,
        condition="AbleToScale",
        reason="TargetOwned",
        step="act",
        words="jsonPointers: [/spec/replicas]",
    ),
    Row(
        name="KEDA made the autoscaler whose floor is the target",
        break_=_floor(_owned),
        condition="AbleToScale",
        reason="TargetOwned",
        step="act",
        words='sets the floor of HorizontalPodAutoscaler "web"',
    ),
    Row(
        name="the autoscaler whose floor is the target is gone",
        break_=_floor(_read("TargetNotFound")),
        condition="AbleToScale",
        reason="TargetNotFound",
        step="read",
    ),
    Row(
        name="the autoscaler may not be patched",
        break_=_floor(_write("TargetForbidden")),
        condition="AbleToScale",
        reason="TargetForbidden",
        step="act",
    ),
    Row(
        name="the bounds of an autoscaler lie apart from the scaler's",
        break_=_floor(_write("TargetNotScalable")),
        condition="AbleToScale",
        reason="TargetNotScalable",
        step="act",
    ),
    Row(
        name="anything else",
        break_=_break_unforeseen,
        condition="AbleToScale",
        reason="InternalError",
        step="decide",
        words="the last size stands",
    ),
]
COUNTED = [row for row in ROWS if row.step is not None]
AT_THE_TARGET = [row for row in ROWS if row.step in {"read", "act", "decide"}]


async def _broken(row: Row) -> World:
    world = World()
    await world.tick(NOW)
    world.writer.events.clear()
    world.source.answer = AT_REST if row.when == LATER else seen(500, at=row.when)
    row.break_(world)
    await world.tick(row.when)
    return world


def _name(row: Row | Unlearnt) -> str:
    return row.name


@pytest.mark.parametrize("row", ROWS, ids=_name)
async def test_size(row: Row) -> None:
    assert (await _broken(row)).target.sizes["web"] == row.size


@pytest.mark.parametrize("row", ROWS, ids=_name)
async def test_condition(row: Row) -> None:
    assert (await _broken(row)).condition(row.condition) == ("False", row.reason)


@pytest.mark.parametrize("row", ROWS, ids=_name)
async def test_condition_says_why(row: Row) -> None:
    assert row.words in (await _broken(row)).message(row.condition)


@pytest.mark.parametrize("row", ROWS, ids=_name)
async def test_event_warns(row: Row) -> None:
    assert ("Warning", row.reason) in (await _broken(row)).events()


@pytest.mark.parametrize("row", COUNTED, ids=_name)
async def test_error_is_counted_by_step(row: Row) -> None:
    assert (await _broken(row)).errors() == {(row.step, row.reason): 1.0}


@pytest.mark.parametrize("row", [row for row in ROWS if row.condition == "Forecasting"], ids=_name)
async def test_a_failure_of_the_forecast_leaves_the_scaler_ready(row: Row) -> None:
    assert (await _broken(row)).condition("Ready")[0] == "True"


@pytest.mark.parametrize("row", [row for row in ROWS if row.condition == "AbleToScale"], ids=_name)
async def test_a_failure_of_the_target_makes_the_scaler_not_ready(row: Row) -> None:
    assert (await _broken(row)).condition("Ready") == ("False", row.reason)


@pytest.mark.parametrize("row", AT_THE_TARGET, ids=_name)
async def test_a_failure_of_the_target_holds_up_nobody_else(row: Row) -> None:
    world = await _broken(row)
    neighbour = world.source.answer
    assert not isinstance(neighbour, Exception)
    assert neighbour.latest is not None
    assert world.target.sizes["other"] == neighbour.latest.value / 100


@pytest.mark.parametrize("row", AT_THE_TARGET, ids=_name)
async def test_once_mended_the_scaler_is_ready_again(row: Row) -> None:
    world = await _broken(row)
    world.target.read_error = world.target.write_error = None
    world.owners.owners.clear()
    await world.tick(LATER + seconds(15))
    assert world.condition("Ready") == ("True", "Scaling")


@dataclass(frozen=True, kw_only=True)
class Unlearnt:
    """A row of the lead time: it is told, and decided by what is known; nothing becomes False by it."""

    name: str
    reason: str
    words: str


UNLEARNT = [
    Unlearnt(name="pods may not be listed", reason="PodsForbidden", words="grant list on pods"),
    Unlearnt(name="the kind tells no pods", reason="PodsUnknown", words="tells no selector"),
    Unlearnt(name="the list of pods fails", reason="PodsUnavailable", words="cannot list the pods"),
    Unlearnt(name="what was stored cannot be read", reason="StartUpsMalformed", words="learnt anew"),
]


async def _unlearnt(row: Unlearnt) -> World:
    """Two ticks of a scaler that learnt 45 s; before the second one, something breaks, and 700 a second are seen."""
    world = World()
    world.registry.put(body("web", generation=2, spec=WEB | {"forecast": {"leadTime": "auto"}}))
    world.lead_times.answer = LeadTime(duration=seconds(45), source=LeadTimeSource.LEARNT, samples=9)
    await world.tick(NOW)
    world.writer.events.clear()
    world.source.answer = seen(700, at=LATER)
    world.lead_times.problem = Problem(stage=Stage.LEAD_TIME, reason=row.reason, message=row.words)
    await world.tick(LATER)
    return world


@pytest.mark.parametrize("row", UNLEARNT, ids=_name)
async def test_a_lead_time_that_cannot_be_learnt_stays_what_it_was(row: Unlearnt) -> None:
    world = await _unlearnt(row)
    assert (world.lead_time()["seconds"], world.target.sizes["web"]) == (45, 7)


@pytest.mark.parametrize("row", UNLEARNT, ids=_name)
async def test_a_lead_time_that_cannot_be_learnt_is_told(row: Unlearnt) -> None:
    world = await _unlearnt(row)
    assert world.condition("Forecasting") == ("True", row.reason)
    assert row.words in world.message("Forecasting")
    assert row.words in world.lead_time()["message"]


@pytest.mark.parametrize("row", UNLEARNT, ids=_name)
async def test_a_lead_time_that_cannot_be_learnt_is_counted_and_no_event(row: Unlearnt) -> None:
    world = await _unlearnt(row)
    assert world.errors() == {("lead-time", row.reason): 1.0}
    assert world.events() == [("Normal", "Scaled")]
