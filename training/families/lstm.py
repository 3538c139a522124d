"""What does a recurrent network expect? A few LSTMs on a short sequence, averaged, in the ONNX LSTM operator.

How long they learn is found on the last part of the past by networks that had not seen it; those that stay know all of
the past. Needs the extra `deep`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from itertools import islice

import numpy as np

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray
from training.families import network
from training.families.family import LEVELS, Examples, FitError, Fitted, Progress
from training.families.sequence import Lessons, Scales, Seen, add_inputs, see
from training.features import keys
from training.graph import Graph
from training.windows import Window, histories, origins

Weights = Mapping[str, FloatArray]

_REHEARSED = 0.8  # the share of the span after which the rehearsal is judged
_FEWEST_ROWS = 50
_EXAMPLES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTM:
    """`networks`: how many are averaged, since what one gets wrong by chance the others do not.

    `rounds`: of learning, at most. `progress` is told how many are done, of the most that it may take.
    """

    name: str = "lstm"
    networks: int = 3
    rounds: int = 24
    progress: Progress = lambda _done, _all: None

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        """Networks on all of `series`. Raises FitError."""
        seen = see(series, window, zone)
        scales = Scales.of(seen, window)
        lessons = scales.lessons(seen, window)
        learned = self._learn(lessons, *_halves(seen, len(series), window))
        graph = Graph(context=window.context)
        return Fitted(
            family=self.name,
            graph=graph,
            quantiles=_add_forecast(graph, window, scales, learned),
            examples=_examples(seen, scales.unit * network.answers(learned, lessons), series, window, zone),
        )

    def _learn(self, lessons: Lessons, early: IntArray, late: IntArray) -> network.Weights:
        """The networks after as many rounds as did best in the rehearsal."""
        most = self.rounds
        rehearsal = islice(network.train(lessons, early, self.networks), most)
        rounds = network.rounds_needed(rehearsal, lessons, late, lambda done: self.progress(done, 2 * most))
        training = network.train(lessons, np.arange(len(lessons.target)), self.networks)
        for done in range(1, rounds):
            next(training)
            self.progress(most + done * most // rounds, 2 * most)
        return next(training)


def _halves(seen: Seen, length: int, window: Window) -> tuple[IntArray, IntArray]:
    """Rows whose whole horizon lies before the rehearsal's end, and rows whose origin does not. Raises FitError."""
    boundary = round(window.slots + _REHEARSED * (length - window.slots))
    early = np.flatnonzero(seen.place + window.horizon < boundary)
    late = np.flatnonzero(seen.place >= boundary)
    if min(len(early), len(late)) < _FEWEST_ROWS:
        raise FitError("nearly all values lie in one part of the series; give more history")
    return early, late


def _examples(seen: Seen, offsets: FloatArray, series: Series, window: Window, zone: tzinfo) -> Examples:
    """The last rows as the networks themselves answer them, put together in numpy."""
    last = slice(-_EXAMPLES, None)
    quantiles = seen.profile[last][..., None] + _between(window) @ offsets[last]
    return Examples(
        history=histories(series, window)[seen.place[last]],
        origin=origins(series, zone)[seen.place[last]],
        quantiles=np.maximum(quantiles * seen.level[last][..., None], 0).astype(np.float32),
    )


def _between(window: Window) -> FloatArray:
    """How much each key weighs in each step of the horizon: linear between the two around it; [horizon, keys]."""
    steps = np.arange(1, window.horizon + 1)
    places = keys(window)
    return np.array([np.interp(steps, places, row) for row in np.eye(len(places))], np.float32).T


def _add_forecast(graph: Graph, window: Window, scales: Scales, learned: network.Weights) -> str:
    """The quantiles, [batch, horizon, levels], in the metric's unit."""
    inputs = add_inputs(graph, window)
    standard = [scales.add(graph, name, getattr(inputs, name)) for name in ("sequence", "shared", "own")]
    answers = [_add_network(graph, weights, *standard) for weights in network.single(learned)]
    offset = graph.add("Mul", graph.add("Mean", *answers), graph.constant(scales.unit))
    between = graph.add("MatMul", graph.constant(_between(window)), offset)
    scaled = graph.add("Add", _column(graph, inputs.profile), between)
    quantiles = graph.add("Mul", scaled, _column(graph, inputs.level))
    return graph.add("Max", quantiles, graph.constant(0.0))


def _add_network(graph: Graph, weights: Weights, sequence: str, shared: str, own: str) -> str:
    """What `network.answer` says, [batch, keys, levels]."""
    kept = _add_lstm(graph, weights, sequence)
    seen = _times(graph, graph.add("Concat", kept, shared, axis=1), weights["shared"])
    seen = graph.add("Unsqueeze", seen, graph.integers([1]))
    hidden = graph.add(
        "Add", graph.add("Add", seen, _times(graph, own, weights["own"])), graph.constant(weights["key"])
    )
    hidden = graph.add(
        "Add", _times(graph, graph.add("Relu", hidden), weights["middle"]), graph.constant(weights["middle_bias"])
    )
    out = graph.add(
        "Add", _times(graph, graph.add("Relu", hidden), weights["out"]), graph.constant(weights["out_bias"])
    )
    own_part = graph.add(
        "ReduceSum", graph.add("Mul", own, graph.constant(weights["own_straight"])), graph.integers([2])
    )
    straight = graph.add("Add", own_part, _column(graph, _times(graph, shared, weights["shared_straight"])))
    median = graph.add("Add", graph.add("Gather", out, graph.integers([0]), axis=2), straight)
    distances = graph.add("Softplus", graph.add("Gather", out, graph.integers(range(1, len(LEVELS))), axis=2))
    return graph.add("Add", median, _times(graph, distances, network.distances_to_levels()))


def _add_lstm(graph: Graph, weights: Weights, sequence: str) -> str:
    """What it keeps of the sequence, [batch, units]."""
    points = graph.add("Transpose", sequence, perm=[1, 0, 2])
    gates = np.concatenate([weights["gates"], np.zeros_like(weights["gates"])])  # the operator has a bias twice
    tensors = (weights["point"].T, weights["kept"].T, gates)
    every = graph.add(
        "LSTM", points, *(graph.constant(tensor[None]) for tensor in tensors), hidden_size=len(weights["kept"])
    )
    return graph.add("Gather", graph.add("Squeeze", every, graph.integers([1])), graph.integers(-1), axis=0)


def _times(graph: Graph, value: str, weights: FloatArray) -> str:
    return graph.add("MatMul", value, graph.constant(weights))


def _column(graph: Graph, value: str) -> str:
    return graph.add("Unsqueeze", value, graph.integers([-1]))
