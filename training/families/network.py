"""How does a recurrent network learn quantiles? A small LSTM and two dense layers, in jax on the CPU.

A network sees standardised inputs and answers at every key step: the median, linear in the features but for what the
hidden layers add, and softplus distances to the other levels, which keep them in order. Training stops where a network
that had not seen the last part of the past forecast that best. The only file that knows jax; must not know ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from controller.forecaster import FloatArray, IntArray
from training.families.family import LEVELS
from training.families.sequence import Lessons

Weights = dict[str, jax.Array]  # one network's; of several, with an axis for them in front
Batch = tuple[jax.Array, jax.Array, jax.Array, jax.Array]  # sequence, shared, own, target

_PATIENCE = 4  # rounds without a better one end the rehearsal
_UNITS = 16  # of the LSTM
_HIDDEN = 32  # of each dense layer
_ROWS = 256  # in a batch
_FEWEST_STEPS = 32  # in a round, however few rows there are
_PACE = 1e-3
_DECAY = 1.0  # of weights, times the pace: a month holds few days, however many rows
_MEMORY = 0.99  # of the running mean of weights, which is what a network answers with
_DISTANCE = -2.0  # softplus of it, in units of the target, is where distances between levels begin
_MEDIAN = LEVELS.index(0.5)


def distances_to_levels() -> FloatArray:
    """Which distances between neighbouring levels lie between the median and each level, [levels - 1, levels]."""
    gap, level = np.indices((len(LEVELS) - 1, len(LEVELS)))
    above, below = (gap >= _MEDIAN) & (gap < level), (gap >= level) & (gap < _MEDIAN)
    return above.astype(np.float32) - below.astype(np.float32)


def answer(weights: Weights, sequence: jax.Array, shared: jax.Array, own: jax.Array) -> jax.Array:
    """Quantiles of one network, [n, keys, levels]."""
    seen = jnp.concatenate([_remember(weights, sequence), shared], axis=1) @ weights["shared"]
    hidden: jax.Array = jax.nn.relu(seen[:, None] + own @ weights["own"] + weights["key"])
    hidden = jax.nn.relu(hidden @ weights["middle"] + weights["middle_bias"])
    out: jax.Array = hidden @ weights["out"] + weights["out_bias"]
    straight = (own * weights["own_straight"]).sum(axis=-1) + shared @ weights["shared_straight"]
    distances = jax.nn.softplus(out[..., 1:])
    median = out[..., 0] + straight
    return jnp.asarray(median[..., None] + distances @ distances_to_levels())


def _remember(weights: Weights, sequence: jax.Array) -> jax.Array:
    """What an LSTM keeps of a sequence, [n, units]; gates in the order of the ONNX operator: in, out, forget, cell."""

    def step(state: tuple[jax.Array, jax.Array], point: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        kept, cell = state
        gates = point @ weights["point"] + kept @ weights["kept"] + weights["gates"]
        enter, leave, forget, new = jnp.split(gates, 4, axis=-1)
        cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(enter) * jnp.tanh(new)
        return (jax.nn.sigmoid(leave) * jnp.tanh(cell), cell), None

    nothing = jnp.zeros((len(sequence), _UNITS))
    (kept, _), _ = jax.lax.scan(step, (nothing, nothing), jnp.swapaxes(sequence, 0, 1))
    return kept


def _first(random: np.random.Generator, channels: int, shared: int, own: int, keys: int) -> Weights:  # noqa: TID251
    """Where the training of one network begins."""

    def draw(inputs: int, outputs: int, size: float = 1.0) -> FloatArray:
        return (size / math.sqrt(inputs) * random.standard_normal((inputs, outputs))).astype(np.float32)

    def flat(value: float, *shape: int) -> FloatArray:
        return np.full(shape, value, np.float32)

    weights = {
        "point": draw(channels, 4 * _UNITS),
        "kept": draw(_UNITS, 4 * _UNITS),
        # At first nothing is forgotten.
        "gates": np.concatenate([flat(0, 2 * _UNITS), flat(1, _UNITS), flat(0, _UNITS)]),
        "shared": draw(_UNITS + shared, _HIDDEN),
        "own": draw(own, _HIDDEN),
        "key": flat(0, keys, _HIDDEN),
        "middle": draw(_HIDDEN, _HIDDEN),
        "middle_bias": flat(0, _HIDDEN),
        "out": draw(_HIDDEN, len(LEVELS), 0.1),
        "out_bias": np.concatenate([flat(0, keys, 1), flat(_DISTANCE, keys, len(LEVELS) - 1)], axis=1),
        "own_straight": flat(0, keys, own),
        "shared_straight": flat(0, shared, keys),
    }
    return {name: jnp.array(value) for name, value in weights.items()}


def _loss(weights: Weights, batch: Batch) -> jax.Array:
    return _pinball(answer(weights, *batch[:3]), batch[3])


def _pinball(quantiles: jax.Array, target: jax.Array) -> jax.Array:
    """The mean loss over all levels and all targets that are known."""
    is_known = jnp.isfinite(target)
    over = jnp.where(is_known, target, 0.0)[..., None] - quantiles
    levels = jnp.array(LEVELS)
    lost = jnp.maximum(levels * over, (levels - 1) * over).mean(axis=-1)
    return jnp.where(is_known, lost, 0.0).sum() / jnp.maximum(is_known.sum(), 1)


class _State(NamedTuple):
    """Of one network: its weights, the running mean of them, what the optimizer remembers, and the steps so far."""

    weights: Weights
    mean: Weights
    memory: optax.OptState
    steps: jax.Array


_OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(_PACE, weight_decay=_DECAY))


def _begin(weights: Weights) -> _State:
    return _State(weights=weights, mean=weights, memory=_OPTIMIZER.init(weights), steps=jnp.zeros(()))


def _step(state: _State, batch: Batch) -> _State:
    slopes = jax.grad(_loss)(state.weights, batch)
    changes, memory = _OPTIMIZER.update(slopes, state.memory, state.weights)
    weights = optax.apply_updates(state.weights, changes)
    keep = jnp.minimum(_MEMORY, (1 + state.steps) / (10 + state.steps))  # the beginning is soon forgotten
    mean = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new, state.mean, weights)
    return _State(weights=weights, mean=mean, memory=memory, steps=state.steps + 1)


@jax.jit
def _round(states: _State, lessons: Batch, rows: jax.Array) -> _State:
    """A step of every network for each of `rows` [steps, batch]."""

    def step(states: _State, chosen: jax.Array) -> tuple[_State, None]:
        return jax.vmap(_step, in_axes=(0, None))(states, _picked(lessons, chosen)), None

    return jax.lax.scan(step, states, rows)[0]


@jax.jit
def _judged(networks: Weights, lessons: Batch, rows: jax.Array) -> jax.Array:
    """What the average of the networks loses on the rows."""
    *inputs, target = _picked(lessons, rows)
    return _pinball(_averaged(networks, *inputs), target)


def _averaged(networks: Weights, sequence: jax.Array, shared: jax.Array, own: jax.Array) -> jax.Array:
    return jax.vmap(answer, in_axes=(0, None, None, None))(networks, sequence, shared, own).mean(axis=0)


def _picked(lessons: Batch, rows: jax.Array) -> Batch:
    sequence, shared, own, target = lessons
    return sequence[rows], shared[rows], own[rows], target[rows]


def _batch(lessons: Lessons) -> Batch:
    sequence, shared, own = (jnp.array(part) for part in (lessons.sequence, lessons.shared, lessons.own))
    return sequence, shared, own, jnp.array(lessons.target)


def answers(networks: Weights, lessons: Lessons) -> FloatArray:
    """The average of the networks for every row, [n, keys, levels]."""
    return np.asarray(_averaged(networks, *_batch(lessons)[:3]))


def train(lessons: Lessons, rows: IntArray, networks: int) -> Iterator[Weights]:
    """The running mean of the weights of some networks after each round on the rows; without end, seeded."""
    random = np.random.default_rng(1)  # noqa: TID251  # seeded
    sizes = (lessons.sequence.shape[2], lessons.shared.shape[1], lessons.own.shape[2], lessons.own.shape[1])
    begun = [_begin(_first(random, *sizes)) for _ in range(networks)]
    states = jax.tree.map(lambda *parts: jnp.stack(parts), *begun)
    steps = max(_FEWEST_STEPS, len(rows) // _ROWS)
    batch = _batch(lessons)
    while True:
        chosen = np.concatenate([random.permutation(rows) for _ in range(-(-steps * _ROWS // len(rows)))])
        states = _round(states, batch, jnp.array(chosen[: steps * _ROWS].reshape(steps, _ROWS)))
        yield states.mean


def rounds_needed(
    rehearsal: Iterator[Weights], lessons: Lessons, late: IntArray, tell: Callable[[int], None] = lambda _done: None
) -> int:
    """After how many rounds of a rehearsal the late rows, which it must not have seen, are forecast best."""
    losses: list[float] = []
    batch, judges = _batch(lessons), jnp.array(late)
    for means in rehearsal:
        losses.append(float(_judged(means, batch, judges)))
        tell(len(losses))
        if len(losses) - 1 - int(np.argmin(losses)) >= _PATIENCE:
            break
    return 1 + int(np.argmin(losses))


def single(networks: Weights) -> list[dict[str, FloatArray]]:
    """The weights of each network by itself."""
    count = len(networks["gates"])
    return [{name: np.asarray(value[place]) for name, value in networks.items()} for place in range(count)]
