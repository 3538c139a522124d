"""What is replayed? The load in the steps of decisions, what came before it, and the same in the steps of the model.

Counts become a load a second; what was averaged stays as it is. Must not replay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

import numpy as np

from controller.core.series import Series
from controller.forecaster import Model
from training import datasets
from training.backtest import hold_out
from training.datasets import Reading, Request
from training.simulate.capacity import SimulationError
from training.simulate.foresight import Forecasts, Tell

SHARE = 0.15  # of the data is replayed when nobody says from when on
FEWEST = 20  # steps: five minutes of decisions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """`before`, `load`: metric's unit a second, in steps of decisions. `zone`: whose clock. `about`: what was read."""

    before: Series
    load: Series
    zone: tzinfo
    about: str
    _reading: Reading
    _until: datetime | None

    def parts(self, at: datetime) -> tuple[Material, Material]:
        """What is replayed before `at` (aware), and from then on: to the second all of the first is history."""
        first = self.load.until(at)
        second = self.load.tail(len(self.load) - len(first))
        past = np.concatenate([self.before.values, first.values])
        before = Series(end=first.end, step=first.step, values=past)
        return replace(self, load=first), replace(self, before=before, load=second)

    def check(self, model: Model) -> None:
        """That the load can be put together to the model's steps. Raises SimulationError."""
        if model.card.step % self.load.step:
            raise SimulationError(
                f"--step: the model answers in steps of {model.card.step}, which is no multiple of {self.load.step}; "
                f"give --step {model.card.step_seconds}s or a part of it"
            )

    def forecasts(self, model: Model, zone: tzinfo, reach: timedelta, tell: Tell) -> Forecasts:
        """What the model said at every step of its own, where `check` passes. Raises ModelError."""
        card = model.card
        series = self._reading.dataset(card.step).series
        if self._until is not None:
            series = series.until(self._until)
        unit = _seconds(self._reading, card.step)
        return Forecasts.of(model, series, zone, since=self.load.start, reach=reach, unit=unit, tell=tell)


def gather(request: Request, since: datetime | None, *, share: float = SHARE) -> Material:
    """Read all of it; what begins at `since` (aware), or else the last `share` in whole seasons, is replayed.

    Raises DataError, BacktestError and SimulationError.
    """
    reading = datasets.read(request, request.step)
    found = datasets.finished(reading.dataset(request.step), replace(request, since=None))
    whole = Series(
        end=found.series.end, step=request.step, values=found.series.values / _seconds(reading, request.step)
    )
    begin = since or hold_out(whole, share=share, season=request.season)
    before = whole.until(begin)
    load = whole.tail(len(whole) - len(before))
    if begin < whole.start - whole.step or len(load) < FEWEST or not np.isfinite(load.values).any():
        raise SimulationError(
            f"--from: the load is known from {whole.start} to {whole.end}; "
            f"no {FEWEST} steps of {whole.step} lie in it after {begin}"
        )
    return Material(
        before=before, load=load, zone=found.zone, about=found.about, _reading=reading, _until=request.until
    )


def _seconds(reading: Reading, step: timedelta) -> float:
    """What a value is divided by to be a load a second."""
    return step.total_seconds() if reading.aggregate == "sum" else 1.0
