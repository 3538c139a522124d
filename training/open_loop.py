"""How far does a model get on its own? Many steps from a single origin, its own medians as the history of the rest.

Through the exported file only. Must not see anything that came after the origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

import numpy as np

from controller.core.series import Series
from controller.forecaster import Model
from training.backtest import BacktestError, window_of
from training.measures import Floats, Tally, middle
from training.windows import histories, origins


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenLoop:
    """What was said of the `length` after `since` (aware), at once, and what came.

    `said`: [n] by the model's name. `came`: [n], NaN where not recorded.
    """

    since: datetime
    length: timedelta
    came: Floats
    said: Mapping[str, Floats]

    def to_dict(self) -> dict[str, Any]:
        """RMSE and the like, by the model's name."""
        scores = {name: self._score(said) for name, said in self.said.items()}
        return {"since": self.since.isoformat(), "seconds": self.length.total_seconds(), "scores": scores}

    def _score(self, said: Floats) -> dict[str, float]:
        """The median is all that is fed back, so there are no levels to judge."""
        tally = Tally.empty(1, (0.5,), float(np.nanmean(self.came)))
        known = np.isfinite(self.came)[:, None]
        tally.add(self.came[:, None], said[:, None, None].astype(np.float32), known)
        at = tally.score(scale=0.0).at(1)
        return {name: at[name] for name in ("rmse", "mae", "mape", "wape", "r2")}


def open_loop(
    models: Mapping[str, Model], series: Series, zone: tzinfo, since: datetime, length: timedelta
) -> OpenLoop:
    """Ask each model once for all of `length` after `since`. Raises BacktestError."""
    before = series.until(since)
    count = length // series.step
    came = series.values[len(before) : len(before) + count]
    if count < 1 or len(came) < count or not np.isfinite(came).any():
        raise BacktestError(f"the series ends {series.end}; nothing to hold {length} after {since} against")
    said = {name: _medians(model, before, zone, count) for name, model in models.items()}
    return OpenLoop(since=since, length=length, came=came, said=said)


def _medians(model: Model, past: Series, zone: tzinfo, count: int) -> Floats:
    """A whole horizon at a time; [count]."""
    window, levels = window_of(model), np.array(model.card.levels)
    if past.step != window.step:
        raise BacktestError(f"the series has one value each {past.step}, the model needs {window.step}")
    seen, clock = histories(past, window)[-1:], origins(past.tail(1), zone)
    said: list[Floats] = []
    for done in range(0, count, window.horizon):
        answer = model.predict(seen, clock + done * model.card.step_seconds)[0].astype(np.float64)
        if not np.isfinite(answer).all():
            raise BacktestError(f"{model.card.name} has nothing to say after {past.end + done * past.step}")
        said.append(middle(answer, levels))
        seen = np.concatenate([seen, said[-1][None].astype(np.float32)], axis=1)[:, -window.context :]
    return np.concatenate(said)[:count]
