"""Can any model be judged, and does a rehearsal know what the past knows?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import cast

import numpy as np
import pytest

from controller.forecaster import FloatArray, IntArray, Model, Session
from tests.training.small import DAY, HOUR, WINDOW, model, series_of, trace
from training.backtest import BacktestError, window_of
from training.calendars.event import Calendar, Event, Span
from training.datasets import Dataset
from training.job import Job

_SINCE = trace().end - 4 * DAY


@dataclass(frozen=True, kw_only=True)
class _LastValue:
    """A session of another's model."""

    shape: tuple[int, int]

    def run(self, history: FloatArray, _origin: IntArray) -> FloatArray:
        return np.broadcast_to(history[:, -1, None, None], (len(history), *self.shape)).astype(np.float32)


def _job(calendar: Calendar | None = None) -> Job:
    return Job.of(Dataset(series=trace(), zone=UTC, about="made up"), WINDOW, _SINCE, calendar=calendar)


@pytest.mark.parametrize("context", [1, 6, 30])
def test_a_model_that_sees_less_than_a_season_is_judged_beside_the_same_baselines(context: int) -> None:
    card = replace(model("persistence").card, name="mine", context=context)
    session = cast("Session", _LastValue(shape=(card.horizon, len(card.levels))))
    mine = Model(card=card, digest="", session=session)
    job = replace(_job(), window=window_of(mine))

    found, usual = job.judge(mine), _job().judge(model("persistence"))
    assert found.model.rmse == pytest.approx(usual.model.rmse)
    assert {name: each.loss for name, each in found.baselines.items()} == {
        name: each.loss for name, each in usual.baselines.items()
    }


@pytest.mark.parametrize("cut", [trace().start, trace().end, trace().end + DAY])
def test_a_test_must_begin_within_the_series(cut: object) -> None:
    with pytest.raises(BacktestError, match="the test cannot begin at"):
        Job.of(Dataset(series=trace(), zone=UTC, about="made up"), WINDOW, cut)  # type: ignore[arg-type]  # a datetime


def test_a_rehearsal_knows_what_an_event_does_that_only_its_own_test_holds() -> None:
    values = trace().values.copy()
    begin = trace().end - 6 * DAY  # after the rehearsal's cut, before the test
    place = (begin - trace().start) // HOUR
    values[place : place + 4] *= 3
    sale = Event(
        name="sale", impact="high", multiplier=None, spans=(Span(start=begin, end=begin + timedelta(hours=4)),)
    )
    calendar = Calendar(name="c.yaml", until=trace().end + DAY, events=(sale,))
    job = Job.of(Dataset(series=series_of(values), zone=UTC, about="made up"), WINDOW, _SINCE, calendar=calendar)

    rehearsal = job.rehearsal()
    assert rehearsal.since <= begin
    assert rehearsal.calendar is not None
    assert rehearsal.calendar.events[0].multiplier == pytest.approx(3, rel=0.3)
