"""How far can this forecast be trusted? Scores old forecasts against what came, corrects and weighs the next one.

Three uses of one small record: coverage is reported, the upper quantile is shifted until it covers the highest load of
the window that is prepared for (quantile tracking: Angelopoulos, Candes and Tibshirani 2023, "Conformal PID Control
for Time Series Prediction"), and a forecast that lately loses to the naive ones fades out (docs/decisions/0003; the
correction: 0007, the window: 0010).
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.forecast import Forecast, persistence, seasonal_naive
from controller.core.memory import Pending, TrackRecord
from controller.core.policy import Policy
from controller.core.series import Series

CORRECTION_RATE = 0.025  # bands that one miss moves the level, at most: one step ahead; less where truths come late
RARE = 0.1  # misses that are meant to be rarer move it further: there are fewer to learn from
CORRECTION_BOUNDS = (-1.0, 3.0)  # bands
MOST = 8.0  # no correction makes more of a level, however wide the band is
HALF_LIFE_SEASONS = 0.25  # "lately" is a quarter of a season: six hours of a daily pattern
COVERAGE_HALF_LIFE_SEASONS = 1.0  # of coverage a day: of fewer windows the share is off by some points by chance
MIN_SETTLED = 6.0  # forecasts scored before a coverage is told: fewer say nothing
PRIOR = 24.0  # forecasts as good as naive that are thought to have come first: two hours of five-minute steps
FULL_TRUST, NO_TRUST = 1.0, 1.5  # loss relative to the better naive: up to the first the weight is 1, from the second 0
WORST = 4.0  # no ratio counts for more, so that one loss beside a lucky naive is no verdict
MAX_PENDING = 72  # six hours of five-minute steps, 7 kB of .status; a longer lead learns from fewer forecasts

Numbers = float | NDArray[np.float64]


def updated(record: TrackRecord, history: Series, forecast: Forecast | None, policy: Policy) -> TrackRecord:
    """Settle the forecasts whose truth is known, then take in the new one, over the window that is prepared for."""
    if forecast is None:
        return record
    ahead = _steps_ahead(forecast, policy.window)
    return _enrolled(_settled(record, history, forecast, policy, ahead), history, forecast, policy, ahead)


def corrected(record: TrackRecord, forecast: Forecast, level: float) -> NDArray[np.float64]:
    """The quantile `level` of each step, shifted by what coverage of late asks for; shape [horizon]."""
    return shifted(record.correction, forecast.at_level(level), forecast.band)


def shifted(correction: Numbers, upper: Numbers, band: Numbers) -> NDArray[np.float64]:
    """`upper` (>= 0) moved by so many bands: never below 0 nor above MOST times itself; any shape."""
    return np.minimum(np.maximum(upper + correction * band, 0.0), MOST * upper)


def shifted_one(correction: float, upper: float, band: float) -> float:
    """As `shifted`, of one step: a decision looks at a few only, for which plain numbers take less than arrays."""
    return min(max(upper + correction * band, 0.0), MOST * upper)


def trust(record: TrackRecord, spare: float) -> float:
    """The forecast's weight: 1 while it is at least as good as the better naive, falling linearly to 0.

    `spare`: the pinball loss of one replica too many, metric's unit, > 0; losses far below it are no losses. Few losses
    say little: their ratio is drawn towards 1, the less the more forecasts were scored.
    """
    known = record.settled / (record.settled + PRIOR)
    ratio = 1.0 + known * (_relative_loss(record, spare) - 1.0)
    return min(1.0, max(0.0, (NO_TRUST - ratio) / (NO_TRUST - FULL_TRUST)))


def _relative_loss(record: TrackRecord, spare: float) -> float:
    """The loss in units of the better naive's, at most WORST."""
    naive = min(record.loss_persistence, record.loss_seasonal)
    unnoticed = record.settled * spare
    return min(WORST, (record.loss + unnoticed) / (naive + unnoticed)) if naive + unnoticed > 0.0 else 1.0


def coverage(record: TrackRecord) -> float | None:
    """The share of late windows whose highest load stayed below the upper quantile; None until enough are settled."""
    return record.covered / record.watched if record.watched >= MIN_SETTLED else None


def pinball(level: float, forecast: float, actual: float) -> float:
    """The loss of calling `forecast` the quantile `level` when `actual` came; metric's unit."""
    return max(level * (actual - forecast), (level - 1.0) * (actual - forecast))


