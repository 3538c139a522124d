"""What did a model file say at each moment of a load? All its forecasts at once, each of the steps before it only.

A forecast at a moment is that of the last step of the model that was over, as in the live controller. Must not decide.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Self

import numpy as np

from controller.core.forecast import Forecast
from controller.core.series import Series, floor_to_step
from controller.forecaster import FloatArray, Model
from training.windows import Window, histories, origins

_ORIGINS = 256  # how many origins one thread answers at once
_BEYOND = timedelta(minutes=30)  # what is kept of a forecast after the time that a decision looks at

Tell = Callable[[int, int], None]


@dataclass(slots=True, kw_only=True, eq=False)
class Forecasts:
    """A model's forecasts at the end of every step of `series`, from place `first` on.

    `series`: the load in the model's step, metric's unit. `quantiles`: float32 [origins, steps, levels]; NaN where the
    model had nothing to say. `season`: of the model's card. An implementation of `engine.Foresight`.
    """

    series: Series
    context: int
    first: int
    levels: tuple[float, ...]
    season: timedelta
    quantiles: FloatArray
    _held: tuple[Series, Forecast | None] | None = None
    _until: datetime | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        series: Series,
        zone: tzinfo,
        *,
        since: datetime,
        reach: timedelta,
        unit: float = 1.0,
        tell: Tell = lambda _done, _all: None,
    ) -> Self:
        """Ask the model at every step from the last that ended by `since` (aware) on, `reach` ahead.

        `series`: in the model's step and in the unit that the model is asked in; a load of `unit` in it is 1 in the
        metric's unit. Raises ModelError.
        """
        card = model.card
        window = Window(step=card.step, season=card.season, context=card.context, horizon=card.horizon)
        first = len(series.until(since))
        seen = histories(series, window)
        clock = origins(series, zone)
        kept = min(card.horizon, -(-(reach + _BEYOND) // card.step))
        said = np.full((len(series) + 1 - first, kept, len(card.levels)), np.nan, np.float32)

        def answer(start: int) -> None:
            """Row `place` of `said` follows `series.values[:place]`; before the first value there is nothing to ask."""
            places = np.arange(max(start, 1), min(start + _ORIGINS, len(series) + 1))
            said[places - first] = model.predict(seen[places - 1], clock[places - 1])[:, :kept] / np.float32(unit)

        starts = range(first, len(series) + 1, _ORIGINS)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            for done, _ in enumerate(threads.map(answer, starts), start=1):
                tell(done, len(starts))
        scaled = Series(end=series.end, step=series.step, values=series.values / unit)
        return cls(
            series=scaled,
            context=card.context,
            first=first,
            levels=card.levels,
            season=card.season,
            quantiles=said,
        )

    def at(self, now: datetime) -> tuple[Series, Forecast | None]:
        """As `engine.Foresight.at`: what was made at the end of the last whole step; the same object within a step."""
        end = floor_to_step(now, self.series.step)
        if self._held is None or end != self._until:
            self._held, self._until = self._made(end), end
        return self._held

    def _made(self, end: datetime) -> tuple[Series, Forecast | None]:
        place = len(self.series) - max(0, (self.series.end - end) // self.series.step)
        values = self.series.values[max(0, place - self.context) : max(0, place)]
        history = Series(end=end, step=self.series.step, values=values)
        quantiles = self.quantiles[place - self.first] if 0 <= place - self.first < len(self.quantiles) else None
        if quantiles is None or not np.isfinite(quantiles).all():
            return history, None
        return history, Forecast(
            origin=end,
            step=self.series.step,
            levels=self.levels,
            quantiles=quantiles.astype(np.float64),
            season=self.season,
        )
