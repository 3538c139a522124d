"""How does a calendar get into a model file? As a table of steps beside the graph, looked up from the origin.

The history is corrected before the model sees it, its forecast is multiplied after. Nothing of it is fitted, and the
controller needs to know nothing of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.core.series import EPOCH, Series
from controller.forecaster import FloatArray, local_seconds
from training.calendars.effects import effects
from training.calendars.event import Calendar, CalendarError
from training.families.family import Examples, Fitted
from training.graph import Graph
from training.windows import Window

_MOST_STEPS = 8_000_000  # at four bytes each half of what a loader accepts
_DECIMALS = 5  # of a multiplier: far below every noise, and above what arithmetic adds
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_ODD = 7.0  # in the examples, what an event is said to have done to steps that must be forgotten


def applied(fitted: Fitted, calendar: Calendar, series: Series, window: Window, zone: tzinfo) -> Fitted:
    """`fitted`, which learned from `series` without events, with the calendar around it.

    The calendar's multipliers are known. Raises CalendarError.
    """
    table = _Table.of(calendar, series, window)
    graph = Graph(context=window.context)
    step = _add_place(graph, table, zone)
    history = _add_history(graph, table, step)
    inner = graph.embed(fitted.graph, fitted.quantiles, history=history)
    codes = _codes(graph, table, step, range(window.context, window.context + window.horizon))
    factors = graph.add("Gather", graph.constant(table.multipliers), codes)
    return replace(
        fitted,
        graph=graph,
        quantiles=graph.add("Mul", inner, graph.add("Unsqueeze", factors, graph.integers([-1]))),
        examples=_examples(fitted.examples, calendar, window, zone),
        calendar=calendar.to_dict(),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Table:
    """What happens in each step from `start` (UTC) on; [n] each.

    `is_event`: touched by any event. `running`: uint16, for how many steps events other than outages have gone on, this
    one included. `codes`: which of `multipliers` it is, a byte where these are few.
    Both ends hold a context and a horizon without events, so that a window never reaches beyond.
    """

    window: Window
    start: datetime
    is_event: NDArray[np.bool_]
    running: NDArray[np.uint16]
    codes: NDArray[np.unsignedinteger[Any]]
    multipliers: FloatArray

    @classmethod
    def of(cls, calendar: Calendar, series: Series, window: Window) -> _Table:
        edge = window.context + window.horizon
        inside = -((series.start - calendar.until) // window.step)
        if inside > _MOST_STEPS:
            raise CalendarError(f"{calendar.name}: {inside} steps until {calendar.until} are too many for a model file")
        found = effects(calendar, series.start, window.step, inside)
        padded = np.pad(np.round(found.multiplier, _DECIMALS), edge, constant_values=1.0)
        multipliers, codes = np.unique(padded, return_inverse=True)
        return cls(
            window=window,
            start=series.start.astimezone(UTC) - edge * window.step,
            is_event=np.pad(found.is_event, edge),
            running=_running(np.pad(found.is_event & ~found.is_outage, edge)),
            codes=codes.astype(np.min_scalar_type(len(multipliers) - 1)),
            multipliers=multipliers.astype(np.float32),
        )


def _running(is_on: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """For how many steps it has been on, up to and including each."""
    places = np.arange(1, len(is_on) + 1)
    last_off = np.maximum.accumulate(np.where(is_on, 0, places))
    return np.minimum(places - last_off, np.iinfo(np.uint16).max).astype(np.uint16)


def _add_place(graph: Graph, table: _Table, zone: tzinfo) -> str:
    """Where in the table the first step of the history is; int64 [batch, 1], clipped to where nothing happens."""
    window = table.window
    until = table.start + len(table.codes) * window.step
    first, changes = _offsets(zone, table.start, until)
    local = graph.add("Unsqueeze", graph.origin, graph.integers([1]))
    universal = graph.add("Sub", local, graph.integers(first + (table.start - EPOCH) // _SECOND))
    if changes:
        is_after = graph.add("GreaterOrEqual", local, graph.integers([[at for at, _ in changes]]))
        moved = graph.add("Where", is_after, graph.integers([[by for _, by in changes]]), graph.integers(0))
        universal = graph.add("Sub", universal, graph.add("ReduceSum", moved, graph.integers([1]), keepdims=1))
    ended = graph.add("Div", universal, graph.integers(window.step // _SECOND))
    begun = graph.add("Sub", ended, graph.integers(window.context))
    last = len(table.codes) - window.context - window.horizon
    return graph.add("Min", graph.add("Max", begun, graph.integers(0)), graph.integers(last))


def _offsets(zone: tzinfo, start: datetime, until: datetime) -> tuple[int, list[tuple[int, int]]]:
    """The zone's offset at `start`, and from which local second on it changes by how much; in seconds.

    An hour that comes twice is read as the first of the two.
    """
    changes = []
    time = start
    while time < until:
        before, after = local_seconds(time, zone), local_seconds(time + _DAY, zone)
        if change := after - before - round(_DAY.total_seconds()):
            at = _moment_of_change(zone, time)
            changes.append((local_seconds(at, zone) + max(0, -change), change))
        time += _DAY
    return local_seconds(start, zone) - (start - EPOCH) // _SECOND, changes


def _moment_of_change(zone: tzinfo, time: datetime) -> datetime:
    """The first second within a day from `time` on that has another offset, by halving."""
    offset = local_seconds(time, zone) - (time - EPOCH) // _SECOND
    low, high = 0, round(_DAY.total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        moment = time + middle * _SECOND
        is_same = local_seconds(moment, zone) - (moment - EPOCH) // _SECOND == offset
        low, high = (middle, high) if is_same else (low, middle)
    return time + high * _SECOND


def _codes(graph: Graph, table: _Table, first: str, steps: range) -> str:
    """The codes of those steps of the window, int32 [batch, steps]."""
    places = graph.add("Add", first, graph.integers(list(steps)))
    found = graph.add("Gather", graph.constant(table.codes, table.codes.dtype.type), places)
    return graph.add("CastLike", found, graph.constant(0, np.int32))


def _add_history(graph: Graph, table: _Table, first: str) -> str:
    """The history as it would be without events, [batch, context].

    An event that is over is forgotten. One that goes on is divided out, so that the model sees how the load does in it.
    What would leave nothing at all is left as it is.
    """
    missing, context = graph.constant(float("nan")), table.window.context
    places = graph.add("Add", first, graph.integers(range(context)))
    is_event = graph.add("Gather", graph.constant(table.is_event, np.bool_), places)
    quiet = graph.add("Where", is_event, missing, graph.history)
    if (longest := min(int(table.running.max()), context)) > 0:
        quiet = _divide(graph, table, first, quiet, longest)
    is_empty = graph.add("ReduceMin", graph.add("IsNaN", quiet), graph.integers([1]), keepdims=1)
    return graph.add("Where", is_empty, graph.history, quiet)


def _divide(graph: Graph, table: _Table, first: str, quiet: str, longest: int) -> str:
    """`quiet` with the steps of an event that goes on beyond the origin, at most the `longest` last ones."""
    context = table.window.context
    coming = graph.add("Add", first, graph.integers(context))
    running = graph.add("Gather", graph.constant(table.running, np.uint16), coming)
    before = graph.add("Sub", graph.add("CastLike", running, graph.integers(0)), graph.integers(1))
    is_running = graph.add("Less", graph.integers([list(range(longest - 1, -1, -1))]), before)
    codes = _codes(graph, table, first, range(context - longest, context))
    factors = graph.add("Gather", graph.constant(1 / table.multipliers), codes)
    seen = _part(graph, graph.history, context - longest, context)
    divided = graph.add(
        "Where", is_running, graph.add("Mul", seen, factors), _part(graph, quiet, context - longest, context)
    )
    return graph.add("Concat", _part(graph, quiet, 0, context - longest), divided, axis=1)


def _part(graph: Graph, values: str, start: int, end: int) -> str:
    return graph.add("Slice", values, graph.integers([start]), graph.integers([end]), graph.integers([1]))


def _examples(examples: Examples, calendar: Calendar, window: Window, zone: tzinfo) -> Examples:
    """The same answers, multiplied by means of datetimes instead of the table.

    What an event that is over did to the history must not matter, so there it is made odd.
    """
    history, quantiles = examples.history.copy(), examples.quantiles.copy()
    for row, origin in enumerate(examples.origin):
        end = (EPOCH + int(origin) * _SECOND).replace(tzinfo=zone).astimezone(UTC)
        spans = [
            ((span.start - end) / window.step, (span.end - end) / window.step, event.factor)
            for event in calendar.events
            for span in event.spans
        ]
        for start, stop, factor in spans:
            share = np.diff(np.clip(np.arange(window.horizon + 1), start, stop))
            quantiles[row] *= (1 + (factor - 1) * share)[:, None].astype(np.float32)
        if not any(start < 1 and stop > 0 for start, stop, _ in spans):
            _make_odd(history[row], [(start, stop) for start, stop, _ in spans if stop <= 0])
    return Examples(history=history, origin=examples.origin, quantiles=quantiles)


def _make_odd(history: FloatArray, spans: list[tuple[float, float]]) -> None:
    """`spans`: in steps from the end of the history."""
    odd = np.nanmax(history) * np.float32(_ODD)
    context = len(history)
    for start, stop in spans:
        history[max(0, context + math.floor(start)) : max(0, context + math.ceil(stop))] = odd
