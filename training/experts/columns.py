"""What is known of each key step, for somebody who has seen many loads? Columns, in units of the expected error.

How far the experts are apart, how good each was, how the errors were spread, how busy it is. Must not fit anything.
"""

from __future__ import annotations

import numpy as np

from training.experts.judging import Verdict
from training.experts.load import Load
from training.features import keys
from training.windows import DAYS_IN_WEEK

_TAILS = (-3.0, -1.5, -0.5, 0.5, 1.5, 3.0, 6.0)  # scales: how often the errors were beyond
_LATEST = (4, 16)  # checks
_GRID = 256.0  # a column is known to this share of a scale
_FAR = 1e3  # scales; further is as far
_TINY = 1e-3  # that no logarithm is infinite


def add_columns(load: Load, verdict: Verdict) -> str:
    """[batch, keys, columns]."""
    experts = [_apart(load, verdict), _quality(load, verdict)]
    single = [*_tails(load, verdict), *_latest(load, verdict), *_size(load, verdict), *_time(load, verdict)]
    matrix = load.add("Concat", *experts, *(load.unsqueezed(each, 2) for each in single), axis=2)
    near = load.add("Clip", matrix, load.const(-_FAR), load.const(_FAR))
    # Rounded, so that last digits, which differ between processors, cannot send a row down another tree.
    return load.add("Div", load.add("Round", load.add("Mul", near, load.const(_GRID))), load.const(_GRID))


def _apart(load: Load, verdict: Verdict) -> str:
    """How far each expert is from what they agree on, [batch, keys, experts]."""
    at_keys = load.add("Gather", verdict.answers, load.ints(np.array(keys(load.window)) - 1), axis=2)
    base = load.unsqueezed(_base(load, verdict), 2)
    apart = load.add("Sub", load.add("Transpose", at_keys, perm=[0, 2, 1]), base)
    return load.add("Div", apart, load.unsqueezed(verdict.scale, 2))


def _quality(load: Load, verdict: Verdict) -> str:
    """How far each expert was off, beside the agreement, [batch, keys, experts]."""
    ratio = load.add("Div", verdict.each, load.unsqueezed(verdict.scale, 2))
    return _logarithm(load, ratio)


def _tails(load: Load, verdict: Verdict) -> list[str]:
    """How often errors were beyond some bounds, and how much the largest of them matter."""
    relative = _relative(load, verdict)
    count = load.add("Max", _count(load, verdict), load.const(1.0))
    found = []
    for tail in _TAILS:
        beyond = load.add("Greater" if tail > 0 else "Less", relative, load.const(tail))
        number = load.add("CastLike", beyond, load.const(0.0))
        found.append(load.add("Div", load.add("ReduceSum", number, load.ints([2]), keepdims=0), count))
    squares = load.add("ReduceSum", load.add("Mul", relative, relative), load.ints([2]), keepdims=0)
    return [*found, load.add("Sqrt", load.add("Div", squares, count))]


def _latest(load: Load, verdict: Verdict) -> list[str]:
    """The mean of the last errors, and of their sizes."""
    found = []
    for latest in _LATEST:
        part = load.add("Slice", _relative(load, verdict), load.ints([0]), load.ints([latest]), load.ints([2]))
        found += [load.add("ReduceMean", each, load.ints([2]), keepdims=0) for each in (part, load.add("Abs", part))]
    return found


def _size(load: Load, verdict: Verdict) -> list[str]:
    """The bounds of the history, how uncertain and how high it is, and how much of it could be checked."""
    base = _base(load, verdict)
    bounds = [_in_scales(load, verdict, each) for each in (load.highest(), load.lowest())]
    height = _logarithm(load, load.add("Abs", base))
    count = load.add("Log", load.add("Add", _count(load, verdict), load.const(1.0)))
    return [*bounds, load.add("Log", verdict.scale), height, count]


def _time(load: Load, verdict: Verdict) -> list[str]:
    """How far ahead, on which day of the week, and what was there a week before."""
    steps = np.array(keys(load.window))
    nothing = load.add("Sub", verdict.scale, verdict.scale)
    ahead, weekday = (load.add("Add", nothing, each) for each in (load.const(np.log2(steps)), _weekday(load)))
    if load.window.seasons < DAYS_IN_WEEK:
        return [ahead, weekday]
    week = load.gather(load.smooth(load.soon), steps - 1)
    return [ahead, weekday, load.known(_in_scales(load, verdict, week))[1]]


def _weekday(load: Load) -> str:
    """The season in a week of them, at the middle of each key step; [batch, keys]."""
    season, step = (round(each.total_seconds()) for each in (load.window.season, load.window.step))
    middle = load.ints([step * each - (step + 1) // 2 for each in keys(load.window)])
    time = load.add("Add", load.unsqueezed(load.graph.origin, 1), middle)
    in_week = load.add("Mod", time, load.ints(DAYS_IN_WEEK * season))
    return load.add("CastLike", load.add("Div", in_week, load.ints(season)), load.const(0.0))


def _base(load: Load, verdict: Verdict) -> str:
    return load.gather(verdict.base, np.array(keys(load.window)) - 1)


def _in_scales(load: Load, verdict: Verdict, value: str) -> str:
    return load.add("Div", load.add("Sub", value, _base(load, verdict)), verdict.scale)


def _relative(load: Load, verdict: Verdict) -> str:
    return load.add("Div", verdict.errors, load.unsqueezed(verdict.scale, 2))


def _count(load: Load, verdict: Verdict) -> str:
    return load.add("ReduceSum", verdict.known, load.ints([2]), keepdims=0)


def _logarithm(load: Load, value: str) -> str:
    return load.add("Log", load.add("Add", value, load.const(_TINY)))
