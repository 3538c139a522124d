"""Does a record say all that the decision read, and does it lose nothing on its way through JSON?"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import codec
from controller.core.forecast import Forecast
from controller.core.policy import Policy
from controller.core.record import Inputs, Record, difference
from controller.core.series import Observation, Sample, Series, floor_to_step
from tests.builders import FRESH, NOW, STEP, forecast, pods, policy, rules, seconds, seen

LEVELS = (0.1, 0.5, 0.9, 0.99)


def _through_json(record: Record) -> Record:
    """As it is kept: thinned, written, and read again."""
    text = json.dumps(codec.to_json(Record, record.thinned()), allow_nan=False)
    return codec.from_json(Record, json.loads(text))


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
            )
            record = Record.of(inputs)
            yield record
            memory = record.memory
            current = record.decision.replicas if self._is(0.9) else int(self.generator.integers(0, 30))

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


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rails=POLICIES,
    step=st.sampled_from([15, 60, 300]).map(seconds),
    context=st.sampled_from([0, 1, 30, 400]),
    horizon=st.sampled_from([1, 3, 80]),
)
def test_what_is_kept_gives_the_same_decision_bit_for_bit(
    seed: int, rails: Policy, step: timedelta, context: int, horizon: int
) -> None:
    for record in Life(seed, rails, step, context, horizon).records(ticks=25):
        kept = _through_json(record)
        assert difference(record, kept) is None
        assert difference(kept, kept.replayed()) is None


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), rails=POLICIES)
def test_of_2016_steps_only_a_few_are_kept(seed: int, rails: Policy) -> None:
    rails = replace(rails, lead_time=seconds(120))
    for record in Life(seed, rails, STEP, context=2016, horizon=12).records(ticks=10):
        observation = record.thinned().inputs.observation
        assert observation is None or np.count_nonzero(~np.isnan(observation.history.values)) <= 16


def _kept() -> Record:
    return Record.of(
        Inputs(now=NOW, observation=seen(30), forecast=forecast(99, 99), current=2, policy=policy(), memory=FRESH)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"replicas": 11}, "decision.replicas: 11 was kept, 10 is what comes of it now"),
        ({"coverage": 0.5}, "decision.coverage: 0.5 was kept, None is what comes of it now"),
        ({"steps": ()}, "decision.steps: [] was kept, [{'rule': 'Load'"),
        ({"under_provisioned": -0.0}, "decision.underProvisioned: -0.0 was kept, None"),
    ],
)
def test_the_first_difference_is_told(change: dict[str, Any], words: str) -> None:
    kept = _kept()
    told = difference(replace(kept, decision=replace(kept.decision, **change)), kept)
    assert told is not None
    assert told.startswith(words)


def test_a_zero_with_another_sign_is_a_difference() -> None:
    kept = _kept()
    one, other = (replace(kept, decision=replace(kept.decision, coverage=zero)) for zero in (0.0, -0.0))
    assert difference(one, other) == "decision.coverage: 0.0 was kept, -0.0 is what comes of it now"


def test_another_memory_is_a_difference() -> None:
    kept = _kept()
    told = difference(kept, replace(kept, memory=replace(kept.memory, direction=-1)))
    assert told == "memory.direction: 0 was kept, -1 is what comes of it now"
