"""What can be expected of a load that nobody trained on? Experts in the graph, corrected by trees that saw many loads.

The experts measure the load itself; the trees only know how such errors are usually spread, in units of their mean. So
one small model serves them all. A row is one key step of one origin; each level has trees of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

import lightgbm
import numpy as np

from controller.core.series import Series
from training.experts import FEWEST_SEASONS, Experts, add_experts, between
from training.families.boosting import boost, fit_each, predict
from training.families.family import LEVELS, Examples, FitError, Fitted, Past, Progress
from training.families.pooling import EXAMPLES, Lessons, Said, lessons
from training.features import keys
from training.graph import Graph
from training.trees import TreeEnsemble
from training.windows import Window

_SETTINGS = {
    "objective": "quantile",
    "num_leaves": 24,
    "min_data_in_leaf": 100,
    "learning_rate": 0.13,
    "lambda_l2": 1.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """`progress` is told how many of the levels are fitted. `trees`: of each level."""

    name: str = "pooled"
    trees: int = 60
    progress: Progress = lambda _done, _all: None

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        """Trees on one series alone. Raises FitError."""
        return self.fit_many([Past(series=series, zone=zone)], window)

    def fit_many(self, pasts: Sequence[Past], window: Window) -> Fitted:
        """Trees on all series; the last of those that hold enough gives the examples. Raises FitError."""
        if window.seasons < FEWEST_SEASONS:
            raise FitError(f"the pooled family needs a context of two seasons of {window.season}; give a longer step")
        learned = lessons(pasts, window)
        boosters = fit_each(lambda level: _boost(learned, level, self.trees), LEVELS, self.progress)
        graph = Graph(context=window.context)
        return Fitted(
            family=self.name,
            graph=graph,
            quantiles=_add_forecast(graph, window, add_experts(graph, window), boosters),
            examples=_examples(boosters, learned.last, window),
            skipped=learned.skipped,
        )


def _boost(learned: Lessons, level: float, trees: int) -> lightgbm.Booster:
    return boost(learned.matrix, learned.target, trees=trees, settings={**_SETTINGS, "alpha": level})


def _examples(boosters: Sequence[lightgbm.Booster], said: Said, window: Window) -> Examples:
    """The last origins as LightGBM itself answers them, put together in numpy."""
    matrix = said.matrix[-EXAMPLES:]
    rows = matrix.reshape(-1, matrix.shape[-1])
    off = np.stack([predict(booster, rows) for booster in boosters], axis=-1)
    at_steps = np.einsum("nkl,kh->nhl", off.reshape(*matrix.shape[:2], len(LEVELS)), between(window))
    base, scale, level, cap = (part[-EXAMPLES:, :, None] for part in (said.base, said.scale, said.level, said.cap))
    quantiles = np.clip(base + scale * at_steps, 0, cap)
    ordered = np.maximum.accumulate(quantiles, axis=-1) * level
    return Examples(history=said.history, origin=said.origin, quantiles=ordered.astype(np.float32))


def _add_forecast(graph: Graph, window: Window, experts: Experts, boosters: Sequence[lightgbm.Booster]) -> str:
    """The quantiles, [batch, horizon, levels], in the metric's unit."""
    off = _add_trees(graph, window, experts.matrix, boosters)
    at_steps = graph.add("Transpose", graph.add("MatMul", off, graph.constant(between(window))), perm=[0, 2, 1])
    base, scale, level, cap = (
        _column(graph, each) for each in (experts.base, experts.scale, experts.level, experts.cap)
    )
    free = graph.add("Add", base, graph.add("Mul", scale, at_steps))
    bounded = graph.add("Max", graph.add("Min", free, cap), graph.constant(0.0))
    return graph.add("Mul", _ordered(graph, bounded), level)


def _add_trees(graph: Graph, window: Window, matrix: str, boosters: Sequence[lightgbm.Booster]) -> str:
    """One node for all trees, asked once for each key step; [batch, levels, keys]."""
    ensemble = TreeEnsemble()
    columns = boosters[0].num_feature()
    for target, booster in enumerate(boosters):
        ensemble.add(booster.dump_model(), target, range(columns))
    rows = graph.add("Reshape", matrix, graph.integers([-1, columns]))
    off = graph.add(
        "TreeEnsembleRegressor", rows, domain="ai.onnx.ml", n_targets=len(boosters), **ensemble.attributes()
    )
    of_origin = graph.add("Reshape", off, graph.integers([-1, len(keys(window)), len(boosters)]))
    return graph.add("Transpose", of_origin, perm=[0, 2, 1])


def _ordered(graph: Graph, quantiles: str) -> str:
    """No level below the one before it: each has trees of its own, which may cross."""
    ordered = [graph.add("Gather", quantiles, graph.integers([0]), axis=2)]
    for level in range(1, len(LEVELS)):
        ordered.append(graph.add("Max", ordered[-1], graph.add("Gather", quantiles, graph.integers([level]), axis=2)))
    return graph.add("Concat", *ordered, axis=2)


def _column(graph: Graph, value: str) -> str:
    return graph.add("Unsqueeze", value, graph.integers([2]))
