"""What do gradient-boosted trees expect? LightGBM on the features, written down as one ONNX TreeEnsemble node.

Each key step of the horizon has trees for the centre of the forecast and trees for how far it may be off; the levels
are that distance times the quantiles of past errors, each made by trees that had not seen its part of the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

import lightgbm
import numpy as np

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray
from training.families.boosting import boost, fit_each, predict
from training.families.family import LEVELS, Examples, FitError, Fitted, Progress
from training.families.rows import BLOCKS, Floats, Rows, rows_of
from training.features import Features, add_features, columns, keys
from training.graph import Graph
from training.trees import TreeEnsemble
from training.windows import Window

_CENTRE_TREES = 100
_SPREAD_TREES = 25
_FIRST_LATE = 2  # of the blocks: errors of long ago say less about those to come
_FEWEST_OTHERS = 50  # rows that the trees of a rehearsal know, and rows that they are judged on
_LARGEST_LEAF = 300  # the smallest number of rows in a leaf, where there is plenty
_LEAVES_WORTH = 40  # else this share of the rows
_LOWEST_SPREAD = 0.2  # of the mean error: no situation is that much surer than the average one
_LEAST_SKEW = 0.2  # of the spread
_SETTINGS = {"learning_rate": 0.05, "num_leaves": 15, "lambda_l2": 10.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class LightGBM:
    """`progress` is told how many of the key steps are fitted."""

    name: str = "lightgbm"
    progress: Progress = lambda _done, _all: None

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        """Trees on all of `series`. Raises FitError."""
        rows = rows_of(series, zone, window)
        model = fit_each(lambda place: _fit_key(rows, window, place), range(len(keys(window))), self.progress)
        graph = Graph(context=window.context)
        return Fitted(
            family=self.name,
            graph=graph,
            quantiles=_add_forecast(graph, window, add_features(graph, window), model),
            examples=_examples(model, rows, window),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Key:
    """What was fitted for one key step. `lowest`: what the spread cannot fall below. `band`: [levels], in spreads."""

    centre: lightgbm.Booster
    spread: lightgbm.Booster
    lowest: float
    band: Floats

    def answer(self, matrix: FloatArray, near: FloatArray, change: FloatArray) -> tuple[Floats, Floats]:
        """Centre and spread, each [n], divided by the level."""
        spread = np.maximum(predict(self.spread, matrix), self.lowest)
        return near + predict(self.centre, matrix), spread * change


def _fit_key(rows: Rows, window: Window, place: int) -> _Key:
    known = np.isfinite(rows.came[:, place])
    matrix = rows.matrix[known][:, columns(window).of_key(place)]
    target = rows.came[known, place] - rows.near[known]
    errors = _rehearse(matrix, target, rows.block[known]) / rows.change[known]
    late = np.isfinite(errors)
    lowest = max(_LOWEST_SPREAD * float(np.abs(errors[late]).mean()), 1e-6)
    spread = _boost(matrix[late], np.abs(errors[late]), trees=_SPREAD_TREES, learning_rate=0.1, num_leaves=8)
    shares = errors[late] / np.maximum(predict(spread, matrix[late]), lowest)
    return _Key(centre=_boost(matrix, target), spread=spread, lowest=lowest, band=_band(shares))


def _rehearse(matrix: FloatArray, target: Floats, block: IntArray) -> Floats:
    """How far each late block is missed by trees that know all others, [n], NaN elsewhere; those that stay know all."""
    errors = np.full(len(target), np.nan)
    for each in range(_FIRST_LATE, BLOCKS):
        held = block == each
        if len(target) - held.sum() < _FEWEST_OTHERS:
            raise FitError("nearly all that can be learned lies in one fifth of the series; give more history")
        if held.any():
            errors[held] = target[held] - predict(_boost(matrix[~held], target[~held]), matrix[held])
    if np.isfinite(errors).sum() < _FEWEST_OTHERS:
        raise FitError("the last three fifths of the series hold too little to measure errors on; choose another span")
    return errors


def _band(shares: Floats) -> Floats:
    """The quantiles of errors, [levels]. A median near zero is chance, a large one the skew of the load."""
    median = float(np.median(shares))
    return np.quantile(shares if abs(median) > _LEAST_SKEW else shares - median, LEVELS)


def _boost(matrix: FloatArray, target: Floats, *, trees: int = _CENTRE_TREES, **changes: float) -> lightgbm.Booster:
    leaf = max(1, min(_LARGEST_LEAF, len(target) // _LEAVES_WORTH))
    return boost(matrix, target, trees=trees, settings={**_SETTINGS, "min_data_in_leaf": leaf, **changes})


def _between(window: Window) -> FloatArray:
    """How much each key weighs in each step of the horizon: linear between the two around it; [keys, horizon]."""
    steps = np.arange(1, window.horizon + 1)
    places = keys(window)
    return np.array([np.interp(steps, places, row) for row in np.eye(len(places))], np.float32)


def _examples(model: Sequence[_Key], rows: Rows, window: Window) -> Examples:
    """The last rows as LightGBM itself answers them, put together in numpy."""
    last = slice(-len(rows.origin), None)
    matrix, profile = rows.matrix[last], rows.profile[last]
    places = [columns(window).of_key(place) for place in range(len(model))]
    answers = [
        key.answer(matrix[:, place], rows.near[last], rows.change[last])
        for key, place in zip(model, places, strict=True)
    ]
    centre, spread = (np.stack(part, axis=1) for part in zip(*answers, strict=True))
    between = _between(window)
    offset = centre - profile[:, np.array(keys(window)) - 1]
    band = between.T @ np.stack([key.band for key in model])
    quantiles = (profile + offset @ between)[..., None] + (spread @ between)[..., None] * band
    return Examples(
        history=rows.history,
        origin=rows.origin,
        quantiles=np.maximum(quantiles * rows.level[last][:, None, None], 0).astype(np.float32),
    )


def _add_forecast(graph: Graph, window: Window, features: Features, model: Sequence[_Key]) -> str:
    """The quantiles, [batch, horizon, levels], in the metric's unit."""
    count = len(model)
    trees = _add_trees(graph, features.matrix, model, window)
    centre = graph.add("Add", _part(graph, trees, 0, count), features.near)
    shares = graph.add("Max", _part(graph, trees, count, 2 * count), graph.constant([key.lowest for key in model]))
    spread = graph.add("Mul", shares, features.change)
    between = graph.constant(_between(window))
    at_keys = graph.add("Gather", features.profile, graph.integers(np.array(keys(window)) - 1), axis=1)
    offset = graph.add("MatMul", graph.add("Sub", centre, at_keys), between)
    middle = _column(graph, graph.add("Add", features.profile, offset))
    width = _column(graph, graph.add("MatMul", spread, between))
    band = graph.constant(_between(window).T @ np.stack([key.band for key in model]))
    scaled = graph.add("Add", middle, graph.add("Mul", width, band))
    quantiles = graph.add("Mul", scaled, _column(graph, features.level))
    return graph.add("Max", quantiles, graph.constant(0.0))


def _part(graph: Graph, value: str, start: int, end: int) -> str:
    return graph.add("Gather", value, graph.integers(range(start, end)), axis=1)


def _column(graph: Graph, value: str) -> str:
    return graph.add("Unsqueeze", value, graph.integers([-1]))


def _add_trees(graph: Graph, matrix: str, model: Sequence[_Key], window: Window) -> str:
    """One node for all trees; [batch, 2 keys]: the centre's targets, then the spread's."""
    ensemble = TreeEnsemble()
    boosters = [*(key.centre for key in model), *(key.spread for key in model)]
    for target, booster in enumerate(boosters):
        ensemble.add(booster.dump_model(), target, columns(window).of_key(target % len(model)))
    return graph.add(
        "TreeEnsembleRegressor", matrix, domain="ai.onnx.ml", n_targets=len(boosters), **ensemble.attributes()
    )
