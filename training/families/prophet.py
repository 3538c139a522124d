"""What will the load be if only the clock is asked? Prophet's trend and seasons, moved towards what was just seen.

Prophet's forecast is a function of time: a straight line times a factor for each step of a week. How far off it was
at the last step, within the hour and over the last season says how far off it will be; how much, is learned by horizon.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from controller.core.series import Series
from controller.forecaster import IntArray
from training.families.bands import add_quantiles, band_of, quantiles_of, unit_of
from training.families.family import Examples, FitError, Fitted, Progress
from training.families.scaled import Scaled, columns
from training.families.weekly import add_slot, is_weekend, slots_of, week_of
from training.features import fill_gaps
from training.graph import Graph
from training.measures import Floats
from training.windows import DAYS_IN_WEEK, Window

_MOST_POINTS = 5_000  # that Stan fits in seconds; steps are averaged until there are no more
_HARMONICS, _WEEKEND_HARMONICS, _WEEK_HARMONICS = 8, 4, 3  # as Prophet's own, and finer within a day
_CHANGES_UNTIL = 0.8  # of the span, as Prophet has it: from there on the trend is straight
_STRAIGHT = 1.5  # seasons at the end at least, so that how far off it is in the last one is a matter of one line
_SEED = 1
_RECENT = (96, 24, 1)  # shares of a season, a quarter of an hour and an hour of a day: how far off it was over each
_EXAMPLES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ProphetFamily:
    """`progress` is told how many of the two fits are done."""

    name: str = "prophet"
    progress: Progress = lambda _done, _all: None

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        """Prophet on all of `series`; corrections and band from errors on its last fifth. Raises FitError."""
        past = Scaled.of(series, window, zone)
        unit = float(np.nanmean(series.values))
        values = series.values / unit
        rehearsal = _curve(past, values[: past.boundary], unit)
        self.progress(1, 2)
        gain, errors = _corrected(rehearsal, past)
        band = band_of(errors, np.zeros(window.horizon))
        curve = _curve(past, values, unit)
        self.progress(2, 2)
        graph = Graph(context=window.context)
        off, fitted = curve.add_to(graph)
        centre = graph.add("Add", fitted, graph.add("MatMul", off, graph.constant(gain)))
        quantiles = add_quantiles(graph, centre, graph.constant([[unit]]), band)
        return Fitted(family=self.name, graph=graph, quantiles=quantiles, examples=_examples(curve, past, gain, band))


@contextmanager
def _quiet() -> Iterator[None]:
    """Prophet warns of what pandas will change and reports each of Stan's steps; neither is for our users."""
    loggers = [logging.getLogger(name) for name in ("cmdstanpy", "prophet", "prophet.plot")]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, was_disabled in zip(loggers, before, strict=True):
            logger.disabled = was_disabled


