"""What does a recurrent network look at? The last season as a short sequence, beside the features that all models have.

Two hours of single steps after the rest of a day in hourly means: recent turns in full, older ones in outline. Written
as ONNX operators, like the features, so that training and serving cannot differ. Must not fit anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Self

import numpy as np

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Session
from training.families.family import FitError
from training.features import add_features, columns, fill_gaps, keys
from training.graph import Graph
from training.measures import Floats
from training.windows import Window, futures, histories, origins

WIDEST = 6.0  # standard deviations: a network knows nothing about inputs beyond
CHANNELS = 2  # the load, and the mean of all seasons at the same time
_HOUR = 24  # share of a season
_FINE = 2  # of those shares, in single steps
_FEWEST_ROWS = 200
_MOST_ROWS = 20_000  # more origins are thinned out: neighbours tell almost the same
_LEAST = 1e-4  # spread: below it a column is as good as constant
_STANDARD = ("sequence", "shared", "own")
_PART = 1024  # rows whose histories are copied at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Names of values in a graph, all divided by `level`.

    `sequence`: [batch, points, CHANNELS]. `shared`: [batch, columns] and `own`: [batch, keys, columns], the features.
    `level`: [batch, 1] in the metric's unit. `profile`: [batch, horizon], the mean of earlier seasons at each step.
    """

    sequence: str
    shared: str
    own: str
    level: str
    profile: str


def add_inputs(graph: Graph, window: Window) -> Inputs:
    """All inputs for the windows that `graph` takes."""
    features = add_features(graph, window)
    shared = len(columns(window).shared)
    blocks = graph.add("Slice", features.matrix, *(graph.integers([each]) for each in (shared, 2**31, 1)))
    return Inputs(
        sequence=_add_sequence(graph, window, features.level),
        shared=graph.add("Slice", features.matrix, *(graph.integers([each]) for each in (0, shared, 1))),
        own=graph.add("Reshape", blocks, graph.integers([-1, len(keys(window)), len(columns(window).own)])),
        level=features.level,
        profile=features.profile,
    )


def _add_sequence(graph: Graph, window: Window, level: str) -> str:
    is_idle = graph.add("Equal", level, graph.constant(0.0))
    unit = graph.add("Where", is_idle, graph.constant(1.0), level)
    scaled = graph.add("Div", fill_gaps(graph, window), unit)
    seasons = graph.add("Reshape", scaled, graph.integers([-1, window.seasons, window.slots]))
    mean = graph.add("ReduceMean", seasons, graph.integers([1]), keepdims=1)
    last = graph.add("Gather", seasons, graph.integers([window.seasons - 1]), axis=1)
    both = graph.add("Concat", last, mean, axis=1)
    points = graph.add("MatMul", both, graph.constant(_points(window)))
    return graph.add("Transpose", points, perm=[0, 2, 1])


