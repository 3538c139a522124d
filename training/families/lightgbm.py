"""What do gradient-boosted trees expect? LightGBM on the features, written down as one ONNX TreeEnsemble node.

Each key step of the horizon has trees for the centre of the forecast and trees for how far it may be off; the levels
are that distance times the quantiles of past errors, which were made on a span that the trees had not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Session
from training.families.family import LEVELS, Examples, FitError, Fitted, Progress
from training.features import Features, add_features, columns, keys
from training.graph import Graph
from training.windows import Window, futures, histories, origins

Floats = NDArray[np.float64]

_CENTRE_TREES = 100
_SPREAD_TREES = 25
_LEAVES = 15
_CALIBRATION = 0.2  # the last share of the span, on which errors are measured
_FEWEST_ROWS = 200
_FEWEST_EARLY_ROWS = 50
_MOST_ROWS = 20_000  # more origins are thinned out: neighbours tell almost the same
_PART = 1024  # rows whose histories are copied at once
_LARGEST_LEAF = 300  # the smallest number of rows in a leaf, where there is plenty
_LEAVES_WORTH = 40  # else this share of the rows
_LOWEST_SPREAD = 0.2  # of the mean error: no situation is that much surer than the average one
_EXAMPLES = 64
_WORKERS = 2  # boosters at once, each on one thread: LightGBM's own threads spin while they wait for one another
_COMMON = {
    "learning_rate": 0.05,
    "max_bin": 63,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LightGBM:
    """`progress` is told how many of the key steps are fitted."""

    name: str = "lightgbm"
    progress: Progress = lambda _done, _all: None

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        """Trees on all of `series`, a band from errors on its last fifth. Raises FitError."""
        rows = _rows(series, window, zone)
        fitted = self._fit_keys(rows)
        model = _Boosters(keys=tuple(fitted), band=np.array([key.band for key in fitted]))
        graph = Graph(context=window.context)
        quantiles = _add_forecast(graph, window, add_features(graph, window), model)
        return Fitted(family=self.name, graph=graph, quantiles=quantiles, examples=_examples(model, rows, window))

    def _fit_keys(self, rows: _Rows) -> list[_Key]:
        """Every key step; an interruption does not wait for those that have not begun."""
        steps = keys(rows.window)
        fitted = []
        workers = ThreadPoolExecutor(_WORKERS)
        try:
            for key in workers.map(lambda place: _fit_key(rows, place), range(len(steps))):
                fitted.append(key)
                self.progress(len(fitted), len(steps))
        finally:
            workers.shutdown(cancel_futures=True)
        return fitted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """What the features graph gives for some origins, and what came; n rows.

    `place`: [n], where in the series the origin is; `boundary`: where the calibration span begins. `matrix`:
    [n, columns]; `level`, `recent`: [n]; `profile`: [n, horizon]; `came`: [n, keys], divided by the level as all but
    it, NaN where not recorded. `history`, `origin`: of the last rows only, for the examples.
    """

    window: Window
    boundary: int
    place: IntArray
    matrix: FloatArray
    level: FloatArray
    recent: FloatArray
    profile: FloatArray
    came: Floats
    history: FloatArray
    origin: IntArray


def _rows(series: Series, window: Window, zone: tzinfo) -> _Rows:
    """The origins after the first season that have seen any load. Raises FitError."""
    # An origin in the midst of a gap would teach what the filling says.
    recorded = np.flatnonzero(np.isfinite(series.values))
    place = recorded[recorded >= window.slots]
    place = place[:: max(1, -(-len(place) // _MOST_ROWS))]
    seen, clock = histories(series, window), origins(series, zone)
    matrix, level, recent, profile = _run_features(window, seen, clock, place)
    is_used = level[:, 0] > 0
    place = place[is_used]
    came = futures(series, window)[place][:, np.array(keys(window)) - 1]
    if not (np.isfinite(came).sum(axis=0) >= _FEWEST_ROWS).all():
        raise FitError(
            f"trees need a season ({window.season}), the horizon and {_FEWEST_ROWS} more steps with load above zero; "
            f"the series holds {len(series)} steps of {series.step}; give more history or use --family seasonal-naive"
        )
    return _Rows(
        window=window,
        boundary=round(window.slots + (1 - _CALIBRATION) * (len(series) - window.slots)),
        place=place,
        matrix=matrix[is_used],
        level=level[is_used, 0],
        recent=recent[is_used, 0],
        profile=profile[is_used],
        came=came / level[is_used],
        history=seen[place[-_EXAMPLES:]],
        origin=clock[place[-_EXAMPLES:]],
    )


def _run_features(window: Window, seen: FloatArray, clock: IntArray, places: IntArray) -> list[FloatArray]:
    """Matrix, level, recent and profile at the places, each with a row for each."""
    graph = Graph(context=window.context)
    found = add_features(graph, window)
    widths = [_width(window), 1, 1, window.horizon]
    bundle = graph.add("Concat", found.matrix, found.level, found.recent, found.profile, axis=1)
    session = Session(graph.to_bytes(bundle, "bundle", ["batch", sum(widths)], {}))
    # In parts, because each of these histories is a copy of a whole context.
    parts = np.array_split(places, 1 + len(places) // _PART)
    values = np.concatenate([session.run(seen[part], clock[part]) for part in parts])
    return np.split(values, np.cumsum(widths)[:-1], axis=1)


def _width(window: Window) -> int:
    names = columns(window)
    return len(names.shared) + len(keys(window)) * len(names.own)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Trees:
    """What was fitted for one key step. `lowest`: what the spread cannot fall below."""

    centre: lightgbm.Booster
    spread: lightgbm.Booster
    lowest: float

    def answer(self, matrix: FloatArray, recent: FloatArray) -> tuple[Floats, Floats]:
        """Centre and spread, each [n], divided by the level."""
        centre = recent + _predict(self.centre, matrix)
        return centre, np.maximum(_predict(self.spread, matrix), self.lowest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Key:
    """One key step, fitted on all rows. `band`: [levels], in units of the spread."""

    trees: _Trees
    band: Floats


def _fit_key(rows: _Rows, place: int) -> _Key:
    """A rehearsal on the early rows shows how far the late ones are missed; the trees that stay know all rows."""
    rehearsal = _fit_trees(rows, place, before=rows.boundary)
    return _Key(band=_band(rehearsal, rows, place), trees=_fit_trees(rows, place, before=None))


def _fit_trees(rows: _Rows, place: int, *, before: int | None) -> _Trees:
    """Trees for the place-th key from the rows whose target is known, and lies before `before` where that is given."""
    is_known = np.isfinite(rows.came[:, place])
    if before is not None:
        is_known &= rows.place + keys(rows.window)[place] < before
    used = np.flatnonzero(is_known)
    if len(used) < _FEWEST_EARLY_ROWS:
        raise FitError("nearly all values lie in the last fifth of the series; give more history")
    matrix = rows.matrix[used][:, columns(rows.window).of_key(place)]
    target = rows.came[used, place] - rows.recent[used]
    leaf = max(1, min(_LARGEST_LEAF, len(used) // _LEAVES_WORTH))
    centre = _boost(matrix, target, trees=_CENTRE_TREES, leaf=leaf)
    errors = np.abs(target - _predict(centre, matrix))
    spread = _boost(matrix, errors, trees=_SPREAD_TREES, leaf=leaf, learning_rate=0.1, num_leaves=8)
    return _Trees(centre=centre, spread=spread, lowest=max(_LOWEST_SPREAD * float(errors.mean()), 1e-6))


def _predict(booster: lightgbm.Booster, matrix: FloatArray) -> Floats:
    return np.asarray(booster.predict(matrix, num_threads=1), np.float64)


def _boost(matrix: FloatArray, target: Floats, *, trees: int, leaf: int, **changes: float) -> lightgbm.Booster:
    settings: dict[str, Any] = {**_COMMON, "num_leaves": _LEAVES, "min_data_in_leaf": leaf, **changes}
    return lightgbm.train(settings, lightgbm.Dataset(matrix, target), num_boost_round=trees)


def _band(trees: _Trees, rows: _Rows, place: int) -> Floats:
    """Quantiles of the errors on the calibration span, in units of the spread; [levels], non-decreasing."""
    late = (rows.place >= rows.boundary) & np.isfinite(rows.came[:, place])
    if not late.any():
        raise FitError("the last fifth of the series holds no values to measure errors on; choose another span")
    matrix = rows.matrix[late][:, columns(rows.window).of_key(place)]
    centre, spread = trees.answer(matrix, rows.recent[late])
    errors = rows.came[late, place] - centre
    # That a fifth of a span lies higher or lower than the rest is chance; the trees that stay have seen it.
    return np.maximum.accumulate(np.quantile((errors - np.median(errors)) / spread, LEVELS))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Boosters:
    """A fitted model. `band`: [keys, levels]."""

    keys: tuple[_Key, ...]
    band: Floats


def _between(window: Window) -> FloatArray:
    """How much each key weighs in each step of the horizon: linear between the two around it; [keys, horizon]."""
    steps = np.arange(1, window.horizon + 1)
    places = keys(window)
    return np.array([np.interp(steps, places, row) for row in np.eye(len(places))], np.float32)


def _examples(model: _Boosters, rows: _Rows, window: Window) -> Examples:
    """The last rows as LightGBM itself answers them, put together in numpy."""
    last = slice(-_EXAMPLES, None)
    places = [columns(window).of_key(place) for place in range(len(model.keys))]
    answers = [
        key.trees.answer(rows.matrix[last][:, place], rows.recent[last])
        for key, place in zip(model.keys, places, strict=True)
    ]
    centre, spread = (np.stack(part, axis=1) for part in zip(*answers, strict=True))
    between = _between(window)
    profile = rows.profile[last]
    offset = centre - profile[:, np.array(keys(window)) - 1]
    quantiles = (profile + offset @ between)[..., None] + (spread @ between)[..., None] * (between.T @ model.band)
    return Examples(
        history=rows.history,
        origin=rows.origin,
        quantiles=np.maximum(quantiles * rows.level[last][:, None, None], 0).astype(np.float32),
    )


def _add_forecast(graph: Graph, window: Window, features: Features, model: _Boosters) -> str:
    """The quantiles, [batch, horizon, levels], in the metric's unit."""
    count = len(model.keys)
    trees = _add_trees(graph, features.matrix, model, window)
    centre = graph.add("Add", _part(graph, trees, 0, count), features.recent)
    lowest = graph.constant([key.trees.lowest for key in model.keys])
    spread = graph.add("Max", _part(graph, trees, count, 2 * count), lowest)
    between = graph.constant(_between(window))
    at_keys = graph.add("Gather", features.profile, graph.integers(np.array(keys(window)) - 1), axis=1)
    offset = graph.add("MatMul", graph.add("Sub", centre, at_keys), between)
    middle = _column(graph, graph.add("Add", features.profile, offset))
    width = _column(graph, graph.add("MatMul", spread, between))
    band = graph.constant(_between(window).T @ model.band)
    scaled = graph.add("Add", middle, graph.add("Mul", width, band))
    quantiles = graph.add("Mul", scaled, _column(graph, features.level))
    return graph.add("Max", quantiles, graph.constant(0.0))


