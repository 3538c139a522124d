"""Which simple forecast has done well on this load so far? Experts, weighed by their past errors, in one ONNX graph.

Works for a load that nobody trained on: what is measured is measured in the window itself, at origins within it. Must
not fit anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.forecaster import FloatArray
from training.experts.columns import add_columns
from training.experts.judging import judged
from training.experts.load import Load
from training.experts.panel import panel
from training.features import keys
from training.graph import Graph
from training.windows import Window

__all__ = ["FEWEST_SEASONS", "Experts", "add_experts", "between"]

FEWEST_SEASONS = 2  # in the context: one to repeat, one to see how well that went
_CAP = 4.0  # times the largest load of the history: no forecast is above


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """Names of values in a graph, in units of `level`, [batch, 1].

    `base`, `scale`: the forecast that the experts agree on and the mean error of such, [batch, horizon].
    `matrix`: what is known of each key, [batch, keys, columns]. `cap`: the most that is ever forecast, [batch, 1].
    """

    level: str
    base: str
    scale: str
    matrix: str
    cap: str


def add_experts(graph: Graph, window: Window) -> Experts:
    """The experts' forecast of the windows that `graph` takes, whose context has FEWEST_SEASONS or more."""
    load = Load.of(graph, window)
    experts = panel(load)
    verdict = judged(load, experts, between(window))
    return Experts(
        level=load.level,
        base=verdict.base,
        scale=load.add("MatMul", verdict.scale, load.const(between(window))),
        matrix=add_columns(load, verdict),
        cap=load.add("Mul", load.highest(), load.const(_CAP)),
    )


def between(window: Window) -> FloatArray:
    """How much each key weighs in each step of the horizon: linear between the two around it; [keys, horizon]."""
    steps = np.arange(1, window.horizon + 1)
    places = keys(window)
    return np.array([np.interp(steps, places, row) for row in np.eye(len(places))], np.float32)
