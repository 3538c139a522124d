"""What does a forecast cost, alone and in a batch of 1,000? `python -m tests.bench.forecasts [MODEL…]`.

Medians, beside the seasonal naive that is timed in the same run: machines are noisy, ratios less so. Not a test.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from controller.forecaster import Model, load_model
from tests.training.small import DAY
from training import export
from training.families.lightgbm import LightGBM
from training.generated import generate
from training.windows import Window

_BASELINE = Path(__file__).parents[2] / "models" / "seasonal-naive.onnx"
_BATCH = 1000
_ALONE_ROUNDS, _BATCH_ROUNDS = 200, 7
_MICRO = 1e6


def _median_seconds(call: Callable[[], object], rounds: int) -> float:
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _cost(model: Model) -> tuple[float, float]:
    """Microseconds a forecast: alone, and in a batch."""
    random = np.random.default_rng(1)
    history = random.uniform(50, 150, (_BATCH, model.card.context)).astype(np.float32)
    origin = np.arange(_BATCH, dtype=np.int64) * model.card.step_seconds
    alone = _median_seconds(lambda: model.predict(history[:1], origin[:1]), _ALONE_ROUNDS)
    batch = _median_seconds(lambda: model.predict(history, origin), _BATCH_ROUNDS)
    return alone * _MICRO, batch / _BATCH * _MICRO


def _trained(like: Model) -> Model:
    """Trees on a generated trace, with the step and the horizon of `like`."""
    step = like.card.step
    series = generate(1, step=step, season=DAY, seasons=28)
    window = Window.fitting(step=step, season=DAY, horizon=like.card.horizon * step)
    return export.draft(LightGBM().fit(series, window, UTC), series, window, name="lightgbm", unit="load")


def main(paths: list[str]) -> None:
    baseline = load_model(_BASELINE)
    models = [load_model(Path(path)) for path in paths] or [_trained(baseline)]
    table = Table(
        "model", "alone, us", "in 1,000, us", "x seasonal naive alone", "in 1,000", title="Cost of a forecast"
    )
    base = _cost(baseline)
    table.add_row(baseline.card.name, f"{base[0]:.0f}", f"{base[1]:.0f}", "1.0", "1.0")
    for model in models:
        cost = _cost(model)
        ratios = (f"{mine / theirs:.1f}" for mine, theirs in zip(cost, base, strict=True))
        table.add_row(model.card.name, f"{cost[0]:.0f}", f"{cost[1]:.0f}", *ratios)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
