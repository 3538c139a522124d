"""Scalers in shards and shards among members: spread evenly, the same for all, and few of them moved."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.assignment import assign, shard_of

KEYS = [f"shop/web-{number}" for number in range(6_000)]
names = st.sets(st.sampled_from([f"scaler-{letter}" for letter in "abcdefgh"]), max_size=6)
counts = st.integers(1, 12)


@st.composite
def situations(draw: st.DrawFn) -> tuple[int, set[str], dict[int, str]]:
    """Shards, members, and holders some of whom are members no more, of shards some of which are no more."""
    shards, members = draw(counts), draw(names)
    holders = draw(st.dictionaries(st.integers(0, 14), st.sampled_from([*sorted(members), "gone-a", "gone-b"])))
    return shards, members, holders


def test_a_key_has_the_shard_it_had_in_every_earlier_version() -> None:
    """Two versions run side by side during an upgrade, and must agree."""
    assert [shard_of(key, 6) for key in ("shop/web", "shop/api", "default/nodes", "")] == [5, 5, 0, 5]


@pytest.mark.parametrize("shards", [1, 2, 3, 6, 16])
def test_shards_are_as_even_as_dice(shards: int) -> None:
    """Each count within five standard deviations of a fair share."""
    counted = Counter(shard_of(key, shards) for key in KEYS)
    fair = len(KEYS) / shards
    assert counted.keys() == set(range(shards))
    assert all(abs(count - fair) <= 5 * fair**0.5 for count in counted.values())


@given(st.text(), st.integers(1, 255))
def test_one_shard_more_moves_keys_to_it_and_nowhere_else(key: str, shards: int) -> None:
    assert shard_of(key, shards + 1) in {shard_of(key, shards), shards}


@given(situations())
def test_every_shard_has_a_member(situation: tuple[int, set[str], dict[int, str]]) -> None:
    shards, members, holders = situation
    plan = assign(shards, members, holders)
    assert plan.keys() == (set(range(shards)) if members else set())
    assert set(plan.values()) <= members


@given(situations())
def test_nobody_has_more_than_one_more_than_another(situation: tuple[int, set[str], dict[int, str]]) -> None:
    shards, members, holders = situation
    held = Counter(assign(shards, members, holders).values())
    assert {held[member] for member in members} <= {shards // max(1, len(members)), -(-shards // max(1, len(members)))}


@given(situations(), st.randoms(use_true_random=False))
def test_all_say_the_same_in_whatever_order_they_heard_of_it(
    situation: tuple[int, set[str], dict[int, str]], shuffled: Random
) -> None:
    shards, members, holders = situation
    items = sorted(holders.items())
    shuffled.shuffle(items)
    assert assign(shards, frozenset(sorted(members, reverse=True)), dict(items)) == assign(shards, members, holders)


@given(situations())
def test_what_is_given_out_is_not_given_out_again(situation: tuple[int, set[str], dict[int, str]]) -> None:
    shards, members, holders = situation
    plan = assign(shards, members, holders)
    assert assign(shards, members, plan) == plan


def moved(before: dict[int, str], after: dict[int, str]) -> int:
    return sum(after[shard] != holder for shard, holder in before.items() if shard in after)


@given(st.integers(1, 5), st.sets(st.sampled_from("abc"), min_size=1), st.data())
def test_no_even_assignment_moves_fewer(shards: int, members: set[str], data: st.DataObject) -> None:
    """Against all that there are."""
    holders = data.draw(st.dictionaries(st.integers(0, shards - 1), st.sampled_from("abcx")))
    share = shards / len(members)
    even = [
        dict(enumerate(choice))
        for choice in product(sorted(members), repeat=shards)
        if all(abs(choice.count(member) - share) < 1 for member in members)
    ]
    assert moved(holders, assign(shards, members, holders)) == min(moved(holders, plan) for plan in even)


@given(counts, names)
def test_who_comes_takes_its_share_and_nothing_else_moves(shards: int, members: set[str]) -> None:
    before = assign(shards, members, {})
    after = assign(shards, members | {"new"}, before)
    assert {shard for shard in before if after[shard] != before[shard]} <= {
        shard for shard in after if after[shard] == "new"
    }


@given(counts, names)
def test_who_goes_leaves_all_others_what_they_had(shards: int, members: set[str]) -> None:
    before = assign(shards, members | {"gone"}, {})
    after = assign(shards, members, before)
    assert all(after.get(shard, holder) == holder for shard, holder in before.items() if holder != "gone" and after)


def test_a_leader_stays_when_others_come() -> None:
    assert assign(1, {"a", "b", "c"}, {0: "b"}) == {0: "b"}
