"""How far off was a forecast? Losses of quantiles and what they cover, in numpy.

The one place for these formulas. Must not know models, files or what is forecast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MEDIAN = 0.5


def pinball(quantiles: Floats, levels: Floats, actual: Floats) -> Floats:
    """The loss of each level, in the load's unit; [..., levels] of `quantiles` [..., levels] and `actual` [...]."""
    over = actual[..., None] - quantiles
    return np.maximum(levels * over, (levels - 1) * over)


def middle(quantiles: Floats, levels: Floats) -> Floats:
    """The median, linear between the two levels around it; [...] of [..., levels]."""
    right = int(np.clip(np.searchsorted(levels, _MEDIAN), 1, len(levels) - 1)) if len(levels) > 1 else 0
    left = max(0, right - 1)
    if right == left:
        return quantiles[..., 0]
    weight = np.clip((_MEDIAN - levels[left]) / (levels[right] - levels[left]), 0.0, 1.0)
    mixed: Floats = (1 - weight) * quantiles[..., left] + weight * quantiles[..., right]
    return mixed
