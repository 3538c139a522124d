"""The nine presets say what the guide's table of the dashboards' numbers says, by the guide's own rules."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from controller.core.decide import decide
from controller.core.policy import RatePolicy, ScalingRules
from tests.builders import FRESH, NOW, pods, seen
from training.presets import CAPACITY, CONFIGURATIONS, POLICIES, Preset, presets

GUIDE = Path(__file__).parents[2] / "docs/guide/presets.md"
PERIOD = timedelta(minutes=5)
LONGEST = timedelta(minutes=30)  # of a policy in autoscaling/v2
AIM, MARGIN, AHEAD = 70.0, 1.15, 6  # of the predictive policy: percent, factor, periods
MOST = 20  # servers


@dataclass(frozen=True)
class Numbers:
    """A row of the guide's table: percent, periods and servers; the cooldown as a duration."""

    above: float
    below: float
    periods_above: int
    periods_below: int
    cooldown: timedelta
    more: int
    fewer: int

    @property
    def waits(self) -> timedelta:
        """The cooldown as one notices it who looks once a period."""
        return math.ceil(self.cooldown / PERIOD) * PERIOD


def _told() -> dict[str, Numbers]:
    rows = re.findall(r"^\| (\w+) \|((?: \d+(?: %| min)? \|){7})$", GUIDE.read_text(), re.MULTILINE)
    return {name: _row(*(int(number) for number in re.findall(r"\d+", cells))) for name, cells in rows}


def _row(
    above: int, below: int, periods_above: int, periods_below: int, minutes: int, more: int, fewer: int
) -> Numbers:
    return Numbers(above, below, periods_above, periods_below, timedelta(minutes=minutes), more, fewer)


TOLD = _told()
ALL = {preset.name: preset for preset in presets()}
REACTING = {name: preset for name, preset in ALL.items() if preset.policy != "predictive"}


def _numbers(preset: Preset) -> Numbers:
    told = TOLD[preset.configuration]
    if preset.policy == "reactive":
        return replace(told, periods_above=1, periods_below=2, cooldown=timedelta(minutes=3))
    return told


def _only(rules: ScalingRules) -> RatePolicy:
    (policy,) = rules.policies
    return policy


def test_the_guide_tells_the_numbers_of_all_configurations() -> None:
    assert tuple(TOLD) == CONFIGURATIONS


def test_there_is_one_for_each_configuration_and_policy() -> None:
    assert list(ALL) == [f"{configuration}-{policy}" for configuration in CONFIGURATIONS for policy in POLICIES]


@pytest.mark.parametrize("preset", ALL.values(), ids=ALL)
def test_servers_are_added_as_the_numbers_say(preset: Preset) -> None:
    numbers, rules = _numbers(preset), preset.spec.policy.scale_up
    is_predictive = preset.policy == "predictive"
    after = 1 if is_predictive else numbers.periods_above
    assert preset.utilisation * 100 == pytest.approx(AIM / MARGIN if is_predictive else numbers.above, abs=0.005)
    assert rules.tolerance == 0.0
    assert rules.stabilization == (after * PERIOD if after > 1 else timedelta(0))
    assert _only(rules) == pods(
        MOST if is_predictive else numbers.more, period=(numbers.waits + (after - 1) * PERIOD).total_seconds()
    )


@pytest.mark.parametrize("preset", ALL.values(), ids=ALL)
def test_servers_are_removed_as_the_numbers_say(preset: Preset) -> None:
    numbers, rules = _numbers(preset), preset.spec.policy.scale_down
    period = min(LONGEST, numbers.waits + (numbers.periods_below - 1) * PERIOD)
    assert 100 * preset.utilisation * (1 - rules.tolerance) == pytest.approx(numbers.below, abs=0.01)
    assert rules.stabilization == numbers.periods_below * PERIOD
    assert _only(rules) == pods(numbers.fewer, period=period.total_seconds())


def _sizes(preset: Preset, percent: float, periods: int) -> list[int]:
    """What is asked for of 10 servers, period by period, after one between the thresholds.

    Their load stays at `percent` of what they serve, as if nothing were ever added or removed.
    """
    numbers, sizes, memory = _numbers(preset), [], FRESH
    for period, share in enumerate([(numbers.above + numbers.below) / 2, *[percent] * periods]):
        now = NOW + period * PERIOD
        load = share / 100 * 10 * CAPACITY
        decision, memory = decide(now, seen(load, at=now), None, 10, preset.spec.policy, memory)
        sizes.append(decision.replicas)
    return sizes[1:]


@pytest.mark.parametrize("preset", REACTING.values(), ids=REACTING)
def test_above_the_threshold_servers_are_added_after_so_many_periods_and_not_before(preset: Preset) -> None:
    numbers = _numbers(preset)
    sizes = _sizes(preset, percent=100, periods=numbers.periods_above)
    added = min(numbers.more, math.ceil(1000 / numbers.above) - 10)
    assert sizes == [10] * (numbers.periods_above - 1) + [10 + added]


@pytest.mark.parametrize("preset", REACTING.values(), ids=REACTING)
def test_below_the_threshold_servers_are_removed_after_so_many_periods_and_not_before(preset: Preset) -> None:
    numbers = _numbers(preset)
    sizes = _sizes(preset, percent=numbers.below - 1, periods=numbers.periods_below)
    assert sizes == [10] * (numbers.periods_below - 1) + [10 - numbers.fewer]


@pytest.mark.parametrize("preset", REACTING.values(), ids=REACTING)
def test_between_the_thresholds_nothing_changes(preset: Preset) -> None:
    numbers = _numbers(preset)
    for percent in (numbers.below + 1, numbers.above):
        assert _sizes(preset, percent, periods=20) == [10] * 20


@pytest.mark.parametrize("preset", ALL.values(), ids=ALL)
def test_only_the_predictive_ones_look_ahead(preset: Preset) -> None:
    assert preset.forecasts is (preset.policy == "predictive")
    if preset.forecasts:
        assert (preset.spec.policy.lead_time, preset.spec.policy.quantile) == (AHEAD * PERIOD, 0.5)


@pytest.mark.parametrize("preset", ALL.values(), ids=ALL)
def test_the_rest_is_what_the_dashboards_have(preset: Preset) -> None:
    policy = preset.spec.policy
    assert (policy.min_replicas, policy.max_replicas, policy.interval) == (1, MOST, PERIOD)
    assert (policy.objective, policy.flap_budget) == (None, None)


def test_rules_for_a_replica_that_serves_something_else_keep_all_but_the_target() -> None:
    preset = ALL["balanced-balanced"]
    assert preset.rules(CAPACITY) == preset.spec.policy
    assert preset.rules(2.5) == replace(preset.spec.policy, target_per_replica=2.0)
