"""How far off were the experts, on loads of many kinds? Rows for trees: what was known, and what came.

Origins see all of their history or a part of it, as workloads do that are new. Must not fit anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.forecaster import FloatArray, IntArray, Session
from training.experts import add_experts
from training.families.family import FitError, Past
from training.features import keys
from training.graph import Graph
from training.windows import Window, futures, histories, origins

Floats = NDArray[np.float64]
Random = np.random.Generator  # noqa: TID251  # a type

EXAMPLES = 64  # origins of the last series whose histories are kept
_MOST_ROWS = 120_000  # key steps of origins, of all series together
_KEYS_OF_ORIGIN = 3.5  # on average: the others of an origin tell almost the same
_FEWEST_ROWS = 1000
_SHOWN_A_DAY, _SHOWN_LESS = 0.3, 0.2  # shares of origins that see one to two seasons, and less than one
_FAR = 50.0  # scales; a target further off is as far
_PART = 512  # origins whose histories are copied at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
    """What the experts say at n origins. `matrix`: [n, keys, columns]; `base`, `scale`: [n, horizon]; others: [n, 1].

    `history`, `origin`: of the last EXAMPLES of them.
    """

    history: FloatArray
    origin: IntArray
    matrix: FloatArray
    base: FloatArray
    scale: FloatArray
    level: FloatArray
    cap: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lessons:
    """`matrix`: [rows, columns]; `target`, in scales from the base: [rows]. `last`: of the last series."""

    matrix: FloatArray
    target: Floats
    last: Said
    skipped: int


def lessons(pasts: Sequence[Past], window: Window) -> Lessons:
    """The same number of origins of every series, as far as it holds them. Raises FitError."""
    random = np.random.default_rng(1)  # noqa: TID251  # seeded
    reader = _Reader.of(window)
    usable = [past for past in pasts if np.isfinite(past.series.values[:-1]).any()]
    count = round(_MOST_ROWS / _KEYS_OF_ORIGIN / max(1, len(usable)))
    useful: list[_Read] = []
    last: Said | None = None
    for past in usable:
        said, read = reader.read(past, random, count)
        useful += [read] if len(read.target) else []
        last = said if len(read.target) else last
    if last is None or sum(len(each.target) for each in useful) < _FEWEST_ROWS:
        longest = max((len(past.series) for past in pasts), default=0)
        raise FitError(
            f"a pooled model needs {_FEWEST_ROWS} steps with load and what came after them; the longest of "
            f"{len(pasts)} series holds {longest} steps; give more history or use --family seasonal-naive"
        )
    return Lessons(
        matrix=np.concatenate([each.matrix for each in useful]),
        target=np.concatenate([each.target for each in useful]),
        last=last,
        skipped=len(pasts) - len(useful),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Read:
    """The rows of one series."""

    matrix: FloatArray
    target: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """The experts, compiled once for all series."""

    window: Window
    session: Session

    @classmethod
    def of(cls, window: Window) -> Self:
        graph = Graph(context=window.context)
        experts = add_experts(graph, window)
        parts = (graph.add("Flatten", experts.matrix, axis=1), experts.base, experts.scale, experts.level, experts.cap)
        bundle = graph.add("Concat", *parts, axis=1)
        return cls(window=window, session=Session(graph.to_bytes(bundle, "bundle", ["batch", "columns"], {})))

    def read(self, past: Past, random: Random, count: int) -> tuple[Said, _Read]:
        """Some of its origins, some of them with a part of their history only, and their rows."""
        places = np.flatnonzero(np.isfinite(past.series.values[:-1]))
        places = np.sort(random.choice(places, min(count, len(places)), replace=False))
        said = self.listen(past, places, _shown(self.window, random, len(places)))
        at_keys = np.array(keys(self.window)) - 1
        came = futures(past.series, self.window)[places[:, None], at_keys]
        with np.errstate(divide="ignore", invalid="ignore"):  # an idle history has no unit
            target = (came / said.level - said.base[:, at_keys]) / said.scale[:, at_keys]
        used = np.isfinite(target) & (random.uniform(size=target.shape) < _KEYS_OF_ORIGIN / len(at_keys))
        return said, _Read(matrix=said.matrix[used], target=np.clip(target[used], -_FAR, _FAR))

    def listen(self, past: Past, places: IntArray, shown: IntArray) -> Said:
        """Of what is `shown`: how many steps of its history each origin sees, [n]."""
        seen, clock = histories(past.series, self.window), origins(past.series, past.zone)[places]
        age = np.arange(self.window.context, 0, -1)
        history = np.where(age <= shown[:, None], seen[places], np.float32(np.nan))
        parts = np.array_split(np.arange(len(places)), 1 + len(places) // _PART)
        found = np.concatenate([self.session.run(history[part], clock[part]) for part in parts])
        ends = np.cumsum([-2 * self.window.horizon - 2, self.window.horizon, self.window.horizon, 1])
        matrix, base, scale, level, cap = np.split(found, ends, axis=1)
        return Said(
            history=history[-EXAMPLES:],
            origin=clock[-EXAMPLES:],
            matrix=matrix.reshape(len(places), len(keys(self.window)), -1),
            base=base,
            scale=scale,
            level=level,
            cap=cap,
        )


def _shown(window: Window, random: Random, count: int) -> IntArray:
    """Everything, one to two seasons, or less, [count]."""
    kind = random.uniform(size=count)
    some = window.slots * random.uniform(1, 2, count)
    less = np.exp(random.uniform(0, np.log(window.slots), count))
    shown = np.where(kind < _SHOWN_A_DAY, some, np.where(kind < _SHOWN_A_DAY + _SHOWN_LESS, less, window.context))
    return shown.astype(np.int64)