def _steps_ahead(forecast: Forecast, lead: timedelta) -> int:
    """Which step of the forecast, from 1, ends the lead time; the last one where it does not reach so far."""
    return min(max(1, -(-lead // forecast.step)), len(forecast.quantiles))


def _settled(record: TrackRecord, history: Series, forecast: Forecast, policy: Policy, ahead: int) -> TrackRecord:
    if not any(pending.time <= history.end for pending in record.pending):
        return record
    past = spacing(ahead) * forecast.step / forecast.season
    for pending in record.pending:
        if pending.time <= history.end:
            record = _settled_one(record, pending, history, policy, past, rate(ahead, policy.level))
    return replace(record, pending=tuple(one for one in record.pending if one.time > history.end))


def _settled_one(
    record: TrackRecord, pending: Pending, history: Series, policy: Policy, past: float, rate: float
) -> TrackRecord:
    """What is not known says nothing: neither of the last step, nor, where any is missing, of the highest of all."""
    actual, highest = history.value_at(pending.time), history.highest(pending.origin, pending.time)
    if not math.isfinite(actual):
        return record
    record = _scored(record, pending, actual, policy.judged_level, 0.5 ** (past / HALF_LIFE_SEASONS))
    if not math.isfinite(highest):
        return record
    return _covered(record, pending, highest, policy.level, 0.5 ** (past / COVERAGE_HALF_LIFE_SEASONS), rate)


def _scored(record: TrackRecord, pending: Pending, actual: float, level: float, decay: float) -> TrackRecord:
    loss = pinball(level, pending.forecast, actual)
    return replace(
        record,
        settled=record.settled * decay + 1.0,
        loss=record.loss * decay + loss,
        loss_persistence=record.loss_persistence * decay + _naive_loss(level, pending.persistence, actual, loss),
        loss_seasonal=record.loss_seasonal * decay + _naive_loss(level, pending.seasonal, actual, loss),
    )


def _covered(
    record: TrackRecord, pending: Pending, highest: float, level: float, decay: float, rate: float
) -> TrackRecord:
    """A forecast without a band would have been the same under any correction, so nothing is learnt from it."""
    is_covered = highest <= pending.upper
    learnt = tracked(record.correction, level, is_covered, rate) if pending.has_band else record.correction
    return replace(
        record,
        watched=record.watched * decay + 1.0,
        covered=record.covered * decay + is_covered,
        correction=float(learnt),
    )


def tracked(
    correction: Numbers, level: Numbers, is_covered: bool | NDArray[np.bool_], rate: Numbers
) -> NDArray[np.float64]:
    """The correction after one more truth: up where it was not covered, down where it was; any shape.

    In the long run the share of covered truths is the level, whatever the forecasts are, as far as the bounds allow.
    """
    moved = correction + rate * (level - np.asarray(is_covered))
    return np.minimum(CORRECTION_BOUNDS[1], np.maximum(CORRECTION_BOUNDS[0], moved))


def spacing(ahead: int) -> int:
    """How many steps lie between two forecasts that wait for truths `ahead` steps later: at most MAX_PENDING wait."""
    return -(-ahead // MAX_PENDING)


def rate(ahead: int, level: float) -> float:
    """How far one truth moves the correction, in bands: the less the more forecasts do not know of it yet.

    Further at levels above 0.9, by the root of how much rarer their misses are (docs/decisions/0007).
    """
    return CORRECTION_RATE * math.sqrt(max(1.0, RARE / (1.0 - level)) / -(-ahead // spacing(ahead)))


def _naive_loss(level: float, naive: float | None, actual: float, loss: float) -> float:
    """A naive forecaster that had nothing to say draws."""
    return loss if naive is None else pinball(level, naive, actual)


def _enrolled(record: TrackRecord, history: Series, forecast: Forecast, policy: Policy, ahead: int) -> TrackRecord:
    due = record.enrolled and record.enrolled + spacing(ahead) * forecast.step
    if (due is not None and forecast.origin < due) or len(record.pending) >= MAX_PENDING:
        return record
    time = forecast.origin + ahead * forecast.step
    upper = corrected(record, forecast, policy.level)[:ahead]
    is_same = policy.judged_level == policy.level
    pending = Pending(
        origin=forecast.origin,
        time=time,
        upper=float(upper.max()),
        forecast=float(upper[-1] if is_same else forecast.at_level(policy.judged_level)[ahead - 1]),
        persistence=_finite(persistence(history)),
        seasonal=_finite(seasonal_naive(history, forecast.season, time)),
        has_band=bool(forecast.band[:ahead].max() > 0.0),
    )
    return replace(record, pending=(*record.pending, pending), enrolled=forecast.origin)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
