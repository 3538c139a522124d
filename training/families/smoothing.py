"""What do the last steps say about the next, if what has changed stays? Exponential smoothing (ETS, Holt-Winters).

Level, damped trend and season of what the time of the week leaves over, each an average that forgets. The parameters
are statsmodels'.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo

import numpy as np
from statsmodels.tsa.holtwinters import ExponentialSmoothing, HoltWintersResults

from controller.core.series import Series
from training.families.affine import fit_affine
from training.families.family import FitError, Fitted, Progress
from training.families.scaled import Scaled
from training.measures import Floats
from training.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoothing:
    """`progress` is told how many of the forms are tried."""

    name: str = "ets"
    progress: Progress = lambda _done, _all: None

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        """The form by its one-step errors on the last fifth, a band from there too. Raises FitError."""
        candidates = [
            Form(has_trend=has_trend, is_seasonal=is_seasonal)
            for is_seasonal in (False, True)
            for has_trend in (False, True)
        ]
        return fit_affine(self.name, candidates, Scaled.of(series, window, zone), self.progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A level, and which other states there are."""

    has_trend: bool
    is_seasonal: bool

    def fit(self, remainder: Floats, window: Window) -> _Smoother:
        """By least squares of one-step errors."""
        try:
            found = self.model(remainder, window).fit(use_brute=False)
        except (ValueError, np.linalg.LinAlgError) as error:
            raise FitError(f"no parameters can be found for the smoothing: {error}") from error
        return _Smoother(form=self, window=window, weights=_weights(found))

    def model(self, remainder: Floats, window: Window) -> ExponentialSmoothing:
        """Statsmodels' own, which begins where a mean of the first seasons says."""
        values = _complete(remainder)
        states = {"initial_level": float(values[: window.slots].mean())}
        if self.has_trend:
            states["initial_trend"] = 0.0
        season = {"initial_seasonal": _first_season(values, window)} if self.is_seasonal else {}
        return ExponentialSmoothing(
            values,
            trend="add" if self.has_trend else None,
            damped_trend=self.has_trend,
            seasonal="add" if self.is_seasonal else None,
            seasonal_periods=window.slots if self.is_seasonal else None,
            initialization_method="known",
            **states,
            **season,
        )


def _complete(remainder: Floats) -> Floats:
    """The library knows no gaps: what is not recorded is taken to be as usual."""
    return np.where(np.isfinite(remainder), remainder, 0.0)


def _first_season(values: Floats, window: Window) -> Floats:
    """How each step of a season differs from the others over the first seasons, [slots]."""
    seasons = min(window.seasons, len(values) // window.slots)
    mean = values[: seasons * window.slots].reshape(seasons, window.slots).mean(axis=0)
    return np.asarray(mean - mean.mean(), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weights:
    """How fast each state learns, and how fast a trend dies out; zero for a state that is not there."""

    level: float
    trend: float = 0.0
    season: float = 0.0
    damping: float = 0.0


def _weights(found: HoltWintersResults) -> _Weights:
    names = {"level": "smoothing_level", "trend": "smoothing_trend", "season": "smoothing_seasonal"}
    known = {name: float(np.nan_to_num(found.params[key])) for name, key in names.items()}
    damping = float(np.nan_to_num(found.params["damping_trend"]))
    return _Weights(**known, damping=damping)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Smoother:
    """A fitted smoother."""

    form: Form
    window: Window
    weights: _Weights

    @property
    def parameters(self) -> int:
        """The weights that are there, and the scale."""
        return 2 + 2 * self.form.has_trend + self.form.is_seasonal

    def errors(self, remainder: Floats) -> Floats:
        """Of one step; NaN where not recorded."""
        fitted = np.asarray(self._run(remainder).fittedvalues, np.float64)
        return np.asarray(remainder - fitted, np.float64)

    def forecast(self, remainder: Floats, horizon: int) -> Floats:
        """From the states as statsmodels has them; its forecast forgets the last step's season (its issue 9538)."""
        found, steps = self._run(remainder), np.arange(1, horizon + 1)
        expected = np.full(horizon, float(found.level[-1]))
        if self.form.has_trend:
            expected += np.cumsum(self.weights.damping**steps) * float(found.trend[-1])
        if self.form.is_seasonal:
            expected += np.asarray(found.season)[-self.window.slots :][(steps - 1) % self.window.slots]
        return expected

    def _run(self, remainder: Floats) -> HoltWintersResults:
        known = {"smoothing_level": self.weights.level}
        if self.form.has_trend:
            known |= {"smoothing_trend": self.weights.trend, "damping_trend": self.weights.damping}
        if self.form.is_seasonal:
            known["smoothing_seasonal"] = self.weights.season
        return self.form.model(remainder, self.window).fit(**known, optimized=False)

    def kernel(self, window: Window) -> Floats:
        """Backwards from what is read off the states at the end; the first states are means of the history too."""
        reading = _Reading.of(window, self.form, self.weights)
        kernel = np.zeros((window.horizon, window.context))
        for place in range(window.context - 1, -1, -1):
            kernel[:, place] = reading.step_back(place % window.slots, self.weights)
        kernel[:, : window.slots] += reading.level[:, None] / window.slots
        if self.form.is_seasonal:
            season = (reading.season - reading.season.mean(axis=1, keepdims=True)) / window.seasons
            kernel += np.tile(season, window.seasons)
        return kernel


@dataclass(slots=True, kw_only=True, eq=False)
class _Reading:
    """How much each state counts in the forecast: `level`, `trend` [horizon], `season` [horizon, slots]."""

    level: Floats
    trend: Floats
    season: Floats = field(repr=False)

    @classmethod
    def of(cls, window: Window, form: Form, weights: _Weights) -> _Reading:
        """Of the states after the last step."""
        steps = np.arange(1, window.horizon + 1)
        season = np.zeros((window.horizon, window.slots))
        if form.is_seasonal:
            season[steps - 1, (steps - 1) % window.slots] = 1.0
        return cls(level=np.ones(window.horizon), trend=np.cumsum(weights.damping**steps), season=season)

    def step_back(self, slot: int, weights: _Weights) -> Floats:
        """How much the step's error counts, [horizon]; then this is of the states before it."""
        counts = weights.level * (self.level + weights.trend * self.trend) + weights.season * self.season[:, slot]
        self.trend = weights.damping * (self.level + self.trend - counts)
        self.level = self.level - counts
        self.season[:, slot] -= counts
        return counts
