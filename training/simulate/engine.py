"""What would the controller have done, moment by moment? Its own `decide` over a past load.

A decision at the beginning of a step saw the steps before it, and forecasts that were made of them. Must not score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from controller.core.decide import Decision, decide
from controller.core.forecast import Forecast
from controller.core.memory import Memory
from controller.core.policy import Policy
from controller.core.series import Observation, Sample, Series
from training.simulate.capacity import Capacity, lag_of

Witness = Callable[[int, Decision], None]  # the step, and what was decided at its beginning


class Foresight(Protocol):
    """What a forecaster knew at a moment."""

    def at(self, now: datetime) -> tuple[Series, Forecast | None]:
        """The steps of the model that had ended by `now` (aware), and the forecast that was made of them."""
        ...


def replay(
    metric: Series,
    policy: Policy,
    *,
    startup: timedelta,
    initial: int,
    before: float = float("nan"),
    foresight: Foresight | None = None,
    witness: Witness = lambda _step, _decision: None,
) -> Capacity:
    """Decide every `policy.interval`, having seen the steps of `metric` that were over; NaN is a missing metric.

    `initial` replicas are ready at first; `before` is the load of the step before the first. Without `foresight`
    nothing is forecast. Where the steps make it decide less often than every `policy.interval`, its rules know so.
    """
    every = max(1, -(-policy.interval // metric.step))
    policy = replace(policy, interval=every * metric.step)
    desired = np.empty(len(metric), dtype=np.int64)
    memory, size, seen, start = Memory(), initial, before, metric.start
    for index, value in enumerate(metric.values.tolist()):
        if index % every == 0:
            now = start + index * metric.step
            history, forecast = (metric.until(now), None) if foresight is None else foresight.at(now)
            latest = Sample(time=now, value=seen) if seen == seen else None  # noqa: PLR0124  # NaN, without a call
            observation = Observation(history=history, latest=latest)
            decision, memory = decide(now, observation, forecast, size, policy, memory)
            size = decision.replicas
            witness(index, decision)
        desired[index], seen = size, value
    return Capacity.of(desired, initial=initial, lag=lag_of(startup, metric.step))
