"""Does an embedded graph compute what it computes alone?"""

from __future__ import annotations

from datetime import UTC

import numpy as np

from controller.forecaster import Session
from tests.training.small import WINDOW, fitted, model, trace
from training.families.family import LEVELS, Fitted
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


def _counted(parts: list[Fitted]) -> int:
    """How many bytes a file with these parts side by side takes."""
    graph = Graph(context=WINDOW.context)
    values = [graph.embed(part.graph, part.quantiles) for part in parts]
    both = graph.add("Concat", *values, axis=2)
    return len(graph.to_bytes(both, "all", ["batch", WINDOW.horizon, len(parts) * len(LEVELS)], {}))


def test_what_two_parts_share_is_computed_once() -> None:
    alone, twice = _counted([fitted("lightgbm")]), _counted([fitted("lightgbm")] * 2)

    assert twice < alone + 200


def test_the_same_operator_on_the_same_values_is_one_value() -> None:
    graph = Graph(context=2)
    one, two = (graph.constant(value) for value in (1.0, 2.0))

    assert graph.add("Add", graph.history, one) == graph.add("Add", graph.history, one)
    assert graph.add("Add", graph.history, one) != graph.add("Add", graph.history, two)
    assert graph.add("ReduceMean", one, keepdims=0) != graph.add("ReduceMean", one, keepdims=1)


def test_constants_are_equal_in_type_and_shape_as_well() -> None:
    graph = Graph(context=2)
    large = np.arange(100.0)
    names = [graph.constant(large), graph.constant(large.reshape(10, 10)), graph.integers(large), graph.constant(large)]

    assert names[0] == names[3]
    assert len(set(names)) == 3
