"""A past is graded as mode Observe would have graded it, tick by tick."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pytest

from controller.core.forecast import Forecast
from controller.core.scorecard import DAY, WINDOWS, Tally
from controller.core.series import Observation, Sample, Series, floor_to_step
from controller.cycle import Cycle
from controller.ports import ForecastRequest, MetricError, MetricRequest, TargetError, TargetState
from controller.registry import Registry
from controller.spec import AnyTarget, Metric, ScalerSpec
from tests.builders import INTERVAL, NOW, STEP, body, forecast, policy, scaler, seconds, series
from tests.fakes import FakeLeadTimes, FakeModels, FakeOwners, FakeReporter
from training.grading import GradingError, Past, grade, watch

pytestmark = pytest.mark.slow

UNKNOWN = float("nan")
OBSERVED = {"mode": "Observe", "maxReplicas": 30, "metric": {"targetPerReplica": 10}, "forecast": {"leadTime": "45s"}}


def past(loads: Sequence[float], sizes: Sequence[float]) -> Past:
    """Loads and sizes, four a minute, until NOW."""
    return Past(load=series(loads, step=INTERVAL), replicas=series(sizes, step=INTERVAL))


def _recorded() -> Past:
    """Six hours of an unsteady load, with gaps of both, a night in which the workload is off, and an outage of it."""
    generator = np.random.default_rng(5)
    loads = 120 + 80 * np.sin(np.arange(1440) / 90) + generator.normal(0, 15, 1440)
    sizes = np.repeat(generator.integers(8, 25, 72), 20).astype(np.float64)
    loads[100:140] = loads[300] = UNKNOWN
    sizes[400:450] = 0.0
    sizes[700:705] = sizes[900:960] = UNKNOWN
    return past(loads.tolist(), sizes.tolist())


def _ahead(history: Series) -> Forecast:
    """Whatever it is worth: made of nothing but the history."""
    level = float(np.nan_to_num(history.values[-3:]).mean())
    return forecast(level * 1.1, level * 1.3, level, origin=history.end)


def _history(load: Series, now: datetime) -> Series:
    """Four steps of five minutes, of each the load at its end."""
    end = floor_to_step(now, STEP)
    return series([load.value_at(end - back * STEP) for back in (3, 2, 1, 0)], end=end)


class Foreseen:
    """A `Foresight` of the recorded load."""

    def __init__(self, load: Series) -> None:
        self._load = load

    def at(self, now: datetime) -> tuple[Series, Forecast | None]:
        history = _history(self._load, now)
        return history, _ahead(history)


class Recorded:
    """A `Source` and a `Target` that say what was recorded at the moment they are asked about."""

    def __init__(self, told: Past) -> None:
        self._told, self._now = told, told.load.start

    async def observe(
        self, requests: Sequence[MetricRequest[Metric]], now: datetime
    ) -> list[Observation | MetricError]:
        self._now, value = now, self._told.load.value_at(now)
        latest = Sample(time=now, value=value) if np.isfinite(value) else None
        return [Observation(history=_history(self._told.load, now), latest=latest) for _ in requests]

    async def read(self, namespace: str, ref: AnyTarget) -> TargetState:
        size = self._told.replicas.value_at(self._now)
        if not np.isfinite(size):
            raise TargetError("TargetUnavailable", "no answer")
        return TargetState(replicas=int(size), resource_version="1")

    async def write(self, namespace: str, ref: AnyTarget, state: TargetState, replicas: int) -> None:
        raise AssertionError("mode Observe wrote a size")


async def test_the_past_is_graded_as_the_live_controller_would_have() -> None:
    told, world, registry, reporter = _recorded(), Recorded(_recorded()), Registry(), FakeReporter()
    registry.put(body(spec=OBSERVED))
    cycle = Cycle(
        source=world,
        models=FakeModels(answer=_answered),
        target=world,
        owners=FakeOwners(),
        lead_times=FakeLeadTimes(),
        reporter=reporter,
        registry=registry,
    )
    for index in range(1, len(told.load) + 1):
        await cycle.tick(told.load.start + index * INTERVAL, registry.all())
    live = reporter.outcomes["web"].grade
    spec = scaler(spec=OBSERVED).spec
    assert isinstance(spec, ScalerSpec)
    assert live is not None
    assert live.card == watch(told, spec.policy, spec.policy, Foreseen(told.load))
    known = sum(bucket.tally.known for bucket in live.card.buckets)
    assert 0.8 < known / (1440 * 15) < 0.95


def _answered(request: ForecastRequest) -> Forecast:
    return _ahead(request.history)


def test_windows_and_verdict_of_two_weeks() -> None:
    """The workload has 10 all the time; 40 by day needs 4 of 10 each, 20 by night 2."""
    quarters = 14 * 96
    loads = np.where(np.arange(quarters) % 96 < 48, 40.0, 20.0)
    step = timedelta(minutes=15)
    end = NOW.replace(hour=0)
    told = Past(
        load=Series(end=end, step=step, values=loads),
        replicas=Series(end=end, step=step, values=np.full(quarters, 10.0)),
    )
    found = grade(told, policy(interval=step, lead=seconds(0)), None, against="HPA")
    # the load is 11 % over only at the tick at which it jumps from 20 to 40, as it was seen only then
    for window, days in zip(WINDOWS, (1, 7, 14), strict=True):
        tally = found.windows[window]
        first = 1 if days == 14 else 0  # the first tick of all begins with what is there
        assert tally.known == days * 86_400 - first * 900
        assert tally.actual_replicas == 10 * tally.known
        assert tally.own_short == (days - first) * 900
    assert found.windows[DAY].own_replicas == 48 * 900 * 4 + 48 * 900 * 2
    assert (found.verdict.reason, found.hpa) == ("WouldBeShort", None)


@pytest.mark.parametrize(("target", "own"), [(10.0, 5), (5.0, 10), (1.0, 50)])
def test_an_hpa_has_what_its_target_asks_for(target: float, own: int) -> None:
    told = past([50.0] * 400, [own] * 400)
    found = grade(told, policy(), None, against="it", hpa_target=target)
    assert found.hpa is not None
    assert found.hpa[DAY] == Tally(known=399 * 15, own_replicas=399 * 15 * own, actual_replicas=399 * 15 * own)


@pytest.mark.parametrize(
    ("loads", "sizes", "words"),
    [
        ([UNKNOWN] * 3, [1, 1, 1], "the load was never recorded"),
        ([1, 1, 1], [UNKNOWN] * 3, "--replicas-query"),
        ([1, UNKNOWN, 1], [UNKNOWN, 1, UNKNOWN], "at the same time"),
    ],
)
def test_a_past_of_which_nothing_is_known_is_refused(loads: list[float], sizes: list[float], words: str) -> None:
    with pytest.raises(GradingError, match=words):
        grade(past(loads, sizes), policy(), None, against="it")


def test_what_lies_on_two_grids_is_refused() -> None:
    with pytest.raises(ValueError, match="one grid"):
        past([1, 1], [1])


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    grade(past([1.0] * 1500, [1] * 1500), policy(), None, against="it", tell=lambda *done: told.append(done))
    assert told == [(0, 1500), (1000, 1500), (1500, 1500)]