def _points(window: Window) -> FloatArray:
    """Which slots of a season each point of the sequence is the mean of, [slots, points]; oldest first."""
    width = max(1, window.slots // _HOUR)
    fine = min(window.slots, _FINE * width)
    turn = window.slots - fine
    starts = [*range(turn % width, turn, width), *range(turn, window.slots)]
    ends = [*starts[1:], window.slots]
    weights = np.zeros((window.slots, len(starts)), np.float32)
    for point, (start, end) in enumerate(zip(starts, ends, strict=True)):
        weights[start:end, point] = 1 / (end - start)
    return weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """The inputs of n origins, as the graph gives them, and what came; all but `level` divided by the level.

    `place`: [n], where in the series the origin is. `sequence`: [n, points, CHANNELS]; `shared`: [n, columns]; `own`:
    [n, keys, columns]; `level`: [n, 1]; `profile`: [n, horizon]. `came`: [n, keys], NaN where not recorded.
    """

    place: IntArray
    sequence: FloatArray
    shared: FloatArray
    own: FloatArray
    level: FloatArray
    profile: FloatArray
    came: Floats


def see(series: Series, window: Window, zone: tzinfo) -> Seen:
    """The origins after the first season that have seen any load. Raises FitError."""
    # An origin in the midst of a gap would teach what the filling says.
    recorded = np.flatnonzero(np.isfinite(series.values))
    place = recorded[recorded >= window.slots]
    place = place[:: max(1, -(-len(place) // _MOST_ROWS))]
    found = _run_inputs(series, window, zone, place)
    is_used = found["level"][:, 0] > 0
    place = place[is_used]
    found = {name: value[is_used] for name, value in found.items()}
    came = futures(series, window)[place][:, np.array(keys(window)) - 1] / found["level"]
    if not (np.isfinite(came).sum(axis=0) >= _FEWEST_ROWS).all():
        raise FitError(
            f"a network needs a season ({window.season}), the horizon and {_FEWEST_ROWS} more steps with load above "
            f"zero; the series holds {len(series)} steps of {series.step}; give more history or choose another family"
        )
    return Seen(place=place, came=came, **found)


def _run_inputs(series: Series, window: Window, zone: tzinfo, places: IntArray) -> dict[str, FloatArray]:
    """What the graph gives at the places, by the names of Inputs."""
    graph = Graph(context=window.context)
    inputs = add_inputs(graph, window)
    shapes = _shapes(window)
    flat = [graph.add("Flatten", getattr(inputs, name), axis=1) for name in shapes]
    widths = [int(np.prod(shape)) for shape in shapes.values()]
    session = Session(graph.to_bytes(graph.add("Concat", *flat, axis=1), "inputs", ["batch", sum(widths)], {}))
    seen, clock = histories(series, window), origins(series, zone)
    # In parts, because each of these histories is a copy of a whole context.
    parts = np.array_split(places, 1 + len(places) // _PART)
    values = np.concatenate([session.run(seen[part], clock[part]) for part in parts])
    columns_of = np.split(values, np.cumsum(widths)[:-1], axis=1)
    return {name: part.reshape(-1, *shape) for (name, shape), part in zip(shapes.items(), columns_of, strict=True)}


def _shapes(window: Window) -> dict[str, tuple[int, ...]]:
    """Of one row of each input."""
    names = columns(window)
    return {
        "sequence": (_points(window).shape[1], CHANNELS),
        "shared": (len(names.shared),),
        "own": (len(keys(window)), len(names.own)),
        "level": (1,),
        "profile": (window.horizon,),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lessons:
    """What a network learns from, standardised; n rows.

    `sequence`: [n, points, CHANNELS]; `shared`: [n, columns]; `own`: [n, keys, columns]; `target`: [n, keys], how far
    what came lies from the profile, NaN where not known.
    """

    sequence: FloatArray
    shared: FloatArray
    own: FloatArray
    target: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scales:
    """What standardises. `mean`, `share` (1 / spread): of each column, by input; `unit`: of the target."""

    mean: Mapping[str, FloatArray]
    share: Mapping[str, FloatArray]
    unit: float

    @classmethod
    def of(cls, seen: Seen, window: Window) -> Self:
        """So that the columns seen have mean 0 and spread 1."""
        values = {name: getattr(seen, name) for name in _STANDARD}
        flat = {name: value.reshape(-1, value.shape[-1]).astype(np.float64) for name, value in values.items()}
        return cls(
            mean={name: value.mean(axis=0).astype(np.float32) for name, value in flat.items()},
            share={name: (1 / (value.std(axis=0) + _LEAST)).astype(np.float32) for name, value in flat.items()},
            unit=float(np.nanmean(np.abs(_offsets(seen, window)))) + _LEAST,
        )

    def lessons(self, seen: Seen, window: Window) -> Lessons:
        """What was seen, standardised."""
        standard = {
            name: np.clip((getattr(seen, name) - self.mean[name]) * self.share[name], -WIDEST, WIDEST)
            for name in _STANDARD
        }
        return Lessons(target=(_offsets(seen, window) / self.unit).astype(np.float32), **standard)

    def add(self, graph: Graph, name: str, value: str) -> str:
        """The input called `name`, standardised in a graph."""
        centred = graph.add("Sub", value, graph.constant(self.mean[name]))
        scaled = graph.add("Mul", centred, graph.constant(self.share[name]))
        return graph.add("Clip", scaled, graph.constant(-WIDEST), graph.constant(WIDEST))


def _offsets(seen: Seen, window: Window) -> Floats:
    """How far what came lies from the profile, [n, keys]."""
    return seen.came - seen.profile[:, np.array(keys(window)) - 1]
