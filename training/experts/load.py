"""What has the load been, on average and by season? The history and its means, as values of a graph.

All in units of the history's own level. Must not know which forecast is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.features import fill_gaps
from training.graph import Attribute, Graph
from training.windows import Window

Places = NDArray[np.int64]

_FOURFOLD = 4  # each mean is over four times as many steps as the one before
_PRESENT = 18  # the level of the present is a mean over at most this share of a season: about an hour of a day
_NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Values are [batch, context]. `recorded`: with NaN where nothing was. `filled`: without gaps.

    `means`: over the last steps, by how many. `level`: the mean of all, [batch, 1], in the metric's unit.
    """

    graph: Graph
    window: Window
    level: str
    recorded: str
    filled: str
    means: Mapping[int, str]

    @classmethod
    def of(cls, graph: Graph, window: Window) -> Self:
        """The history that `graph` takes."""
        filled = fill_gaps(graph, window)
        level = graph.add("ReduceMean", filled, graph.integers([1]), keepdims=1)
        is_idle = graph.add("Equal", level, graph.constant(0.0))
        unit = graph.add("Where", is_idle, graph.constant(1.0), level)
        scaled, recorded = (graph.add("Div", each, unit) for each in (filled, graph.history))
        means = _means(graph, window, scaled)
        return cls(graph=graph, window=window, level=level, recorded=recorded, filled=scaled, means=means)

    @property
    def now(self) -> int:
        """Over how many steps the level of the present is taken; `soon`: a quarter of that."""
        return max(width for width in self.means if width * _PRESENT <= max(_PRESENT, self.window.slots))

    @property
    def soon(self) -> int:
        """Steps of a shorter present, and of a season's shape with its details."""
        return max(1, self.now // _FOURFOLD)

    @property
    def learned(self) -> int:
        """Seasons that a mean of seasons is made of; the others are there to judge it."""
        return max(1, self.window.seasons // 2)

    def add(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """One operator."""
        return self.graph.add(operator, *inputs, domain="", **attributes)

    def const(self, value: ArrayLike) -> str:
        """A float constant."""
        return self.graph.constant(value)

    def ints(self, value: ArrayLike) -> str:
        """An int64 constant."""
        return self.graph.integers(value)

    def gather(self, value: str, places: Places) -> str:
        """What [batch, steps] holds at the places; [batch, *shape of places]."""
        return self.add("Gather", value, self.ints(places), axis=1)

    def unsqueezed(self, value: str, axis: int) -> str:
        """With one more dimension."""
        return self.add("Unsqueeze", value, self.ints([axis]))

    def known(self, value: str) -> tuple[str, str]:
        """1 where there is a number and else 0; and the value with 0 where there is none."""
        missing = self.add("IsNaN", value)
        zero, one = self.const(0.0), self.const(1.0)
        return self.add("Where", missing, zero, one), self.add("Where", missing, zero, value)

    def highest(self) -> str:
        """[batch, 1]."""
        return self.add("ReduceMax", self.filled, self.ints([1]), keepdims=1)

    def lowest(self) -> str:
        """[batch, 1]."""
        return self.add("ReduceMin", self.filled, self.ints([1]), keepdims=1)

    def smooth(self, width: int) -> str:
        """The mean of `width` steps around each, as recorded ones; NaN where the step itself was not recorded."""
        return self._as_recorded(self._later(self.means[width], width // 2))

    def profile(self, width: int, *, is_centred: bool) -> str:
        """The mean of the seasons before each step, smooth over `width`; NaN where none of them was recorded.

        [batch, steps], from step `learned * slots` of the context on to a season beyond its end: see `at_season`.
        """
        value = self.smooth(width) if is_centred else self._as_recorded(self.means[width])
        starts = [season * self.window.slots for season in range(self.learned)]
        length = self.window.context - starts[-1]
        totals = (
            self.add("Sum", *(_part(self.graph, each, start, start + length) for start in starts))
            for each in self.known(value)
        )
        counts, sums = totals
        return self.add("Div", sums, counts)

    def at_season(self, profile: str, places: Places) -> str:
        """What a profile says of places in the context or up to a season beyond it."""
        return self.gather(profile, places - self.learned * self.window.slots)

    def periodic(self, places: Places, period: int, count: int) -> str:
        """The mean of `count` values, a period apart, back from each of the places; NaN where one was not recorded."""
        values = [self.gather(self.recorded, places - each * period) for each in range(count)]
        return self.add("Mul", self.add("Sum", *values), self.const(1 / count))

    def _as_recorded(self, value: str) -> str:
        return self.add("Where", self.add("IsNaN", self.recorded), self.const(_NAN), value)

    def _later(self, value: str, steps: int) -> str:
        """At each step what is there `steps` later; the last value at the end."""
        if not steps:
            return value
        wider = self.add("Pad", value, self.ints([0, 0, 0, steps]), mode="edge")
        return _part(self.graph, wider, steps, steps + self.window.context)


def _means(graph: Graph, window: Window, values: str) -> dict[int, str]:
    """Over 1, 4, 16 and so on last steps up to a season, each from the one before."""
    means, width = {1: values}, 1
    while width * _FOURFOLD <= window.slots:
        means[width * _FOURFOLD] = _fourfold(graph, window, means[width], width)
        width *= _FOURFOLD
    return means


def _fourfold(graph: Graph, window: Window, mean: str, width: int) -> str:
    """The mean over four times as many steps; what was before the history is as its first step."""
    wider = graph.add("Pad", mean, graph.integers([0, (_FOURFOLD - 1) * width, 0, 0]), mode="edge")
    parts = [_part(graph, wider, each * width, each * width + window.context) for each in range(_FOURFOLD)]
    return graph.add("Mul", graph.add("Sum", *parts), graph.constant(1 / _FOURFOLD))


def _part(graph: Graph, value: str, start: int, end: int) -> str:
    return graph.add("Slice", value, graph.integers([start]), graph.integers([end]), graph.integers([1]))