def _part(graph: Graph, value: str, start: int, end: int) -> str:
    return graph.add("Gather", value, graph.integers(range(start, end)), axis=1)


def _column(graph: Graph, value: str) -> str:
    return graph.add("Unsqueeze", value, graph.integers([-1]))


def _add_trees(graph: Graph, matrix: str, model: _Boosters, window: Window) -> str:
    """One node for all trees; [batch, 2 keys]: the centre's targets, then the spread's."""
    nodes = _Nodes()
    boosters = [*(key.trees.centre for key in model.keys), *(key.trees.spread for key in model.keys)]
    for target, booster in enumerate(boosters):
        of_key = columns(window).of_key(target % len(model.keys))
        for tree in booster.dump_model()["tree_info"]:
            nodes.add_tree(tree["tree_structure"], target, of_key)
    return graph.add(
        "TreeEnsembleRegressor", matrix, domain="ai.onnx.ml", n_targets=len(boosters), **nodes.attributes()
    )


@dataclass(slots=True, kw_only=True)
class _Nodes:
    """The lists that a TreeEnsembleRegressor is made of."""

    tree: list[int] = field(default_factory=list)
    node: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    mode: list[str] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    leaf_tree: list[int] = field(default_factory=list)
    leaf_node: list[int] = field(default_factory=list)
    leaf_target: list[int] = field(default_factory=list)
    leaf_value: list[float] = field(default_factory=list)
    trees: int = 0

    def add_tree(self, root: dict[str, Any], target: int, features: list[int]) -> None:
        """`features`: which column of the matrix each feature of the booster is."""
        numbered = list(_breadth_first(root))
        number = {id(node): place for place, node in enumerate(numbered)}
        for node in numbered:
            if "leaf_value" in node:
                self._add_leaf(number[id(node)], target, node["leaf_value"])
            else:
                self._add_split(number, node, features)
        self.trees += 1

    def _add_split(self, number: dict[int, int], node: dict[str, Any], features: list[int]) -> None:
        self._add_node(number[id(node)], "BRANCH_LEQ", features[node["split_feature"]], _floor(node["threshold"]))
        self.left.append(number[id(node["left_child"])])
        self.right.append(number[id(node["right_child"])])

    def _add_leaf(self, number: int, target: int, value: float) -> None:
        self._add_node(number, "LEAF", 0, 0.0)
        self.left.append(0)
        self.right.append(0)
        self.leaf_tree.append(self.trees)
        self.leaf_node.append(number)
        self.leaf_target.append(target)
        self.leaf_value.append(value)

    def _add_node(self, number: int, mode: str, feature: int, threshold: float) -> None:
        self.tree.append(self.trees)
        self.node.append(number)
        self.mode.append(mode)
        self.feature.append(feature)
        self.threshold.append(threshold)

    def attributes(self) -> dict[str, Any]:
        """By the operator's names."""
        return {
            "nodes_treeids": self.tree,
            "nodes_nodeids": self.node,
            "nodes_featureids": self.feature,
            "nodes_values": self.threshold,
            "nodes_modes": self.mode,
            "nodes_truenodeids": self.left,
            "nodes_falsenodeids": self.right,
            "target_treeids": self.leaf_tree,
            "target_nodeids": self.leaf_node,
            "target_ids": self.leaf_target,
            "target_weights": self.leaf_value,
        }


def _breadth_first(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    row = [root]
    while row:
        yield from row
        row = [child for node in row for child in (node.get("left_child"), node.get("right_child")) if child]


def _floor(threshold: float) -> float:
    """The largest float32 that is not above `threshold`: float32 features then fall on the same side as in training."""
    rounded = np.float32(threshold)
    return float(rounded if rounded <= threshold else np.nextafter(rounded, np.float32(-np.inf)))
