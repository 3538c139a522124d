"""How far was each expert off, and what do they agree on? Weights from errors, and the errors of the agreement.

An expert that could not be checked is thought to be about as good as the last value. Must not know what experts say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.forecaster import FloatArray
from training.experts.load import Load
from training.experts.panel import Checks, Expert
from training.features import keys

_PRIOR = 8.0  # checks that an expert is thought to have had before the first, with the errors of the last value
_PRIOR_SEASONAL = 1.2  # times these errors, for what repeats a season
_FIRST_ERROR = 0.25  # of the level, where nothing could be checked at all
_POWER = 5.0  # an expert weighs its error to the minus this
_LOWEST_ERROR = 1e-6  # of the level, that no weight is infinite
_LOWEST_SCALE = 1e-3  # of the level


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`answers`: [batch, experts, horizon]; `base`, what they agree on: [batch, horizon].

    `each`: mean errors, [batch, keys, experts]; `scale`: those of the agreement, [batch, keys]. `errors`: all of the
    agreement's, [batch, keys, checks], 0 where not known; `known`: 1 where they are.
    """

    answers: str
    base: str
    each: str
    scale: str
    errors: str
    known: str


def judged(load: Load, panel: Sequence[Expert], between: FloatArray) -> Verdict:
    """`between`: how much each key weighs in each step, [keys, horizon]."""
    known, errors = load.known(_errors(load, panel))
    each = _mean_errors(load, panel, known, errors)
    weights = _weights(load, each)
    first_known, first = (load.add("Gather", value, load.ints([0]), axis=2) for value in (known, errors))
    # Where an expert had no idea the last value stands in, as it does in the answers.
    without = load.add("Sub", load.const(1.0), load.add("MatMul", weights, known))
    said = load.add("Add", load.add("MatMul", weights, errors), load.add("Mul", without, first))
    agreed = load.add("Mul", said, first_known)
    answers = _answers(load, panel)
    shares = load.add("MatMul", load.add("Transpose", _squeezed(load, weights, 2), perm=[0, 2, 1]), load.const(between))
    return Verdict(
        answers=answers,
        base=load.add("ReduceSum", load.add("Mul", shares, answers), load.ints([1]), keepdims=0),
        each=_squeezed(load, each, 3),
        scale=_scale(load, agreed, first_known, load.add("MatMul", weights, each)),
        errors=_squeezed(load, agreed, 2),
        known=_squeezed(load, first_known, 2),
    )


def _errors(load: Load, panel: Sequence[Expert]) -> str:
    """What came less what was said, [batch, keys, experts, checks]; NaN where either or the origin is not known."""
    checks = Checks.of(load)
    came = load.unsqueezed(load.gather(load.recorded, checks.target), 1)
    nothing = load.gather(load.add("Sub", load.recorded, load.recorded), checks.origin)  # or NaN
    came = load.add("Add", came, nothing)
    errors = [load.unsqueezed(load.add("Sub", came, expert.past), 2) for expert in panel]
    return load.add("Concat", *errors, axis=2)


def _mean_errors(load: Load, panel: Sequence[Expert], known: str, errors: str) -> str:
    """[batch, keys, experts, 1]."""
    worth = load.const(Checks.worth())
    count, total = load.add("MatMul", known, worth), load.add("MatMul", load.add("Abs", errors), worth)
    return _drawn(load, total, count, _prior(load, panel, total, count))


def _prior(load: Load, panel: Sequence[Expert], total: str, count: str) -> str:
    """The mean error of the last value over this and shorter keys; [batch, keys, experts, 1]."""
    shorter = load.const(np.tril(np.ones((len(keys(load.window)),) * 2)))
    sums, counts = (
        load.add("MatMul", shorter, _squeezed(load, load.add("Gather", value, load.ints([0]), axis=2), 3))
        for value in (total, count)
    )
    begun = load.add("Add", sums, load.const(_FIRST_ERROR)), load.add("Add", counts, load.const(1.0))
    factors = [_PRIOR_SEASONAL if expert.is_seasonal else 1.0 for expert in panel]
    return load.add("Mul", load.unsqueezed(load.add("Div", *begun), 3), load.const(np.array(factors)[:, None]))


def _drawn(load: Load, total: str, count: str, prior: str) -> str:
    """A mean that begins with the prior."""
    sums = load.add("Add", total, load.add("Mul", prior, load.const(_PRIOR)))
    return load.add("Div", sums, load.add("Add", count, load.const(_PRIOR)))


def _weights(load: Load, each: str) -> str:
    """[batch, keys, 1, experts]; the sum over the experts is 1."""
    logarithm = load.add("Log", load.add("Add", each, load.const(_LOWEST_ERROR)))
    shares = load.add("Softmax", load.add("Mul", logarithm, load.const(-_POWER)), axis=2)
    return load.add("Transpose", shares, perm=[0, 1, 3, 2])


def _scale(load: Load, errors: str, known: str, prior: str) -> str:
    worth = load.const(Checks.worth())
    total, count = load.add("MatMul", load.add("Abs", errors), worth), load.add("MatMul", known, worth)
    mean = _squeezed(load, _squeezed(load, _drawn(load, total, count, prior), 3), 2)
    return load.add("Max", mean, load.const(_LOWEST_SCALE))


def _answers(load: Load, panel: Sequence[Expert]) -> str:
    """[batch, experts, horizon]; the last value where an expert has no idea."""
    every_step = load.const(np.zeros(load.window.horizon))
    wide = [load.unsqueezed(load.add("Add", expert.live, every_step), 1) for expert in panel]
    answers = load.add("Concat", *wide, axis=1)
    first = load.add("Gather", answers, load.ints([0]), axis=1)
    return load.add("Where", load.add("IsNaN", answers), first, answers)


def _squeezed(load: Load, value: str, axis: int) -> str:
    return load.add("Squeeze", value, load.ints([axis]))
