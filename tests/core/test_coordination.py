"""Never a unit fewer than pods need, never a pod before its unit, never a wait without end."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.coordination import Pods, Units, Wish, lead_time, pods_held_back, units_kept, wished
from controller.core.guardrails import limited
from controller.core.policy import Limit, Policy
from controller.core.startup import LeadTime, LeadTimeSource
from tests.builders import NOW, policy, seconds

PATIENCE = seconds(300)
TICK = seconds(15)
SIZES = st.integers(1, 200)
PER_UNIT = st.integers(1, 12)


def units(
    asked: int, ready: int | None, per_unit: int = 4, patience: timedelta = PATIENCE, decided: datetime = NOW
) -> Units:
    name = 'AutoScalingGroup "nodes"'
    return Units(name=name, asked=asked, ready=ready, per_unit=per_unit, decided=decided, patience=patience)


def pods(replicas: int) -> Pods:
    return Pods(name='PredictiveScaler "web"', replicas=replicas)


def asked_for(limit: Limit | None, wish: int) -> int:
    return wish if limit is None else limited(wish, limit)


@given(replicas=st.integers(0, 500), per_unit=PER_UNIT, current=SIZES, wish=SIZES)
def test_no_unit_is_released_that_pods_need(replicas: int, per_unit: int, current: int, wish: int) -> None:
    after = asked_for(units_kept(pods(replicas), per_unit, current, policy(high=10_000)), wish)
    assert after * per_unit >= replicas
    assert after >= wish


@given(replicas=st.integers(0, 500), per_unit=PER_UNIT, wish=SIZES)
def test_no_more_units_are_kept_than_pods_need(replicas: int, per_unit: int, wish: int) -> None:
    after = asked_for(units_kept(pods(replicas), per_unit, 1, policy(high=10_000)), wish)
    assert after == wish or (after - 1) * per_unit < replicas


@given(replicas=st.integers(0, 500), per_unit=PER_UNIT, wish=SIZES)
def test_pods_never_take_a_group_beyond_its_maximum(replicas: int, per_unit: int, wish: int) -> None:
    after = asked_for(units_kept(pods(replicas), per_unit, 1, policy(high=20)), min(wish, 20))
    assert after <= 20


@given(current=SIZES, wish=SIZES)
def test_an_unknown_partner_holds_what_there_is(current: int, wish: int) -> None:
    assert asked_for(units_kept(None, 4, current, policy(high=200)), wish) == max(current, wish)


@pytest.mark.parametrize(
    ("known", "rules", "why"),
    [
        (pods(12), policy(), 'the 12 replicas of PredictiveScaler "web" need 3, at 4 on each'),
        (
            pods(13),
            policy(high=3),
            'the 13 replicas of PredictiveScaler "web" need 4, at 4 on each, and maxReplicas is 3',
        ),
        (None, policy(), "none is released while it is not known how many pods run there"),
    ],
    ids=["known", "beyond-the-maximum", "unknown"],
)
def test_the_words_of_what_is_kept(known: Pods | None, rules: Policy, why: str) -> None:
    assert units_kept(known, 4, 5, rules).why == why


@given(ready=SIZES, more=st.integers(1, 50), per_unit=PER_UNIT, current=SIZES, wish=SIZES)
def test_pods_are_not_asked_for_before_their_units_serve(
    ready: int, more: int, per_unit: int, current: int, wish: int
) -> None:
    limit = pods_held_back(NOW, units(ready + more, ready, per_unit), (), current, policy())
    assert asked_for(limit, wish) <= max(current, ready * per_unit)


@given(asked=SIZES, ready=st.none() | st.integers(0, 250), current=SIZES, wish=SIZES, low=st.integers(1, 50))
def test_no_pod_is_taken_away(asked: int, ready: int | None, current: int, wish: int, low: int) -> None:
    limit = pods_held_back(NOW, units(asked, ready), (), current, policy(low=low))
    assert asked_for(limit, wish) >= min(wish, max(current, low))


@pytest.mark.parametrize(
    "known", [None, units(5, None), units(5, 5), units(5, 6)], ids=["no-group", "ready-unknown", "all-serve", "shrinks"]
)
def test_pods_wait_for_nothing_but_units_that_start(known: Units | None) -> None:
    assert pods_held_back(NOW, known, (), 1, policy()) is None


@given(ready=st.integers(0, 50), per_unit=PER_UNIT, current=SIZES, wish=SIZES, age=st.integers(1, 100))
def test_pods_do_not_overtake_a_group_that_has_not_seen_their_wish(
    ready: int, per_unit: int, current: int, wish: int, age: int
) -> None:
    """A group with another interval, or another source, decides later than its pods."""
    before = units(ready, ready, per_unit, decided=NOW - age * seconds(1))
    limit = pods_held_back(NOW, before, (), current, policy())
    assert asked_for(limit, wish) <= max(current, ready * per_unit)


@pytest.mark.parametrize(
    ("risen", "decided", "highest"),
    [
        (NOW - TICK, NOW - 2 * TICK, 8),
        (NOW - TICK, NOW - TICK, None),
        (NOW - 2 * TICK, NOW - TICK, None),
        (NOW - PATIENCE, NOW - PATIENCE - TICK, 11),
    ],
    ids=["not-decided-since", "decided-at-once", "decided-since", "never-decides"],
)
def test_pods_wait_for_the_groups_say_and_no_longer(risen: datetime, decided: datetime, highest: int | None) -> None:
    limit = pods_held_back(NOW, units(2, 2, decided=decided), (Wish(since=risen, replicas=11),), 5, policy())
    assert (None if limit is None else limit.highest) == highest


def test_the_words_of_waiting_for_the_groups_say() -> None:
    limit = pods_held_back(NOW, units(2, 2, decided=NOW - TICK), (), 5, policy())
    assert limit is not None
    assert limit.why == (
        '2 of the 2 units of AutoScalingGroup "nodes" serve, with room for 8, '
        "and it has not decided yet whether to ask for more"
    )


def test_the_words_of_what_is_held_back() -> None:
    long_ago = (Wish(since=NOW - PATIENCE, replicas=11),)
    waits, overdue = (pods_held_back(NOW, units(3, 2), wishes, 5, policy()) for wishes in ((), long_ago))
    assert waits == Limit(
        rule="Coordination",
        highest=8,
        why='2 of the 3 units of AutoScalingGroup "nodes" serve, with room for 8',
    )
    assert overdue is not None
    assert (overdue.highest, overdue.why) == (
        11,
        '2 of the 3 units of AutoScalingGroup "nodes" serve, with room for 8; '
        "11 have been wished for as long as units may take to start",
    )


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=60), ticks=st.integers(1, 30))
def test_what_was_wished_for_throughout_the_patience_is_granted(sizes: list[int], ticks: int) -> None:
    """The oracle looks at every wish of the window: the fewest of them is what has been wanted all along."""
    patience, wishes = ticks * TICK, ()
    past: list[tuple[datetime, int]] = []
    held: tuple[Wish, ...] = wishes
    for number, size in enumerate(sizes):
        now = NOW + number * TICK
        window = [wish for time, wish in past if time >= now - patience]
        waited = len(past) >= ticks
        limit = pods_held_back(now, units(2, 0, patience=patience), held, 0, policy(low=0))
        assert limit is not None
        assert limit.highest == (min(window) if waited else 0)
        held = wished(held, now, size, patience)
        past.append((now, size))


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=200))
def test_no_more_wishes_are_held_than_can_matter(sizes: list[int]) -> None:
    held: tuple[Wish, ...] = ()
    for number, size in enumerate(sizes):
        held = wished(held, NOW + number * TICK, size, PATIENCE)
        assert len(held) <= PATIENCE / TICK + 1
        assert [one.replicas for one in held] == sorted({one.replicas for one in held})


def test_units_are_asked_for_so_much_earlier_as_pods_take_after_them() -> None:
    learnt = LeadTime(duration=seconds(200), source=LeadTimeSource.LEARNT, samples=9)
    both = LeadTime(duration=seconds(245), source=LeadTimeSource.LEARNT, samples=9, of_pods=seconds(45))
    assert lead_time(learnt, seconds(45)) == both


def test_no_lead_time_is_longer_than_the_longest() -> None:
    together = lead_time(LeadTime.given(timedelta(hours=5)), timedelta(hours=2))
    assert (together.duration, together.of_pods) == (timedelta(hours=6), timedelta(hours=1))
