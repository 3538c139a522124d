"""What is there to say about a backtest besides its scores? Days, hours, what the model looks at, what errors repeat.

Everything follows from the backtest's answers and from the exported file. Must not know how it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.core.card import Card
from controller.core.series import EPOCH
from controller.forecaster import FloatArray, IntArray, Model
from training.backtest import Report
from training.datasets import Dataset
from training.measures import Floats, Score, middle, pinball
from training.open_loop import OpenLoop
from training.windows import Window, futures, histories

Excluded = tuple[datetime, datetime, str]  # from, until, why; aware

# Of `cells`; the last two: the share of values at or below a level's forecast.
HEADINGS = ("RMSE", "MAE", "MAPE", "WAPE", "MASE", "R2", "pinball", "skill", "<= 90 %", "<= 99 %")
_KEY = timedelta(hours=1)  # ahead: far enough that persistence does not win, near enough to act on
_SAMPLE = 200  # origins that are asked again for each part of the history
_SEED = 1
_HOURS, _WEEKDAYS = 24, 7
_HOUR, _DAY = 3600, 86400  # seconds
_MONDAY = 3  # 1 January 1970 was a Thursday


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Day:
    """One season of the test, as forecast at the key step; n steps.

    `loss`, `rival`: the pinball losses. `begin`: local, without meaning as a zone. `came`: [n], NaN where not recorded.
    `said`: [n, levels].
    """

    begin: datetime
    loss: float
    rival: float
    came: Floats
    said: FloatArray

    def to_dict(self) -> dict[str, Any]:
        """Without the curves."""
        return {"begin": self.begin.date().isoformat(), "pinball": self.loss, "rival": self.rival}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Findings:
    """One backtest from all sides.

    `key`: the step of the horizon that days, hours and weekdays are about. `rival`: the better baseline there.
    `days`: worst first. `hours`, `weekdays`: MAE by name, [24] and [7], Monday first, NaN where there was nothing.
    `importance`: by how much of itself the loss grows when a part of the input comes from another time. `residuals`:
    the autocorrelation of one-step errors, [lags + 1], of `residual_count` of them.
    """

    card: Card
    report: Report
    dataset: Dataset
    key: int
    rival: str
    days: Sequence[Day]
    hours: Mapping[str, Floats]
    weekdays: Mapping[str, Floats]
    importance: Mapping[str, float]
    residuals: Floats
    residual_count: int
    open_loop: OpenLoop | None
    excluded: Sequence[Excluded]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the curves, as JSON has it."""
        report = self.report
        return {
            "model": {"name": self.card.name, "version": self.card.version, "family": self.card.family},
            "data": {"about": self.dataset.about, "quality": list(self.dataset.quality.words())},
            "since": report.since.isoformat(),
            "until": report.until.isoformat(),
            "step_seconds": self.card.step_seconds,
            "skill": report.skill,
            "best_baseline": report.best_baseline,
            "noise_floor_rmse": _number(report.floor),
            "too_good_at": report.too_good(),
            "horizons": report.to_dict(),
            "rmse": {name: score.rmse.tolist() for name, score in {"model": report.model, **report.baselines}.items()},
            "key_step": self.key,
            "days": [day.to_dict() for day in self.days],
            "mae_by_hour": {name: [_number(one) for one in errors] for name, errors in self.hours.items()},
            "mae_by_weekday": {name: [_number(one) for one in errors] for name, errors in self.weekdays.items()},
            "importance": dict(self.importance),
            "residual_autocorrelation": self.residuals.tolist(),
            "open_loop": None if self.open_loop is None else self.open_loop.to_dict(),
            "excluded": [[since.isoformat(), until.isoformat(), why] for since, until, why in self.excluded],
        }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None


def cells(score: Score, step: int, skill: str) -> list[str]:
    """The figures of HEADINGS at one step of the horizon, for a table."""
    at = score.at(step)
    shares = [f"{at[name]:.1%}" for name in ("mape", "wape")]
    covered = [f"{at['coverage'].get(level, float('nan')):.1%}" for level in ("0.9", "0.99")]
    return [
        f"{at['rmse']:.4g}",
        f"{at['mae']:.4g}",
        *shares,
        f"{at['mase']:.3f}",
        f"{at['r2']:.3f}",
        f"{at['pinball']:.4g}",
        skill,
        *covered,
    ]


