"""What went into a decision and what came out, so that anyone can make it again, bit for bit and anywhere?

Of a history and a forecast only what `decide` can read is written down: a few values of thousands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

import numpy as np

from controller.core import codec
from controller.core.arms import Turn, decide_as
from controller.core.decide import Decision, decide
from controller.core.forecast import Forecast
from controller.core.memory import Memory
from controller.core.policy import Policy
from controller.core.series import Observation, Series

codec.share(Memory, Policy)  # what one decision leaves the next one starts from, and rules seldom change


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that a decision is made of: the arguments of `decide`, and in an experiment whose `turn` it is."""

    now: datetime
    observation: Observation | None
    forecast: Forecast | None
    current: int
    policy: Policy
    memory: Memory
    turn: Turn | None = None

    def decide(self) -> tuple[Decision, Memory]:
        """What follows from these inputs in this release."""
        inputs = (self.now, self.observation, self.forecast, self.current, self.policy, self.memory)
        return decide(*inputs) if self.turn is None else decide_as(self.turn, *inputs)

    def thinned(self) -> Self:
        """The same without what no decision of them can read; the memory is the one before the decision."""
        forecast = None if self.forecast is None else _reached(self.forecast, self.now, self.policy)
        observation = self.observation
        if observation is not None:
            history = _readable(observation.history, self.forecast, self.policy, self.memory)
            observation = replace(observation, history=history)
        return replace(self, observation=observation, forecast=forecast)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A decision with what it was made of. `memory`: what it left for the next one."""

    inputs: Inputs
    decision: Decision
    memory: Memory

    @classmethod
    def of(cls, inputs: Inputs) -> Self:
        """Decide, and keep what it was decided on."""
        decision, memory = inputs.decide()
        return cls(inputs=inputs, decision=decision, memory=memory)

    def thinned(self) -> Self:
        """The same with no more inputs than can be read."""
        return replace(self, inputs=self.inputs.thinned())

    def replayed(self) -> Self:
        """The record that these inputs give in this release."""
        return self.of(self.inputs)


def difference(kept: Record, replayed: Record) -> str | None:
    """The first difference between what two records came to, as "place: kept, replayed"; None where they are equal."""
    inputs = kept.inputs.thinned()
    one, other = (codec.to_json(Record, replace(record, inputs=inputs)) for record in (kept, replayed))
    found = (each for name in ("decision", "memory") for each in _differences(name, one[name], other[name]))
    return next(found, None)


def _differences(where: str, one: Any, other: Any) -> Iterator[str]:  # noqa: ANN401  # JSON
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one:
            yield from _differences(f"{where}.{name}", one[name], other[name])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differences(f"{where}[{at}]", left, right)
    elif repr(one) != repr(other):  # as text: 0.0 and -0.0 are equal, and not the same
        yield f"{where}: {one!r} was kept, {other!r} is what comes of it now"


def _reached(forecast: Forecast, now: datetime, policy: Policy) -> Forecast:
    """The steps until a replica that is not released now could be needed, and until the forecast is judged."""
    further = forecast.steps_between(now, now + policy.window + policy.lead_time).stop
    return replace(forecast, quantiles=forecast.quantiles[: max(further, _judged(forecast, policy))])


def _judged(forecast: Forecast, policy: Policy) -> int:
    """Which step, from 1, is the last that a forecast is judged by."""
    return min(max(1, -(-policy.window // forecast.step)), len(forecast.quantiles))


def _readable(history: Series, forecast: Forecast | None, policy: Policy, memory: Memory) -> Series:
    """The history with NaN where no rule looks: neither a truth that was waited for, nor a naive forecast's value."""
    values = np.full(len(history), np.nan)
    if forecast is not None:
        for start, end in _windows(history, forecast, policy, memory):
            steps = _steps(history, start, end)
            values[steps] = history.values[steps]
        last = _last_recorded(history)
        values[last] = history.values[last]
    return replace(history, values=values)


def _last_recorded(history: Series) -> slice:
    """Mostly the very last; empty where there is none."""
    if len(history) and np.isfinite(history.values[-1]):
        return slice(len(history) - 1, None)
    recorded = np.flatnonzero(np.isfinite(history.values))
    return slice(recorded[-1], recorded[-1] + 1) if len(recorded) else slice(0, 0)


def _windows(
    history: Series, forecast: Forecast, policy: Policy, memory: Memory
) -> Iterator[tuple[datetime, datetime]]:
    """The spans (start, end] in which values may be looked up."""
    for pending in memory.track.pending:
        if pending.time <= history.end:
            yield pending.origin, pending.time
    judged = forecast.origin + _judged(forecast, policy) * forecast.step
    seasons = max(1, -((history.end - judged) // forecast.season))
    yield judged - seasons * forecast.season - history.step, judged - seasons * forecast.season


def _steps(history: Series, start: datetime, end: datetime) -> slice:
    """The steps that overlap (start, end], and one more on either side where these are off the grid."""
    first = len(history) + (start - history.end) // history.step
    last = len(history) - (history.end - end) // history.step
    return slice(min(max(0, first), len(history)), min(max(0, last), len(history)))
