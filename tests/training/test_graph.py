"""Does an embedded graph compute what it computes alone?"""

from __future__ import annotations

from datetime import UTC

import numpy as np

from controller.forecaster import Session
from tests.training.small import WINDOW, fitted, model, trace
from training.families.family import LEVELS
from training.graph import Graph
from training.windows import histories, origins


def test_graphs_side_by_side_answer_as_they_do_alone() -> None:
    history, origin = histories(trace(), WINDOW)[-5:], origins(trace(), UTC)[-5:]
    parts = [fitted(name) for name in ("lightgbm", "persistence", "persistence")]
    graph = Graph(context=WINDOW.context)
    doubled = graph.add("Mul", graph.history, graph.constant(2.0))
    values = [graph.embed(part.graph, part.quantiles, history=doubled) for part in parts]
    both = graph.add("Concat", *values, axis=2)
    session = Session(graph.to_bytes(both, "all", ["batch", WINDOW.horizon, 3 * len(LEVELS)], {}))

    alone = [model(name).predict(2 * history, origin) for name in ("lightgbm", "persistence", "persistence")]
    np.testing.assert_allclose(session.run(history, origin), np.concatenate(alone, axis=2), rtol=1e-6)
