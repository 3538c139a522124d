"""The rails by hand. The rules are those of autoscaling/v2 as kube-controller-manager 1.36.3 carries them out.

Read in pkg/controller/podautoscaler/horizontal.go: calculateScaleUpLimitWithScalingRules (a percentage upwards is
rounded up, Max takes the widest limit), calculateScaleDownLimitWithBehaviors (downwards it is cut off),
getReplicasChangePerPeriod (a change counts while it is strictly younger than the period) and
stabilizeRecommendationWithBehaviors (a wish counts while it is strictly younger than the window).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.guardrails import RAILS, bounds, hold_down, limited, rate, remembered
from controller.core.memory import Memory, Recommendation, SizeChange
from controller.core.policy import Limit, RatePolicy, SelectPolicy
from tests.builders import FRESH, NOW, percent, pods, policy, rules, seconds


def _changed(*changes: tuple[float, int]) -> Memory:
    """A memory of (seconds ago, signed change)."""
    return Memory(changes=tuple(SizeChange(time=NOW - seconds(ago), change=change) for ago, change in changes))


def _wished(*wishes: tuple[float, int], is_held: bool = False) -> Memory:
    """A memory of (seconds ago, replicas), oldest first."""
    times = ((NOW - seconds(ago), wish) for ago, wish in wishes)
    return Memory(recommendations=tuple(Recommendation(time=at, replicas=wish, is_held=is_held) for at, wish in times))


@pytest.mark.parametrize(
    ("policies", "select", "allowed"),
    [
        ([pods(4)], SelectPolicy.MAX, 14),  # 10 + 4
        ([percent(100)], SelectPolicy.MAX, 20),  # 10 x 2
        ([percent(25)], SelectPolicy.MAX, 13),  # ceil(10 x 1.25 = 12.5)
        ([percent(1)], SelectPolicy.MAX, 11),  # ceil(10.1): a percentage always lets one through
        ([pods(4), percent(100)], SelectPolicy.MAX, 20),  # max(14, 20)
        ([pods(4), percent(100)], SelectPolicy.MIN, 14),  # min(14, 20)
        ([pods(4)], SelectPolicy.DISABLED, 10),
    ],
)
def test_growth_from_10_by_policies(policies: list[RatePolicy], select: SelectPolicy, allowed: int) -> None:
    assert rate(NOW, 1000, 10, policy(up=rules(*policies, select=select)), FRESH)[0] == allowed


@pytest.mark.parametrize(
    ("policies", "select", "allowed"),
    [
        ([pods(4)], SelectPolicy.MAX, 6),  # 10 - 4
        ([percent(25)], SelectPolicy.MAX, 7),  # int(10 x 0.75 = 7.5)
        ([percent(1)], SelectPolicy.MAX, 9),  # int(9.9)
        ([percent(100)], SelectPolicy.MAX, 0),  # 10 x 0
        ([percent(300)], SelectPolicy.MAX, 0),  # more than everything is everything
        ([pods(4), percent(50)], SelectPolicy.MAX, 5),  # the largest change: min(6, 5)
        ([pods(4), percent(50)], SelectPolicy.MIN, 6),  # the smallest change: max(6, 5)
        ([pods(4)], SelectPolicy.DISABLED, 10),
    ],
)
def test_shrinking_from_10_by_policies(policies: list[RatePolicy], select: SelectPolicy, allowed: int) -> None:
    assert rate(NOW, 0, 10, policy(down=rules(*policies, select=select)), FRESH)[0] == allowed


@pytest.mark.parametrize(
    ("memory", "allowed"),
    [
        (_changed((10, 3)), 11),  # the period began with 10 - 3 = 7, and 7 + 4 = 11
        (_changed((10, 4)), 10),  # 6 + 4: used up
        (_changed((10, 6)), 10),  # 4 + 4 = 8 is below what is there: no growth, and no shrinking by growth rules
        (_changed((15, 4)), 14),  # exactly as old as the period: no longer counted
        (_changed((14.999, 4)), 10),
        (_changed((10, -3)), 17),  # what was removed may come back: 13 + 4
        (_changed((12, 4), (5, -4)), 14),  # both directions in one sum
        (_changed((60, 50), (10, 1)), 13),  # 9 + 4
    ],
)
def test_growth_from_10_by_4_pods_in_15_s_by_earlier_changes(memory: Memory, allowed: int) -> None:
    assert rate(NOW, 1000, 10, policy(up=rules(pods(4, period=15))), memory)[0] == allowed


@pytest.mark.parametrize(
    ("memory", "allowed"),
    [
        (_changed((10, -10)), 10),  # the period began with 20; half of that is there already
        (_changed((10, -4)), 7),  # 14 x 0.5
        (_changed((60, -10)), 5),  # out of the period: 10 x 0.5
        (_changed((10, 6)), 2),  # what was added may go: 4 x 0.5
    ],
)
def test_shrinking_from_10_by_half_in_60_s_by_earlier_changes(memory: Memory, allowed: int) -> None:
    assert rate(NOW, 0, 10, policy(down=rules(percent(50, period=60))), memory)[0] == allowed


@pytest.mark.parametrize(
    ("memory", "allowed"),
    [
        (_wished((299, 8)), 8),
        (_wished((300, 8)), 3),  # exactly as old as the window: no longer counted
        (_wished((299, 12)), 10),  # more was wanted than there is: hold-down never grows
        (_wished((200, 5), (100, 7), (50, 6)), 7),  # the highest
        (_wished((200, 1)), 3),
        (_wished((299, 8), is_held=True), 8),  # perhaps the load needed it
    ],
)
def test_wish_of_3_at_10_with_a_scale_down_window_of_300_s(memory: Memory, allowed: int) -> None:
    assert hold_down(NOW, 3, 10, policy(down=rules(window=300)), memory)[0] == allowed


@pytest.mark.parametrize(
    ("memory", "allowed"),
    [
        (_wished((59, 12)), 12),  # the lowest of [20, 12]
        (_wished((60, 12)), 20),
        (_wished((59, 5)), 10),  # less was wanted than there is: hold-up never shrinks
        (_wished((59, 12), is_held=True), 20),  # nobody knows whether the load was content with it
    ],
)
def test_wish_of_20_at_10_with_a_scale_up_window_of_60_s(memory: Memory, allowed: int) -> None:
    assert hold_down(NOW, 20, 10, policy(up=rules(window=60)), memory)[0] == allowed


@pytest.mark.parametrize(("wished", "allowed"), [(0, 2), (1, 2), (2, 2), (5, 5), (8, 8), (9, 8), (1000, 8)])
def test_bounds_from_2_to_8_by_wish(wished: int, allowed: int) -> None:
    assert bounds(NOW, wished, 4, policy(low=2, high=8), FRESH)[0] == allowed


def test_bounds_come_last() -> None:
    assert [name for name, _ in RAILS] == ["Stabilization", "Rate", "FlapBudget", "Bounds"]


def test_changes_matter_for_the_longest_period_of_either_direction() -> None:
    assert policy(up=rules(pods(1, 20)), down=rules(pods(1, 90), pods(1, 5))).longest_period == seconds(90)


WINDOWS = st.sampled_from([0, 15, 45, 200]).map(float)
TICKS = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 12), st.integers(1, 12), st.booleans()), min_size=1, max_size=30
)


def _oracle(
    now: datetime, wish: int, current: int, down: float, up: float, wishes: Sequence[tuple[datetime, int, bool]]
) -> int:
    """All wishes ever, scanned anew: the two limits of the HPA around the current size."""
    highest = max([wish, *(one for time, one, _ in wishes if time > now - seconds(down))])
    lowest = min([wish, *(one for time, one, is_held in wishes if time > now - seconds(up) and not is_held)])
    return min(max(current, lowest), highest)


@given(down=WINDOWS, up=WINDOWS, ticks=TICKS)
def test_stabilisation_with_the_kept_wishes_equals_one_with_all_wishes(
    down: float, up: float, ticks: list[tuple[int, int, int, bool]]
) -> None:
    rails = policy(down=rules(window=down), up=rules(window=up))
    now, kept, every = NOW, Memory(), list[tuple[datetime, int, bool]]()
    for gap, wish, current, is_held in ticks:
        now += timedelta(seconds=gap)
        assert hold_down(now, wish, current, rails, kept)[0] == _oracle(now, wish, current, down, up, every)
        every.append((now, wish, is_held))
        kept = Memory(recommendations=remembered(now, wish, rails, kept.recommendations, is_held=is_held))


def test_remembered_wishes_are_few_however_long_the_window() -> None:
    rails = policy(down=rules(window=3600))
    kept: tuple[Recommendation, ...] = ()
    for tick in range(240):
        kept = remembered(NOW + seconds(15 * tick), tick % 7, rails, kept)
    assert len(kept) <= 7


@pytest.mark.parametrize(
    ("lowest", "highest", "wish", "allowed"),
    [
        (None, None, 5, 5),
        (3, None, 2, 3),
        (3, None, 4, 4),
        (None, 3, 4, 3),
        (None, 3, 2, 2),
        (0, None, 0, 0),
        (None, 0, 4, 0),
    ],
)
def test_a_limit_moves_the_wish_to_its_nearer_bound(
    lowest: int | None, highest: int | None, wish: int, allowed: int
) -> None:
    assert limited(wish, Limit(rule="TargetBounds", why="", lowest=lowest, highest=highest)) == allowed
