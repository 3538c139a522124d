"""Which models make a test of the controller plain? Ones that expect the same load always."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from controller.core.card import Card, TestVector
from training.graph import Graph

LEVELS = (0.5, 0.9)
HORIZON = 5


def write_constant(path: Path, load: float, *, step_seconds: int) -> None:
    """A model file that expects `load` in every step of every forecast, whatever was seen, if anything was."""
    graph = Graph(context=1)
    rows = graph.add("Unsqueeze", graph.history, graph.integers([2]))
    nothing = graph.add("Mul", rows, graph.constant(0.0))
    quantiles = graph.add("Add", nothing, graph.constant(np.full((1, HORIZON, len(LEVELS)), load)))
    card = _card(path.stem, load, step_seconds)
    sizes: list[int | str] = ["batch", HORIZON, len(LEVELS)]
    path.write_bytes(graph.to_bytes(quantiles, "quantiles", sizes, {"card": card.to_json()}))


def _card(name: str, load: float, step_seconds: int) -> Card:
    vector = TestVector(
        history=(1.0,),
        history_sha256=hashlib.sha256(np.array([1.0], "<f4").tobytes()).hexdigest(),
        origin=0,
        expected=((load,) * len(LEVELS),) * HORIZON,
    )
    return Card(
        name=name,
        version="1",
        family="constant",
        step_seconds=step_seconds,
        context=1,
        horizon=HORIZON,
        levels=LEVELS,
        unit="requests per second",
        season_seconds=86_400,
        trained=None,
        test_vector=vector,
    )
