"""The live cycle, fed step by step with what was known then, decides what an offline loop decides: bit for bit.

Each way goes through the same model file and core, and nothing else of the product is shared.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.core.decide import Decision, decide
from controller.core.forecast import Forecast
from controller.core.memory import Memory
from controller.core.series import Observation, Sample, Series, floor_to_step
from controller.cycle import Cycle
from controller.forecaster import OnnxModels
from controller.ports import ForecastRequest, MetricError, MetricRequest, ModelError
from controller.registry import Registry
from controller.spec import Metric, ScalerSpec
from tests.builders import body
from tests.fakes import FakeLeadTimes, FakeOwners, FakeReporter, FakeTarget

ROOT = Path(__file__).parents[2]
NASA = ROOT.parent / "shared/data/nasa/requests-1min.csv"
TICK = timedelta(minutes=4)
MINUTE = timedelta(minutes=1)
DAY = 24 * 60

Trace = tuple[datetime, NDArray[np.float64]]
"""The end of the first minute, and the load of each minute; NaN where nothing was recorded."""


def _synthetic() -> Trace:
    generator = np.random.default_rng(3)
    minutes = np.arange(9 * DAY)
    loads = generator.poisson(300 * (1.2 + np.sin(2 * np.pi * minutes / DAY))).astype(np.float64)
    loads[8 * DAY + 600 : 8 * DAY + 640] = np.nan
    return datetime.fromisoformat("2026-03-01T00:01:00Z"), loads


def _nasa() -> Trace:
    with NASA.open() as file:
        rows = [row for _, row in zip(range(9 * DAY), csv.DictReader(file), strict=False)]
    loads = np.array([float(row["requests"] or "nan") for row in rows])
    return datetime.fromisoformat(rows[0]["timestamp"]) + MINUTE, loads


def _known(trace: Trace, step: timedelta, context: int, now: datetime) -> Observation:
    """What a metric system would say at `now`: means of whole steps, and the last minute."""
    begin, loads = trace
    count = (now - begin) // MINUTE + 1
    end = floor_to_step(now, step)
    surplus = (now - end) // MINUTE
    width = step // MINUTE
    kept = loads[max(0, count - surplus - context * width) : count - surplus].reshape(-1, width)
    latest = loads[count - 1]
    return Observation(
        history=Series(end=end, step=step, values=kept.mean(axis=1)),
        latest=Sample(time=now, value=float(latest)) if np.isfinite(latest) else None,
        problem=None if np.isfinite(latest) else "no value",
        reason=None if np.isfinite(latest) else "MetricEmpty",
    )


class Replay:
    """A Source that knows a trace up to `now`."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    async def observe(
        self, requests: Sequence[MetricRequest[Metric]], now: datetime
    ) -> list[Observation | MetricError]:
        return [_known(self._trace, request.step, request.context, now) for request in requests]


SPEC = {
    "minReplicas": 2,
    "maxReplicas": 60,
    "metric": {"targetPerReplica": 20},
    "intervalSeconds": 240,
    "forecast": {"leadTime": "5m", "timeZone": "America/New_York"},
}


def _moments(trace: Trace) -> list[datetime]:
    """The ninth day, tick by tick."""
    first = trace[0] + 8 * DAY * MINUTE
    return [first + tick * TICK for tick in range(DAY * MINUTE // TICK)]


async def _live(trace: Trace) -> list[Decision]:
    registry, reporter = Registry(), FakeReporter()
    registry.put(body("web", spec=SPEC))
    cycle = Cycle(
        source=Replay(trace),
        models=OnnxModels([ROOT / "models"]),
        target=FakeTarget(sizes={"web": 2}),
        owners=FakeOwners(),
        lead_times=FakeLeadTimes(),
        reporter=reporter,
        registry=registry,
    )
    decisions = []
    for now in _moments(trace):
        await cycle.tick(now, registry.all())
        decision = reporter.outcomes["web"].decision
        assert decision is not None
        decisions.append(decision)
    return decisions


def _offline(trace: Trace) -> list[Decision]:
    registry = Registry()
    registry.put(body("web", spec=SPEC))
    spec = registry.all()[0].spec
    assert isinstance(spec, ScalerSpec)
    assert spec.model is not None
    models = OnnxModels([ROOT / "models"])
    card, _ = models.card(spec.model)
    forecast: Forecast | ModelError | None = None
    memory, size, end, decisions = Memory(), 2, None, list[Decision]()
    for now in _moments(trace):
        observation = _known(trace, card.step, card.context, now)
        if observation.history.end != end:
            end = observation.history.end
            question = ForecastRequest(model=spec.model, history=observation.history, zone=ZoneInfo("America/New_York"))
            (forecast,) = models.forecast([question])
        assert not isinstance(forecast, ModelError)
        decision, memory = decide(now, observation, forecast, size, spec.policy, memory)
        decisions.append(decision)
        size = decision.replicas
    return decisions


TRACES = [
    pytest.param(_synthetic, id="synthetic"),
    pytest.param(_nasa, id="nasa", marks=pytest.mark.skipif(not NASA.exists(), reason="shared/data is not here")),
]


@pytest.mark.parametrize("make", TRACES)
async def test_live_and_offline_decide_the_same(make: object) -> None:
    assert callable(make)
    trace: Trace = make()
    assert await _live(trace) == _offline(trace)


def test_the_day_is_worth_comparing() -> None:
    decisions = _offline(_synthetic())
    sources = {decision.demand.source.value for decision in decisions}
    changes = sum(before.replicas != after.replicas for before, after in pairwise(decisions))
    assert (sources, changes > 20) == ({"Seen", "Forecast", "Missing"}, True)
