"""Is a Lease alive for as long as its last change is young enough, by the clock of whoever looks alone?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.leases import RELEASED_SECONDS, Lease
from controller.sightings import LEASE_SECONDS, MOST_LEASE_SECONDS, Sightings

SHARD = Lease(name="ps-shard-0", shard=0, holder="a", seconds=10, version="1")
MEMBER = Lease(name="ps-member-a", shard=None, holder="a", seconds=10, version="1")


def is_live(sightings: Sightings, now: float) -> bool:
    return list(sightings.live(now)) != []


@pytest.mark.parametrize("lease", [SHARD, MEMBER], ids=["shard", "member"])
@given(
    steps=st.lists(st.tuples(st.floats(0.1, 5.0), st.booleans()), min_size=1, max_size=12),
    seconds=st.sampled_from([0, 1, 10, 30, 10**6]),
    after=st.floats(0.0, 100.0),
)
def test_it_is_alive_until_its_last_change_was_seen_too_long_ago(
    lease: Lease, steps: list[tuple[float, bool]], seconds: int, after: float
) -> None:
    """`steps`: how long after the last look each comes, and whether the Lease was written in between."""
    sightings, now, version, changed = Sightings(), 0.0, 0, 0.0
    for number, (pause, is_written) in enumerate(steps):
        now += pause
        if is_written or number == 0:
            version, changed = version + 1, now
        sightings.look([replace(lease, seconds=seconds, version=str(version))], now)
    lasts = {0: LEASE_SECONDS, 1: LEASE_SECONDS, 10: LEASE_SECONDS, 30: 30.0, 10**6: MOST_LEASE_SECONDS}[seconds]
    assert is_live(sightings, now + after) == (now + after < changed + lasts)


@pytest.mark.parametrize(("lease", "expected"), [(SHARD, True), (MEMBER, False)], ids=["shard", "member"])
def test_of_what_was_deleted_a_shard_is_held_until_its_lease_would_be_dead(lease: Lease, expected: bool) -> None:
    """Who held it may not know yet; a member takes its own away."""
    sightings = Sightings()
    sightings.look([lease], 0.0)
    sightings.look([], 1.0)
    assert is_live(sightings, LEASE_SECONDS - 1) is expected
    sightings.look([], LEASE_SECONDS)
    assert sightings.seen == {}


@pytest.mark.parametrize(
    ("lease", "expected"),
    [
        pytest.param(SHARD.released(), False, id="a shard given up"),
        pytest.param(replace(SHARD, holder=""), True, id="a shard whose holder was taken out by hand"),
        pytest.param(replace(SHARD, holder="", seconds=RELEASED_SECONDS + 1), True, id="the shortest such"),
        pytest.param(replace(MEMBER, holder=""), False, id="a member of no name"),
    ],
)
def test_without_a_holder_it_is_free_only_if_its_holder_said_so(lease: Lease, expected: bool) -> None:
    sightings = Sightings()
    sightings.look([lease], 0.0)
    assert is_live(sightings, 1.0) is expected
