"""Loads and policies small enough to compute by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.policy import Policy
from controller.core.series import Series
from controller.spec import parse
from training.simulate import reactive
from training.simulate.prices import Price
from training.simulate.study import Scene

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(seconds=15)
PRICE = Price(
    name="a price", date=date(2026, 1, 1), source="a test", currency="USD", hourly=0.05, minimum=timedelta(seconds=60)
)


def load_of(*values: float, step: timedelta = STEP) -> Series:
    return Series(end=START + len(values) * step, step=step, values=np.array(values, dtype=np.float64))


def policy(**overrides: object) -> Policy:
    """An HPA that shrinks at once; a replica's target is a load of 10."""
    raw = {
        "targetRef": {"name": "web"},
        "maxReplicas": 100,
        "metric": {"prometheus": {"query": "q"}, "targetPerReplica": 10},
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    return reactive(parse(raw | overrides).policy)


def waves(count: int, seed: int = 7) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)  # seeded
    rhythm = 200 + 100 * np.sin(np.arange(count) / 40)
    return np.asarray(np.maximum(0.0, rhythm + rng.normal(0, 20, count)))


def scene(*values: float, startup: timedelta = 4 * STEP, initial: int = 10) -> Scene:
    return Scene(
        load=load_of(*values),
        before=values[0],
        startup=startup,
        per_replica=20.0,
        initial=initial,
        lowest=1,
        highest=1000,
        price=PRICE,
    )
