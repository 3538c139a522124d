"""Does a record say all that the decision read, and does it lose nothing on its way through JSON?"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import codec
from controller.core.policy import Limit, Policy
from controller.core.record import Inputs, Record, difference
from tests.builders import FRESH, NOW, STEP, forecast, policy, seconds, seen
from tests.lives import POLICIES, Life


def _through_json(record: Record) -> Record:
    """As it is kept: thinned, written, and read again."""
    text = json.dumps(codec.to_json(Record, record.thinned()), allow_nan=False)
    return codec.from_json(Record, json.loads(text))


@settings(max_examples=25, deadline=None)
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


def test_the_limits_of_the_world_are_kept_with_the_rules() -> None:
    """Nobody can ask the group for its maximum of that day."""
    limits = (Limit(rule="Coordination", lowest=2, why="two"), Limit(rule="TargetBounds", highest=7, why="seven"))
    record = Record.of(replace(_kept().inputs, policy=replace(policy(), limits=limits)))
    kept = _through_json(record)
    assert (record.decision.replicas, kept.inputs.policy.limits) == (7, limits)
    assert difference(record, kept.replayed()) is None


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
