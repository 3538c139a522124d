"""What does a model look at? The features, written once as ONNX operators.

Training obtains its matrix by running this graph over sliding windows, export embeds the same graph; there is no other
feature code to drift from. Everything is divided by a recent level. Must not fit anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controller.forecaster import FloatArray, IntArray
from training.graph import Graph
from training.windows import DAYS_IN_WEEK, Window

_SHORT_GAP = 48  # this share of a season, half an hour of a day: so long the load is taken to stand still
# A season is looked at in at least so many parts, as a day in five minutes; only the last hour is in single steps.
_PARTS = 288
_FINE = 1  # steps on each side that smooth a season's value just enough to tame a single odd one
_COARSE = 48  # this share of a season on each side, for its shape without its noise
_HOUR, _QUARTER = 24, 4  # shares of a season: windows that place the present against earlier seasons
_GRID = 4096.0  # a feature is known to this share of the level; far finer than any load is
_NEAR = 6  # steps: from their mean a forecast sets out; fewer are noisier, more are late
_LOWEST_CHANGE = 0.01  # of the level: what a load that stands still may be thought to change
_LOWEST_RATIO = 0.05  # of the level: below it a season says nothing about the present in proportion


def fill_gaps(graph: Graph, window: Window, history: str | None = None) -> str:
    """`history` (else the input) without gaps, [batch, context]; all NaN where it was all NaN.

    A short gap in the last hour of a day, or its share of a season, takes the value before it, as a late scrape needs;
    any other the mean of the other seasons at that time; and what no season has the nearest time before, the season
    being thought a circle.
    """
    carried = _carry_end(graph, window, history or graph.history)
    seasons = graph.add("Reshape", carried, graph.integers([-1, window.seasons, window.slots]))
    usual = _mean_of_known(graph, seasons, axis=1)
    reach = 1
    while reach < window.slots:
        usual = _or_else(graph, usual, _turned(graph, usual, reach))
        reach *= 2
    return graph.add("Reshape", _or_else(graph, seasons, usual), graph.integers([-1, window.context]))


def _carry_end(graph: Graph, window: Window, values: str) -> str:
    """Gaps of up to half an hour at the end are filled with the value before them, by moves of 1, 2, 4 and so on."""
    short = max(1, window.slots // _SHORT_GAP)
    start = window.context - 2 * short
    end, reach = _slice(graph, values, start, window.context), short
    distance = 1
    while reach > 0:
        move = min(distance, reach)
        missing = graph.constant(float("nan"))
        end = _or_else(graph, end, graph.add("Pad", end, graph.integers([0, move, 0, -move]), missing))
        reach -= move
        distance *= 2
    return graph.add("Concat", _slice(graph, values, 0, start), end, axis=1)


def _or_else(graph: Graph, values: str, others: str) -> str:
    return graph.add("Where", graph.add("IsNaN", values), others, values)


def _mean_of_known(graph: Graph, values: str, *, axis: int) -> str:
    """The mean of what is not NaN along an axis, which stays with the length 1; NaN where nothing is known."""
    along, is_missing = graph.integers([axis]), graph.add("IsNaN", values)
    known = graph.add("Where", is_missing, graph.constant(0.0), values)
    count = graph.add("ReduceSum", graph.add("Where", is_missing, graph.constant(0.0), graph.constant(1.0)), along)
    return graph.add("Div", graph.add("ReduceSum", known, along), count)


def _turned(graph: Graph, usual: str, move: int) -> str:
    """A season, [batch, 1, slots], that begins with its last `move` steps."""
    end = 2**31
    last, first = _slice(graph, usual, -move, end, axis=2), _slice(graph, usual, 0, -move, axis=2)
    return graph.add("Concat", last, first, axis=2)


def _slice(graph: Graph, values: str, start: int, end: int, axis: int = 1) -> str:
    return graph.add("Slice", values, *(graph.integers([each]) for each in (start, end, axis)))


def season_ago(window: Window, seasons: int = 1) -> list[int]:
    """Where in the context each step of the horizon finds the fewest times `seasons` before it, [horizon]."""
    period = seasons * window.slots
    return [window.context - 1 + step - -(-step // period) * period for step in range(1, window.horizon + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Names of values in a graph, all divided by `level`.

    `matrix`: [batch, columns], first what holds for every step, then a block for each key. `level`: [batch, 1], the
    mean of the history in the metric's unit. `near`: [batch, 1], the mean of the last few steps. `change`: [batch, 1],
    above zero, how much the load changes from one step to the next, which is what errors are measured in. `profile`:
    [batch, horizon], the mean of earlier seasons at each step.
    """

    matrix: str
    level: str
    near: str
    change: str
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of the matrix are which. `shared`: names of the first ones; `own`: names in each key's block.

    The first is `near`; all other loads are what they are above it, so that trees meet the same numbers after a rise
    as before it.
    """

    shared: tuple[str, ...]
    own: tuple[str, ...]

    def of_key(self, place: int) -> list[int]:
        """The columns that may speak about the place-th key: the shared ones and its own."""
        start = len(self.shared) + place * len(self.own)
        return [*range(len(self.shared)), *range(start, start + len(self.own))]


def keys(window: Window) -> list[int]:
    """The steps of the horizon that are forecast as such; the others lie between them and follow the season's shape.

    Doubling at first, where a step more changes most, then evenly over the horizon.
    """
    stride = -(-window.horizon // 6)
    early = [step for step in (1, 3, *(3 * 2**power for power in range(1, 32))) if step < stride]
    return sorted({1, *early, *range(stride, window.horizon, stride), window.horizon})


def columns(window: Window) -> Columns:
    """What `add_features` computes, in order."""
    seasons = range(1, window.seasons + 1)
    return Columns(
        shared=(
            *(f"mean of last {width}" for width in _recent_widths(window)),
            "1 step before the last",
            "2 steps before the last",
            *(f"{width} steps, {age}" for width in _placing_widths(window) for age in ("1 season", "oldest", "mean")),
            "recent against seasons",
        ),
        own=(
            *(f"{season} seasons before" for season in seasons),
            "1 season before, fine",
            "oldest season before, fine",
            "mean of seasons",
            "1 season's rise",
            "oldest season's rise",
            "mean rise of seasons",
            *("sine", "cosine", "time in season", "weekday"),
        ),
    )


def add_features(graph: Graph, window: Window) -> Features:
    """All features of the windows that `graph` takes."""
    coarse = _coarsened(window)
    parts = _parts(graph, window, coarse)
    level = graph.add("ReduceMean", parts, graph.integers([1]), keepdims=1)
    one = graph.constant(1.0)
    is_idle = graph.add("Equal", level, graph.constant(0.0))
    unit = graph.add("Where", is_idle, one, level)
    scaled = graph.add("Div", parts, unit)
    cells = scaled if coarse == window else _with_last_hour(graph, window, coarse, scaled, unit)
    present = _present(graph, window, cells)
    season = _seasons(graph, window, coarse, scaled, present)
    matrix = graph.add("Concat", present.matrix, season.matrix, axis=1)
    return Features(
        matrix=_on_grid(graph, matrix),
        level=level,
        near=present.near,
        change=_change(graph, coarse, scaled),
        profile=season.profile,
    )


def _change(graph: Graph, coarse: Window, scaled: str) -> str:
    before = _slice(graph, scaled, 0, coarse.context - 1)
    steps = graph.add("Abs", graph.add("Sub", _slice(graph, scaled, 1, coarse.context), before))
    mean = graph.add("ReduceMean", steps, graph.integers([1]), keepdims=1)
    return graph.add("Add", mean, graph.constant(_LOWEST_CHANGE))


def _coarsened(window: Window) -> Window:
    """The same context in longer steps, where a season has more than enough of them."""
    fold = max(each for each in range(1, 1 + max(1, window.slots // _PARTS)) if window.slots % each == 0)
    return replace(window, step=fold * window.step, context=window.context // fold)


def _parts(graph: Graph, window: Window, coarse: Window) -> str:
    """The history without gaps in steps of the coarse window, [batch, its context]; the mean of what each holds."""
    if coarse == window:
        return fill_gaps(graph, window)
    fold = window.context // coarse.context
    split = graph.add("Reshape", graph.history, graph.integers([-1, coarse.context, fold]))
    means = graph.add("Reshape", _mean_of_known(graph, split, axis=2), graph.integers([-1, coarse.context]))
    return fill_gaps(graph, coarse, means)


def _with_last_hour(graph: Graph, window: Window, coarse: Window, scaled: str, unit: str) -> str:
    """The last hour in single steps after all before it in parts; gaps in it take what its part has."""
    fold = window.context // coarse.context
    hour = _last_hour(window, coarse)
    steps = _slice(graph, graph.history, window.context - hour, window.context)
    parts = _slice(graph, scaled, coarse.context - hour // fold, coarse.context)
    repeated = graph.add("Gather", parts, graph.integers(np.arange(hour) // fold), axis=1)
    last = _or_else(graph, graph.add("Div", steps, unit), repeated)
    return graph.add("Concat", _slice(graph, scaled, 0, coarse.context - hour // fold), last, axis=1)


def _last_hour(window: Window, coarse: Window) -> int:
    """The last hour of a day, or its share of a season, as steps; whole parts."""
    fold = window.context // coarse.context
    return -(-window.slots // (_HOUR * fold)) * fold


def _by_cell(window: Window, weights: FloatArray) -> FloatArray:
    """What is to be multiplied with the cells, instead of `weights` [context, columns] with every step."""
    coarse = _coarsened(window)
    if coarse == window:
        return weights
    fold, start = window.context // coarse.context, window.context - _last_hour(window, coarse)
    parts = weights[:start].reshape(start // fold, fold, -1).sum(axis=1)
    return np.concatenate([parts, weights[start:]])


def _on_grid(graph: Graph, value: str) -> str:
    """Rounded, so that last digits, which differ between processors, cannot send a row down another tree."""
    return graph.add("Div", graph.add("Round", graph.add("Mul", value, graph.constant(_GRID))), graph.constant(_GRID))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Present:
    """What holds at the origin. `placing`: [batch, 3]: one season ago, the oldest, and the mean, over an hour."""

    matrix: str
    near: str
    placing: str


def _present(graph: Graph, window: Window, cells: str) -> _Present:
    means = graph.add("MatMul", cells, graph.constant(_by_cell(window, _recent_weights(window))))
    placed = graph.add("MatMul", cells, graph.constant(_by_cell(window, _placing_weights(window))))
    near, hour = (_pick(graph, means, [place]) for place in (0, _recent_widths(window).index(_hour(window))))
    others = _slice(graph, means, 1, 2**31)
    above = graph.add("Sub", graph.add("Concat", others, placed, axis=1), near)
    against = graph.add("Max", _pick(graph, placed, [2]), graph.constant(_LOWEST_RATIO))
    return _Present(
        matrix=graph.add("Concat", near, above, graph.add("Div", hour, against), axis=1),
        near=near,
        placing=_pick(graph, placed, [0, 1, 2]),
    )


def _hour(window: Window) -> int:
    return max(1, window.slots // _HOUR)


def _recent_widths(window: Window) -> list[int]:
    """What `near` is made of, then 1, 2, 3, 6, 12 and so on steps up to a season, the season, and an hour."""
    doubling = (1, 2, *(3 * 2**power for power in range(32)))
    widths = {*(width for width in doubling if width < window.slots), window.slots, *_placing_widths(window)}
    near = max(width for width in widths if width <= _NEAR)
    return [near, *sorted(widths - {near})]


def _placing_widths(window: Window) -> list[int]:
    return [_hour(window), max(1, window.slots // _QUARTER)]


def _recent_weights(window: Window) -> FloatArray:
    """Means of the last steps, then the two single steps before the last; [context, columns]."""
    widths = _recent_widths(window)
    weights = np.zeros((window.context, len(widths) + 2), np.float32)
    for column, width in enumerate(widths):
        weights[-width:, column] = 1 / width
    weights[-2, -2] = weights[-3, -1] = 1.0
    return weights


def _placing_weights(window: Window) -> FloatArray:
    """Means over an hour and a quarter, one season ago, in the oldest season, and over all seasons; [context, 6]."""
    blocks = []
    for width in _placing_widths(window):
        seasons = np.zeros((window.context, window.seasons), np.float32)
        for column in range(window.seasons):
            # The oldest season begins with the step after the one it is asked for: its first steps stand in.
            end = max(width, window.context - (column + 1) * window.slots)
            seasons[end - width : end, column] = 1 / width
        blocks += [seasons[:, :1], seasons[:, -1:], seasons.mean(axis=1, keepdims=True)]
    return np.concatenate(blocks, axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seasons:
    """What earlier seasons and the calendar say about the steps to come."""

    matrix: str
    profile: str


def _seasons(graph: Graph, window: Window, coarse: Window, scaled: str, present: _Present) -> _Seasons:
    steps = keys(window)
    fold = window.context // coarse.context
    smooth = _smooth(graph, coarse, scaled, coarse.slots // _COARSE)
    fine = _smooth(graph, coarse, scaled, _FINE)
    before = _gather(graph, smooth, _places(window, steps, range(1, window.seasons + 1)) // fold)
    edges = _gather(graph, fine, _places(window, steps, (1, window.seasons)) // fold)
    mean = graph.add("ReduceMean", before, graph.integers([2]), keepdims=1)
    compared = graph.add("Concat", _pick(graph, before, [0, window.seasons - 1], axis=2), mean, axis=2)
    rise = graph.add("Sub", compared, graph.add("Unsqueeze", present.placing, graph.integers([1])))
    near = graph.add("Unsqueeze", present.near, graph.integers([1]))
    above = graph.add("Sub", graph.add("Concat", before, edges, mean, axis=2), near)
    block = graph.add("Concat", above, rise, _calendar(graph, window, steps), axis=2)
    every = range(1, window.horizon + 1)
    shape = _gather(graph, smooth, _places(window, every, range(1, window.seasons + 1)) // fold)
    return _Seasons(
        matrix=graph.add("Flatten", block, axis=1),
        profile=graph.add("ReduceMean", shape, graph.integers([2]), keepdims=0),
    )


def _smooth(graph: Graph, window: Window, values: str, reach: int) -> str:
    """The mean over `reach` steps on each side, as far as there are any; [batch, context]."""
    if reach == 0:
        return values
    line = graph.add("Unsqueeze", values, graph.integers([1]))
    width = 2 * reach + 1
    pooled = graph.add("AveragePool", line, kernel_shape=[width], pads=[reach, reach], count_include_pad=0)
    return graph.add("Reshape", pooled, graph.integers([-1, window.context]))


def _places(window: Window, steps: Sequence[int], seasons: Sequence[int]) -> IntArray:
    """Where the context holds the time of each step in each earlier season, [steps, seasons]."""
    folded = (np.array(steps) - 1) % window.slots + 1
    places: IntArray = window.context - 1 + folded[:, None] - np.array(seasons) * window.slots
    return places


def _calendar(graph: Graph, window: Window, steps: Sequence[int]) -> str:
    """Time in the season and the season in a week of them, at the middle of each step; [batch, steps, 4]."""
    season = round(window.season.total_seconds())
    step = round(window.step.total_seconds())
    ahead = graph.integers([step * each - (step + 1) // 2 for each in steps])
    time = graph.add("Add", graph.add("Unsqueeze", graph.origin, graph.integers([1])), ahead)
    seconds = _float(graph, graph.add("Mod", time, graph.integers(season)))
    place = graph.add("Mul", seconds, graph.constant(1 / season))
    angle = graph.add("Mul", place, graph.constant(2 * np.pi))
    in_week = graph.add("Mod", time, graph.integers(DAYS_IN_WEEK * season))
    weekday = _float(graph, graph.add("Div", in_week, graph.integers(season)))
    parts = (graph.add("Sin", angle), graph.add("Cos", angle), place, weekday)
    return graph.add("Concat", *(graph.add("Unsqueeze", part, graph.integers([2])) for part in parts), axis=2)


def _float(graph: Graph, value: str) -> str:
    return graph.add("CastLike", value, graph.constant(0.0))


def _pick(graph: Graph, value: str, places: list[int], axis: int = 1) -> str:
    return graph.add("Gather", value, graph.integers(places), axis=axis)


def _gather(graph: Graph, value: str, places: IntArray) -> str:
    return graph.add("Gather", value, graph.integers(places), axis=1)
