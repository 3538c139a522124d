"""How far may a forecast be off? Quantiles of past errors around a centre, in numpy and as ONNX operators.

Errors grow with the load, but less than in proportion to it, so their unit lies half-way between the level of the
whole history and the forecast. Must not know where the errors come from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.forecaster import FloatArray
from training.families.family import LEVELS, FitError
from training.graph import Graph
from training.measures import Floats

# Of the mean error. A lesser skew stays out of the band: it would gain little, and a forecast that is fed its own
# medians would sink, a little at each turn.
_SLIGHT = 0.2
_FEWEST_ERRORS = 20  # at each step; with fewer the outer levels would be chance


def unit_of(centre: Floats) -> Floats:
    """The unit of the errors of a centre that is divided by the level."""
    return (1 + np.maximum(centre, 0)) / 2


def band_of(errors: Floats, middle: Floats) -> Floats:
    """Errors in their units, [n, horizon], NaN where not known, become a band [horizon, levels]. Raises FitError.

    `middle`: their median where the model was fitted, [horizon]. Each step has its own spread; which multiples of it
    the levels lie at is found over all steps together, because a single step has seen too few large errors.
    """
    if (np.isfinite(errors).sum(axis=0) < _FEWEST_ERRORS).any():
        raise FitError(
            f"the last fifth of the series holds fewer than {_FEWEST_ERRORS} values to measure errors on; "
            "give more history or use --family seasonal-naive"
        )
    # That a fifth of a span lies higher or lower than the rest is chance; a marked skew of all of the span lasts.
    apart = errors - np.nanmedian(errors, axis=0)
    spread = np.nanmean(np.abs(apart), axis=0)
    standard = np.divide(apart, spread, out=np.zeros_like(apart), where=spread > 0)
    lasting = np.sign(middle) * np.maximum(np.abs(middle) - _SLIGHT * spread, 0)
    band: Floats = lasting[:, None] + spread[:, None] * np.nanquantile(standard, LEVELS)
    return band


def quantiles_of(centre: Floats, level: NDArray[np.floating], band: Floats) -> FloatArray:
    """The band around `centre` [n, horizon], times `level` [n, 1]; [n, horizon, levels], the metric's unit."""
    scaled = centre[..., None] + unit_of(centre)[..., None] * band
    return np.maximum(scaled * level[..., None], 0).astype(np.float32)


def add_quantiles(graph: Graph, centre: str, level: str, band: Floats) -> str:
    """The same in the graph."""
    above = graph.add("Max", centre, graph.constant(0.0))
    unit = graph.add("Mul", graph.add("Add", above, graph.constant(1.0)), graph.constant(0.5))
    wide = graph.add("Mul", _column(graph, unit), graph.constant(band))
    scaled = graph.add("Mul", graph.add("Add", _column(graph, centre), wide), _column(graph, level))
    return graph.add("Max", scaled, graph.constant(0.0))


def _column(graph: Graph, value: str) -> str:
    return graph.add("Unsqueeze", value, graph.integers([-1]))
