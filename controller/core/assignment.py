"""Which shard is a scaler in, and which member holds a shard? All who know the same members say the same.

Scalers are put in shards by jump consistent hash (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash
Algorithm", 2014). Shards are given out so that nobody has more than one more than another, and as few as possible
change hands; which ones, and to whom, is told by rendezvous weights (Thaler and Ravishankar, 1998). Must not know what
a scaler is, nor whether a member is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from hashlib import blake2b

_MULTIPLIER = 2862933555777941757
"""Of the paper's linear congruential generator."""


def shard_of(key: str, shards: int) -> int:
    """From 0 to `shards` - 1, by the key alone. One shard more takes its share from all others, and moves no more."""
    state, shard, following = _hash(key), 0, 0
    while following < shards:
        shard = following
        state = (state * _MULTIPLIER + 1) % 2**64
        following = int((shard + 1) * (2**31 / ((state >> 33) + 1)))
    return shard


def assign(shards: int, members: Set[str], holders: Mapping[int, str]) -> dict[int, str]:
    """Who is to hold each shard; empty where there are no members.

    `holders`: who does now. Whoever is a member keeps what is within its share; what is beyond, and what nobody of the
    members holds, goes to those that have room.
    """
    if not members:
        return {}
    room = _shares(shards, members, Counter(holders.values()))
    wanted = ((shard, member) for shard, member in holders.items() if member in members and 0 <= shard < shards)
    plan = _given(wanted, room)
    free = set(range(shards)) - plan.keys()
    return plan | _given(((shard, member) for shard in free for member in members), room)


def _shares(shards: int, members: Set[str], held: Mapping[str, int]) -> Counter[str]:
    """How many each may hold: the same for all or, where that does not divide, one more for those that have it now."""
    share, rest = divmod(shards, len(members))
    by_claim = sorted(members, key=lambda one: (held.get(one, 0) > share, _hash(one), one), reverse=True)
    return Counter({member: share + (place < rest) for place, member in enumerate(by_claim)})


def _given(pairs: Iterable[tuple[int, str]], room: Counter[str]) -> dict[int, str]:
    """Give each shard to the member of the heaviest pair while there is `room`, which is taken up."""
    plan: dict[int, str] = {}
    for shard, member in sorted(pairs, key=_weight, reverse=True):
        if shard not in plan and room[member] > 0:
            plan[shard] = member
            room[member] -= 1
    return plan


def _weight(pair: tuple[int, str]) -> tuple[int, str]:
    shard, member = pair
    return _hash(f"{shard}/{member}"), member


def _hash(text: str) -> int:
    """64 bits, the same on every machine and in every version."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
