"""How good is a model file? Rolling origin, one origin a step, through the exported file only.

Every model is asked the same questions and scored on the same values; the naive baselines stand beside it. Must not
fit anything on the span that it scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from controller.forecaster import FloatArray, Model
from training.measures import Floats, middle, pinball
from training.windows import Window, futures, histories, origins

Progress = Callable[[int, int], None]  # origins done, origins in all

_ORIGINS = 256  # how many origins are answered at once; bounds the memory, not the result
_FEWEST_SEASONS = 3


class BacktestError(ValueError):
    """The series cannot judge the model; the message says what does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """The errors of one model by step of the horizon, in the metric's unit.

    `count`, `rmse`, `mae`, `wape` (MAE / mean load), `mase` (MAE / mean change over a season before the test):
    shape [horizon]. `pinball`, `coverage` (share of values at or below the level's forecast): [horizon, levels].
    """

    levels: tuple[float, ...]
    count: Floats
    rmse: Floats
    mae: Floats
    wape: Floats
    mase: Floats
    pinball: Floats
    coverage: Floats

    @property
    def loss(self) -> float:
        """Pinball loss over all steps and levels: the one figure by which models are ranked."""
        return float(self.pinball.mean())

    def at(self, step: int) -> dict[str, Any]:
        """What the card says about the step-th step (1 is the next) of the horizon."""
        row = step - 1
        return {
            "rmse": float(self.rmse[row]),
            "mae": float(self.mae[row]),
            "wape": float(self.wape[row]),
            "mase": float(self.mase[row]),
            "pinball": float(self.pinball[row].mean()),
            "coverage": {
                f"{level:g}": float(share) for level, share in zip(self.levels, self.coverage[row], strict=True)
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One backtest. `model`, and the baselines by name; `since`: the beginning of the test span (aware)."""

    window: Window
    since: datetime
    until: datetime
    model: Score
    baselines: Mapping[str, Score]

    @property
    def best_baseline(self) -> str:
        """The name of the baseline with the lower loss."""
        return min(self.baselines, key=lambda name: self.baselines[name].loss)

    @property
    def skill(self) -> float:
        """1 - loss / the better baseline's loss: above zero is better than naive."""
        return 1 - self.model.loss / self.baselines[self.best_baseline].loss

    def steps(self) -> list[int]:
        """The steps of the horizon that a report shows: 5, 15, 30 and 60 minutes at five-minute steps, and the last."""
        return sorted({step for step in (1, 3, 6, 12) if step < self.window.horizon} | {self.window.horizon})

    def to_dict(self) -> dict[str, Any]:
        """The scores as they stand in the card: by step of the horizon, the model's and each baseline's."""
        return {
            str(step): {**self.model.at(step), **{name: score.at(step) for name, score in self.baselines.items()}}
            for step in self.steps()
        }


def window_of(model: Model) -> Window:
    """What the model's card says it sees and answers."""
    card = model.card
    return Window(step=card.step, season=card.season, context=card.context, horizon=card.horizon)


def backtest(
    model: Model,
    baselines: Mapping[str, Model],
    series: Series,
    zone: tzinfo,
    since: datetime,
    progress: Progress = lambda _done, _all: None,
) -> Report:
    """Score `model` and `baselines` on every value of `series` from `since` (aware) on.

    The first origin is the last step that ended by `since`. Raises BacktestError when nothing can be scored.
    """
    window = window_of(model)
    if series.step != window.step:
        raise BacktestError(f"the series has one value each {series.step}, the model needs {window.step}")
    before = series.until(since)
    if not len(before) or not np.isfinite(series.values[len(before) :]).any():
        raise BacktestError(f"the series ({series.start} to {series.end}) holds nothing to score after {since}")
    rivals = {"": model, **baselines}
    tallies = _tally(rivals, series, zone, len(before) - 1, progress)
    scale = _seasonal_change(before, window)
    scores = {name: tally.score(rivals[name].card.levels, scale) for name, tally in tallies.items()}
    return Report(window=window, since=since, until=series.end, model=scores.pop(""), baselines=scores)


def _tally(
    models: Mapping[str, Model], series: Series, zone: tzinfo, first: int, progress: Progress
) -> dict[str, _Tally]:
    """Ask every model from the origin `first` on; only what all of them answered is counted."""
    window = window_of(models[""])
    seen, came, clock = histories(series, window), futures(series, window), origins(series, zone)
    tallies = {name: _Tally.empty(window.horizon, model.card.levels) for name, model in models.items()}
    for start in range(first, len(series) - 1, _ORIGINS):
        part = slice(start, min(start + _ORIGINS, len(series) - 1))
        answers = {name: model.predict(seen[part], clock[part]) for name, model in models.items()}
        known = np.isfinite(came[part])
        for answer in answers.values():
            known &= np.isfinite(answer).all(axis=-1)
        for name, tally in tallies.items():
            tally.add(came[part], answers[name], known)
        progress(part.stop - first, len(series) - 1 - first)
    return tallies


@dataclass(slots=True, kw_only=True, eq=False)
class _Tally:
    """Sums over the origins so far: [horizon], and [horizon, levels] for `pinball` and `below`."""

    levels: Floats
    count: Floats
    load: Floats
    absolute: Floats
    squared: Floats
    pinball: Floats
    below: Floats

    @classmethod
    def empty(cls, horizon: int, levels: tuple[float, ...]) -> _Tally:
        flat = {name: np.zeros(horizon) for name in ("count", "load", "absolute", "squared")}
        deep = {name: np.zeros((horizon, len(levels))) for name in ("pinball", "below")}
        return cls(levels=np.array(levels), **flat, **deep)

    def add(self, actual: Floats, answer: FloatArray, known: NDArray[np.bool_]) -> None:
        """`actual`, `known`: [n, horizon]; `answer`: [n, horizon, levels]."""
        quantiles = np.where(known[..., None], answer, 0.0).astype(np.float64)
        came = np.where(known, actual, 0.0)
        error = came - middle(quantiles, self.levels)
        self.count += known.sum(axis=0)
        self.load += np.abs(came).sum(axis=0)
        self.absolute += np.abs(error).sum(axis=0)
        self.squared += np.square(error).sum(axis=0)
        self.pinball += pinball(quantiles, self.levels, came).sum(axis=0)
        self.below += ((came[..., None] <= quantiles) & known[..., None]).sum(axis=0)

    def score(self, levels: tuple[float, ...], scale: float) -> Score:
        """`scale`: what MASE divides by."""
        if not self.count.all():
            raise BacktestError("no value follows any origin at some step of the horizon; the test span is too short")
        mae = self.absolute / self.count
        return Score(
            levels=levels,
            count=self.count,
            rmse=np.sqrt(self.squared / self.count),
            mae=mae,
            wape=_ratio(self.absolute, self.load),
            mase=_ratio(mae, np.full_like(mae, scale)),
            pinball=self.pinball / self.count[:, None],
            coverage=self.below / self.count[:, None],
        )


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Zero where there is nothing to divide by: an idle workload has no relative error."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _seasonal_change(series: Series, window: Window) -> float:
    """How much the load differs from that of a season before, on average; zero where that is not known."""
    change = np.abs(series.values[window.slots :] - series.values[: -window.slots])
    return float(np.nanmean(change)) if np.isfinite(change).any() else 0.0


def hold_out(series: Series, *, share: float, season: timedelta) -> datetime:
    """Where the test begins when nobody says: the last `share` of the series, whole seasons, at least one.

    Raises BacktestError when too little would be left to learn from.
    """
    length = len(series) * series.step
    if length < _FEWEST_SEASONS * season:
        raise BacktestError(
            f"the series holds {length / season:.1f} seasons of {season}; learning and testing need {_FEWEST_SEASONS}"
        )
    seasons = max(1, round(share * (length / season)))
    return series.end - seasons * season