def _prophet(**settings: Any) -> Any:  # noqa: ANN401  # the library is not typed
    try:
        library = import_module("prophet")
    except ImportError as error:
        raise FitError(f"install predictive-scaler[prophet] for this family: {error}") from error
    return library.Prophet(**settings)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Curve:
    """A fitted Prophet, and how it is written down, in units of the mean load.

    `factor`: [week]. The trend is `height` at the step that ends at `last` (local seconds) and rises by `slope` a step,
    within `reach` steps before and after; beyond that it stands still.
    """

    found: Any
    window: Window
    unit: float
    factor: Floats
    last: int
    height: float
    slope: float
    reach: int

    def add_to(self, graph: Graph) -> tuple[str, str]:
        """How far off it was, [batch, widths], over the recent past; what it says of the horizon."""
        slots, horizon = self.window.slots, self.window.horizon
        offset = graph.integers(np.arange(1 - slots, horizon + 1))
        slot = graph.add("Unsqueeze", add_slot(graph, self.window), graph.integers([1]))
        places = graph.add("Mod", graph.add("Add", slot, offset), graph.integers(week_of(self.window)))
        seasonal = graph.add("Gather", graph.constant(self.factor), places)
        every = graph.add("Mul", self._add_trend(graph, offset), seasonal)
        before, after = columns(graph, every, 0, slots), columns(graph, every, slots, slots + horizon)
        context = self.window.context
        seen = columns(graph, fill_gaps(graph, self.window), context - slots, context)
        off = graph.add("Sub", graph.add("Div", seen, graph.constant(self.unit)), before)
        return graph.add("MatMul", off, graph.constant(_recent(slots))), after

    def _add_trend(self, graph: Graph, offset: str) -> str:
        """Integers until the numbers are small: seconds since 1970 are too many for a float32."""
        step = round(self.window.step.total_seconds())
        now = graph.add("Unsqueeze", graph.add("Div", graph.origin, graph.integers(step)), graph.integers([1]))
        passed = graph.add("Add", graph.add("Sub", now, graph.integers(self.last // step)), offset)
        within = graph.add("Clip", passed, graph.integers(-self.reach), graph.integers(self.reach))
        steps = graph.add("CastLike", within, graph.constant(0.0))
        return graph.add("Add", graph.add("Mul", steps, graph.constant(self.slope)), graph.constant(self.height))

    def says(self, clock: IntArray) -> Floats:
        """Prophet's own answer for the steps that end at the local times, in any order: it sorts them itself."""
        times, places = np.unique(clock, return_inverse=True)
        with _quiet():
            said = self.found.predict(_frame(times, self.window))["yhat"]
        return np.asarray(said, np.float64)[places]


def _recent(slots: int) -> Floats:
    """Means over the last step and the last shares of a season, [slots, widths]."""
    widths = sorted({1, *(max(1, slots // share) for share in _RECENT)})
    ages = np.arange(slots, 0, -1)
    return np.stack([(ages <= width) / width for width in widths], axis=1)


def _curve(past: Scaled, values: Floats, unit: float) -> _Curve:
    """Fit Prophet on `values`, the first ones of the past."""
    window, clock = past.window, past.clock[: len(values)]
    found = _fitted(clock, values, window)
    step = round(window.step.total_seconds())
    last = int(clock[-1])
    ahead = last + step * np.arange(week_of(window))
    with _quiet():
        week = found.predict(_frame(ahead, window))
    factor = np.empty(week_of(window))
    factor[slots_of(ahead, window)] = 1 + week["multiplicative_terms"]
    trend = np.asarray(week["trend"], np.float64)
    return _Curve(
        found=found,
        window=window,
        unit=unit,
        factor=factor,
        last=last,
        height=float(trend[0]),
        slope=float(trend[-1] - trend[0]) / (len(trend) - 1),
        reach=max(0, int((last - _last_change(found, clock)) // step) - 1),
    )


def _last_change(found: Any, clock: IntArray) -> float:  # noqa: ANN401  # the library is not typed
    """Where the trend bends for the last time, in local seconds; the beginning if nowhere."""
    bends = found.changepoints
    return pd.Timestamp(bends.iloc[-1]).timestamp() if len(bends) else float(clock[0])


def _fitted(clock: IntArray, values: Floats, window: Window) -> Any:  # noqa: ANN401  # the library is not typed
    """A Prophet with the seasons of the week, of the day, and what sets the weekend's days apart."""
    every = -(-len(values) // _MOST_POINTS)
    whole = len(values) // every * every
    known = np.isfinite(values[-whole:]).reshape(-1, every)
    counts = known.sum(axis=1)
    sums = np.where(known, values[-whole:].reshape(-1, every), 0).sum(axis=1)
    middle = clock[-whole:].reshape(-1, every).mean(axis=1).astype(np.int64)
    used = counts > 0
    points = _frame(middle[used], window).assign(y=sums[used] / counts[used])
    straight = middle[used] > clock[-1] - _STRAIGHT * window.season.total_seconds()
    with _quiet():
        found = _prophet(
            growth="linear",
            changepoint_range=min(_CHANGES_UNTIL, 1 - float(straight.mean())),
            yearly_seasonality=False,
            weekly_seasonality=False,
            daily_seasonality=False,
            seasonality_mode="multiplicative",
            uncertainty_samples=0,
        )
        season = window.season / timedelta(days=1)
        most = (window.slots - 1) // 2
        found.add_seasonality("week", DAYS_IN_WEEK * season, _WEEK_HARMONICS)
        if most:
            found.add_seasonality("season", season, min(_HARMONICS, most))
            found.add_seasonality("weekend", season, min(_WEEKEND_HARMONICS, most), condition_name="is_weekend")
        return found.fit(points, seed=_SEED)


def _frame(clock: IntArray, window: Window) -> pd.DataFrame:
    """What Prophet asks of the steps that end at the local times: their middle, and what kind of day it is."""
    middle = clock - round(window.step.total_seconds()) / 2
    weekend = is_weekend(slots_of(clock, window), window)
    return pd.DataFrame({"ds": pd.to_datetime(middle, unit="s"), "is_weekend": weekend})


def _corrected(curve: _Curve, past: Scaled) -> tuple[Floats, Floats]:
    """How much being off counts at each step, [widths, horizon], and what is still wrong then, in units."""
    graph, places = Graph(context=past.window.context), past.late
    both = graph.add("Concat", *curve.add_to(graph), axis=1)
    widths = _recent(past.window.slots).shape[1]
    off, fitted = np.split(past.run(graph, both, widths + past.window.horizon, places), [widths], axis=1)
    missed = past.came(places) / curve.unit - fitted
    gain = np.stack([_least_squares(off, column) for column in missed.T], axis=1)
    moved = off @ gain
    errors: Floats = (missed - moved) / unit_of(fitted + moved)
    return gain, errors


def _least_squares(off: Floats, missed: Floats) -> Floats:
    """None below zero: a forecast moves towards what was seen, or not at all."""
    known = np.isfinite(missed)
    return np.asarray(nnls(off[known], missed[known])[0], np.float64)


def _examples(curve: _Curve, past: Scaled, gain: Floats, band: Floats) -> Examples:
    """The last rows as Prophet itself answers them; gaps are filled as in the graph."""
    window = past.window
    places = past.last(_EXAMPLES)
    places = places[past.clock[places] >= past.clock[places[-1]] - window.season.total_seconds() / 2]
    filled = past.filled(places)
    steps = round(window.step.total_seconds()) * np.arange(1 - window.slots, window.horizon + 1)
    said = curve.says((past.clock[places][:, None] + steps).ravel()).reshape(len(places), -1)
    off = (filled[:, -window.slots :] / curve.unit - said[:, : window.slots]) @ _recent(window.slots)
    centre = said[:, window.slots :] + off @ gain
    return Examples(
        history=past.seen[places],
        origin=past.clock[places],
        quantiles=quantiles_of(centre, np.full((len(places), 1), curve.unit), band),
    )