def examine(
    report: Report,
    model: Model,
    dataset: Dataset,
    *,
    open_loop: OpenLoop | None = None,
    excluded: Sequence[Excluded] = (),
) -> Findings:
    """All of it; asks the model some hundred origins more."""
    place = _key_place(report)
    key = report.steps()[place]
    rival = report.rival_at(key)
    when = report.answers.clock + (key - 1) * model.card.step_seconds  # where the step that is forecast begins
    errors = {name: _errors(report, name, place) for name in ("", rival)}
    named = {model.card.name: errors[""], rival: errors[rival]}
    residuals = _errors(report, "", 0, signed=True)
    return Findings(
        card=model.card,
        report=report,
        dataset=dataset,
        key=key,
        rival=rival,
        days=_days(report, place, rival, when),
        hours={name: _by(error, when % _DAY // _HOUR, _HOURS) for name, error in named.items()},
        weekdays={name: _by(error, (when // _DAY + _MONDAY) % _WEEKDAYS, _WEEKDAYS) for name, error in named.items()},
        importance=_importance(report, model, dataset),
        residuals=autocorrelation(residuals, report.window.slots),
        residual_count=int(np.isfinite(residuals).sum()),
        open_loop=open_loop,
        excluded=excluded,
    )


def _key_place(report: Report) -> int:
    far = [abs(step * report.window.step - _KEY) for step in report.steps()]
    return far.index(min(far))


def _errors(report: Report, name: str, place: int, *, signed: bool = False) -> Floats:
    """What came less the median, at one of the shown steps; [n], NaN where not scored."""
    answers = report.answers
    error = answers.came[:, place] - middle(answers.said[name][:, place].astype(np.float64), _levels(report, name))
    return error if signed else np.abs(error)


def _levels(report: Report, name: str) -> Floats:
    return np.array((report.baselines[name] if name else report.model).levels)


def _by(errors: Floats, group: IntArray, count: int) -> Floats:
    """The mean of each group; NaN for an empty one."""
    known = np.isfinite(errors)
    sums = np.bincount(group[known], errors[known], minlength=count)
    counts = np.bincount(group[known], minlength=count)
    means: Floats = np.divide(sums, counts, out=np.full(count, np.nan), where=counts > 0)
    return means


def _days(report: Report, place: int, rival: str, when: IntArray) -> list[Day]:
    """Seasons of which most is known, the worst first."""
    answers, season = report.answers, round(report.window.season.total_seconds())
    came = answers.came[:, place]
    losses = [
        pinball(answers.said[name][:, place].astype(np.float64), _levels(report, name), came).mean(axis=-1)
        for name in ("", rival)
    ]
    found = []
    for day in np.unique(when // season):
        rows = when // season == day
        known = rows & np.isfinite(came)
        if known.sum() * 2 < report.window.slots:
            continue
        own, naive = (float(loss[known].mean()) for loss in losses)
        begin = EPOCH + timedelta(seconds=int(day) * season)
        found.append(Day(begin=begin, loss=own, rival=naive, came=came[rows], said=answers.said[""][rows, place]))
    return sorted(found, key=lambda day: -day.loss)


def autocorrelation(errors: Floats, lags: int) -> Floats:
    """Of what is known, around its mean; [lags + 1], the first is 1 (or 0 where nothing varies)."""
    known = np.isfinite(errors)
    if not known.any():
        return np.zeros(1)
    lags = min(lags, len(errors) - 1)
    centred = np.where(known, errors - errors[known].mean(), 0.0)
    width = 2 ** int(np.ceil(np.log2(2 * len(errors))))
    spectrum = np.abs(np.fft.rfft(centred, width)) ** 2
    sums: Floats = np.fft.irfft(spectrum, width)[: lags + 1]
    scale = float(np.square(centred).sum())
    return np.divide(sums, scale, out=np.zeros(lags + 1), where=scale > 0)


def _importance(report: Report, model: Model, dataset: Dataset) -> dict[str, float]:
    """Each part of the input swapped between origins, the most important first.

    Parts that tell the same hide one another: each can be missed where the others are there.
    """
    series, window = dataset.series, report.window
    last = len(series) - 1 - window.horizon
    first = len(series.until(report.since)) - 1
    rows = np.unique(np.linspace(first, max(first, last), _SAMPLE).astype(np.int64))
    seen, clock = histories(series, window)[rows], report.answers.clock[rows - first]
    came = futures(series, window)[rows]
    swapped = np.random.default_rng(_SEED).permutation(len(rows))  # noqa: TID251  # seeded
    base = _loss(model, seen, clock, came)
    found = {}
    for name, part in _parts(window).items():
        other = seen.copy()
        other[:, part] = seen[swapped][:, part]
        found[name] = _loss(model, other, clock, came)
    found["the clock"] = _loss(model, seen, clock[swapped], came)
    grown = {name: loss / base - 1 if base > 0 else 0.0 for name, loss in found.items()}
    return dict(sorted(grown.items(), key=lambda each: -each[1]))


def _loss(model: Model, seen: FloatArray, clock: IntArray, came: Floats) -> float:
    answer = model.predict(seen, clock).astype(np.float64)
    known: NDArray[np.bool_] = np.isfinite(came) & np.isfinite(answer).all(axis=-1)
    return float(pinball(answer, np.array(model.card.levels), came)[known].mean()) if known.any() else 0.0


def _parts(window: Window) -> dict[str, slice]:
    """The history cut where it gets old, by name."""
    edges = {
        "the last step": 1,
        "the rest of the last hour": round(timedelta(hours=1) / window.step),
        "the rest of the last six hours": round(timedelta(hours=6) / window.step),
        "the rest of the last season": window.slots,
        "the season before": 2 * window.slots,
        "earlier seasons": window.context,
    }
    parts, done = {}, 0
    for name, edge in edges.items():
        if done < edge <= window.context:
            parts[name] = slice(window.context - edge, window.context - done)
            done = edge
    return parts
