"""How good is a model file? Rolling origin, one origin a step, through the exported file only.

Every model is asked the same questions and scored on the same values; the naive baselines stand beside it. Must not
fit anything on the span that it scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Model
from training.measures import Floats, Score, Tally, by_level, floor_of, pinball
from training.tracking import replayed
from training.windows import DAYS_IN_WEEK, Window, futures, histories, origins

Progress = Callable[[int, int], None]  # origins done, origins in all

SHOWN = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 10, 15, 30, 60, 360))  # how far ahead, in a report
MODEL = ""  # the name of the one that is judged, beside those of the baselines
_ORIGINS = 256  # how many origins are answered at once; bounds the memory, not the result
_FEWEST_SEASONS = 3
_TOO_GOOD = 0.6  # a skill that on a noisy series is a leak until somebody says why it is not


class BacktestError(ValueError):
    """The series cannot judge the model; the message says what does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What some models, by name, said at the shown steps, and how that and all else they said is scored; n origins.

    `clock`: int64 [n], local seconds at the origin. `came`: [n, steps], NaN where not scored. `said`: float32
    [n, steps, levels].
    """

    clock: IntArray
    came: Floats
    said: Mapping[str, FloatArray]
    scores: Mapping[str, Score]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibrated:
    """The same levels after a correction by what came; `pinball`, `coverage`: [shown steps, levels]."""

    pinball: Floats
    coverage: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """One backtest. `model`, and the baselines by name; `since`: the beginning of the test span (aware).

    `calibrated`: the model's levels as the controller would have corrected them. `answers`: by name, the model's under
    "". `floor`: RMSE that even the neighbours of a value leave (`measures.floor_of`), NaN where not known.
    """

    window: Window
    since: datetime
    until: datetime
    model: Score
    baselines: Mapping[str, Score]
    calibrated: Calibrated
    answers: Answers
    floor: float

    @property
    def best_baseline(self) -> str:
        """The name of the baseline with the lower loss."""
        return min(self.baselines, key=lambda name: self.baselines[name].loss)

    @property
    def skill(self) -> float:
        """1 - loss / the better baseline's loss: above zero is better than naive."""
        return _skill(self.model.loss, self.baselines[self.best_baseline].loss)

    def steps(self) -> list[int]:
        """The steps of the horizon that a report shows."""
        return shown_steps(self.window)

    def rival_at(self, step: int) -> str:
        """The name of the baseline that is the better one at this step of the horizon."""
        return min(self.baselines, key=lambda name: float(self.baselines[name].pinball[step - 1].mean()))

    def skill_at(self, step: int) -> float:
        """As `skill`, at one step of the horizon, against the baseline that is the better one there."""
        rival = self.baselines[self.rival_at(step)]
        return _skill(float(self.model.pinball[step - 1].mean()), float(rival.pinball[step - 1].mean()))

    def too_good(self) -> list[int]:
        """The shown steps at which the model has more skill than the noise of the test leaves room for.

        A load is noisy where noise alone makes so much of the better baseline's error that nobody can have that skill.
        """
        return [
            step for step in self.steps() if self.skill_at(step) > _TOO_GOOD and self.noise_at(step) > 1 - _TOO_GOOD
        ]

    def noise_at(self, step: int) -> float:
        """The share of the better baseline's error (RMSE) that even a value's neighbours leave; 0 where not known."""
        error = float(self.baselines[self.rival_at(step)].rmse[step - 1])
        return self.floor / error if error > 0 and np.isfinite(self.floor) else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The scores as they stand in the card: by step of the horizon, the model's and each baseline's."""
        return {str(step): self._at(place, step) for place, step in enumerate(self.steps())}

    def _at(self, place: int, step: int) -> dict[str, Any]:
        calibrated = {
            "pinball": float(self.calibrated.pinball[place].mean()),
            "coverage": by_level(self.model.levels, self.calibrated.coverage[place]),
        }
        beside = {name: score.at(step) for name, score in self.baselines.items()}
        skill = {"skill": self.skill_at(step)} if beside else {}
        return {**self.model.at(step), **skill, "calibrated": calibrated, **beside}


def _skill(loss: float, naive: float) -> float:
    """Zero beside a baseline that is never wrong: nothing can be better."""
    return 1 - loss / naive if naive > 0 else 0.0


def shown_steps(window: Window) -> list[int]:
    """The steps nearest to the times of SHOWN, as far as the horizon reaches, and the last."""
    near = {max(1, round(ahead / window.step)) for ahead in SHOWN}
    return sorted({step for step in near if step < window.horizon} | {window.horizon})


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
    return report_of(ask({MODEL: model, **baselines}, series, zone, since, progress), window_of(model), series, since)


def beside(model: Model, naive: Answers, series: Series, zone: tzinfo, since: datetime, progress: Progress) -> Report:
    """As `backtest`, where the baselines have answered before. Raises BacktestError."""
    own = ask({MODEL: model}, series, zone, since, progress)
    return report_of(together(own, naive, model.card.name), window_of(model), series, since)


def together(own: Answers, naive: Answers, name: str) -> Answers:
    """The answers of the model called `name` and of baselines that were asked the same. Raises BacktestError."""
    if not np.array_equal(np.isnan(own.came), np.isnan(naive.came)):
        raise BacktestError(
            f"{name} is silent where the naive forecasts are not, or speaks where they are silent; "
            "a history of nothing but NaN must give NaN, and any other must give numbers"
        )
    said, scores = {**own.said, **naive.said}, {**own.scores, **naive.scores}
    return Answers(clock=own.clock, came=own.came, said=said, scores=scores)


def report_of(answers: Answers, window: Window, series: Series, since: datetime) -> Report:
    """What the answers of the model (under "") and of the baselines say."""
    scores = dict(answers.scores)
    model = scores.pop(MODEL)
    return Report(
        window=window,
        since=since,
        until=series.end,
        model=model,
        baselines=scores,
        calibrated=_calibrated(answers, window, model.levels),
        answers=answers,
        floor=floor_of(series.values, len(series.until(since)), seasons=(window.slots, DAYS_IN_WEEK * window.slots)),
    )


def ask(models: Mapping[str, Model], series: Series, zone: tzinfo, since: datetime, progress: Progress) -> Answers:
    """Ask every model after each step from `since` on; only what all of them answered is scored.

    Raises BacktestError when nothing can be scored.
    """
    window = window_of(next(iter(models.values())))
    before = _before(series, window, since)
    first = len(before) - 1
    seen, came, clock = histories(series, window), futures(series, window), origins(series, zone)
    centre = float(np.nanmean(series.values[len(before) :]))
    tellers = {name: _Teller.of(model, window, len(series) - 1 - first, centre) for name, model in models.items()}
    known = np.empty((len(series) - 1 - first, window.horizon), np.bool_)
    for start in range(first, len(series) - 1, _ORIGINS):
        part = slice(start, min(start + _ORIGINS, len(series) - 1))
        done = slice(part.start - first, part.stop - first)
        answers = {name: model.predict(seen[part], clock[part]) for name, model in models.items()}
        known[done] = _known(came[part], answers.values())
        for name, teller in tellers.items():
            teller.take(done, came[part], answers[name], known[done])
        progress(done.stop, len(known))
    if not known.any(axis=0).all():
        raise BacktestError("no value follows any origin at some step of the horizon; the test span is too short")
    rows, columns = slice(first, len(series) - 1), np.array(shown_steps(window)) - 1
    scale = _seasonal_change(before, window)
    return Answers(
        clock=clock[rows],
        came=np.where(known[:, columns], came[rows][:, columns], np.nan),
        said={name: teller.said for name, teller in tellers.items()},
        scores={name: teller.tally.score(scale) for name, teller in tellers.items()},
    )


def _before(series: Series, window: Window, since: datetime) -> Series:
    """What lies before the test. Raises BacktestError."""
    if series.step != window.step:
        raise BacktestError(f"the series has one value each {series.step}, the model needs {window.step}")
    before = series.until(since)
    if not len(before) or not np.isfinite(series.values[len(before) :]).any():
        raise BacktestError(f"the series ({series.start} to {series.end}) holds nothing to score after {since}")
    return before


def _known(came: Floats, answers: Iterable[FloatArray]) -> NDArray[np.bool_]:
    """What was recorded and forecast by all; [n, horizon]."""
    known = np.isfinite(came)
    for answer in answers:
        known &= np.isfinite(answer).all(axis=-1)
    return known


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Teller:
    """One model's answers: all of them summed up in `tally`, the shown `columns` kept in `said`."""

    tally: Tally
    columns: IntArray
    said: FloatArray

    @classmethod
    def of(cls, model: Model, window: Window, count: int, centre: float) -> _Teller:
        columns = np.array(shown_steps(window)) - 1
        levels = model.card.levels
        return cls(
            tally=Tally.empty(window.horizon, levels, centre),
            columns=columns,
            said=np.empty((count, len(columns), len(levels)), np.float32),
        )

    def take(self, rows: slice, came: Floats, answer: FloatArray, known: NDArray[np.bool_]) -> None:
        self.tally.add(came, answer, known)
        self.said[rows] = answer[:, self.columns]


def _calibrated(answers: Answers, window: Window, levels: tuple[float, ...]) -> Calibrated:
    quantiles = replayed(answers.said[MODEL], answers.came, shown_steps(window), levels)
    known = np.isfinite(answers.came)
    came = np.where(known, answers.came, 0.0)
    loss = np.where(known[..., None], pinball(quantiles, np.array(levels), came), 0.0)
    held = (came[..., None] <= quantiles) & known[..., None]
    count = known.sum(axis=0)[:, None]
    return Calibrated(pinball=loss.sum(axis=0) / count, coverage=held.sum(axis=0) / count)


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
