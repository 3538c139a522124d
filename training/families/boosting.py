"""How many boosters are fitted at once? As many as there are cores for them, each on one thread.

LightGBM's own threads spin while they wait for one another; boosters side by side do not. Must not know what is fitted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import lightgbm
import numpy as np
from numpy.typing import NDArray

from controller.forecaster import FloatArray
from training.families.family import Progress

_T = TypeVar("_T")
_R = TypeVar("_R")

_MOST = 2  # the cores of the machines that all else is measured on
# One of the names by which a fleet gives each of its workers one core, and a user the machine what it may take.
_ALLOWED = "OMP_NUM_THREADS"
_SETTINGS = {
    "max_bin": 63,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


def threads() -> int:
    """How many boosters are fitted at once."""
    allowed = os.environ.get(_ALLOWED, "")
    return min(_MOST, max(1, int(allowed))) if allowed.isdecimal() else _MOST


def fit_each(fit: Callable[[_T], _R], parts: Sequence[_T], progress: Progress) -> list[_R]:
    """What `fit` makes of each part; an interruption does not wait for those that have not begun."""
    fitted = []
    workers = ThreadPoolExecutor(threads())
    try:
        for each in workers.map(fit, parts):
            fitted.append(each)
            progress(len(fitted), len(parts))
    finally:
        workers.shutdown(cancel_futures=True)
    return fitted


def boost(
    matrix: FloatArray, target: NDArray[np.float64], *, trees: int, settings: Mapping[str, Any]
) -> lightgbm.Booster:
    """Trees that expect `target`, [rows], from `matrix`, [rows, columns]."""
    return lightgbm.train({**_SETTINGS, **settings}, lightgbm.Dataset(matrix, target), num_boost_round=trees)


def predict(booster: lightgbm.Booster, matrix: FloatArray) -> NDArray[np.float64]:
    """What the trees expect, [rows]."""
    return np.asarray(booster.predict(matrix, num_threads=1), np.float64)
