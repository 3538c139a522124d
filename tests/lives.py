"""What may happen to a scaler? Random ticks for the tests that must hold whatever comes in: one `Life` a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
from hypothesis import strategies as st

from controller.core.arms import Turn
from controller.core.experiment import Arm
from controller.core.forecast import Forecast
from controller.core.policy import Policy
from controller.core.record import Inputs, Record
from controller.core.series import Observation, Sample, Series, floor_to_step
from tests.builders import FRESH, NOW, pods, policy, rules, seconds

LEVELS = (0.1, 0.5, 0.9, 0.99)


class Life:
    """A scaler's ticks on a random load with holes and bursts, outages of all kinds, and a policy that changes."""

    def __init__(self, seed: int, policy: Policy, step: timedelta, context: int, horizon: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.policy = policy
        self.step = step
        self.horizon = horizon
        self.now = NOW + seconds(float(self.generator.integers(0, 3600)))
        self.values = self._loads(context)
        self.end = floor_to_step(self.now, step)
        self.made: Forecast | None = None

    def records(self, ticks: int) -> Iterator[Record]:
        """One record a tick; the size follows the decisions, mostly."""
        current, memory = int(self.generator.integers(0, 30)), FRESH
        for _ in range(ticks):
            self._pass_time()
            inputs = Inputs(
                now=self.now,
                observation=self._observation(),
                forecast=self._forecast(),
                current=current,
                policy=self._policy(),
                memory=memory,
                turn=self._turn(),
            )
            record = Record.of(inputs)
            yield record
            memory = record.memory
            current = record.decision.replicas if self._is(0.9) else int(self.generator.integers(0, 30))

    def _turn(self) -> Turn | None:
        arm = Arm.REACTIVE if self._is(0.5) else Arm.PREDICTIVE
        return Turn(arm=arm, window=2, of=8, until=self.now) if self._is(0.2) else None

    def _is(self, share: float) -> bool:
        return bool(self.generator.random() < share)

    def _loads(self, count: int) -> Any:
        loads = self.generator.gamma(2.0, 20.0, count) * (1.0 + 10.0 * (self.generator.random(count) < 0.02))
        loads[self.generator.random(count) < self.generator.choice([0.0, 0.05, 0.5, 1.0], p=[0.5, 0.3, 0.15, 0.05])] = (
            math.nan
        )
        loads[self.generator.random(count) < 0.005] = math.inf
        return loads

    def _pass_time(self) -> None:
        """A tick, an outage now and then, and once in a while a clock that is put back."""
        gap = self.generator.choice([15.0, 61.5, 1000.0, 20_000.0, -3600.0], p=[0.8, 0.1, 0.06, 0.02, 0.02])
        self.now += seconds(float(gap))
        end = floor_to_step(self.now, self.step)
        closed = max(0, (end - self.end) // self.step)
        self.values = np.concatenate([self.values, self._loads(closed)])[-max(1, len(self.values)) :]
        self.end = max(self.end, end)

    def _observation(self) -> Observation | None:
        if self._is(0.05):
            return None
        history = Series(end=self.end, step=self.step, values=self.values)
        if self._is(0.05):
            return Observation(history=history, latest=None, problem="the query gives no series", reason="MetricEmpty")
        load = self.generator.choice([40.0, 400.0, math.nan, -1.0], p=[0.8, 0.15, 0.03, 0.02]) * self.generator.random()
        return Observation(
            history=history,
            latest=Sample(time=self.now - seconds(float(self.generator.integers(0, 200))), value=float(load)),
        )

    def _forecast(self) -> Forecast | None:
        """A new one when a step was closed, mostly; the last one otherwise."""
        if self._is(0.1):
            return None
        if self.made is None or (self.made.origin != self.end and self._is(0.9)):
            quantiles = np.sort(self.generator.gamma(2.0, 25.0, (self.horizon, len(LEVELS))), axis=1)
            if self._is(0.1):
                quantiles[:] = quantiles[:, :1]
            self.made = Forecast(
                origin=self.end,
                step=self.step,
                levels=LEVELS,
                quantiles=quantiles,
                season=int(self.generator.choice([20, 288])) * self.step,
            )
        return self.made

    def _policy(self) -> Policy:
        """What is learnt of the lead time, and what a user changes, comes between ticks."""
        if self._is(0.1):
            self.policy = replace(self.policy, lead_time=seconds(float(self.generator.integers(1, 4000))))
        return self.policy


RULES = st.builds(
    rules,
    st.builds(pods, st.integers(1, 9)),
    window=st.sampled_from([0, 60, 300]),
    tolerance=st.sampled_from([0.0, 0.1]),
)
POLICIES = st.builds(
    policy,
    up=RULES,
    down=RULES,
    lead=st.sampled_from([0, 30, 300, 5000]).map(seconds),
    each=st.floats(0.1, 50),
    objective=st.none() | st.floats(0.001, 0.2),
    flap_budget=st.none() | st.integers(1, 6),
)
