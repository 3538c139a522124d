"""Whose Lease is alive? By when its last change was seen from here.

Somebody else's Lease is dead when it did not change for LEASE_SECONDS by the clock of whoever looks, counted from when
the change was *seen*. Times that others wrote are not looked at, so no two clocks need agree. Must not read a clock,
nor a Lease.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from controller.leases import RELEASED_SECONDS, Lease

LEASE_SECONDS = 10.0

MOST_LEASE_SECONDS = 60.0
"""Nobody's Lease counts for longer, whatever is written there: a shard would be served by nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Somebody's Lease, and `at` which second of the looker's clock its last change was seen."""

    lease: Lease
    at: float

    def expires(self) -> float:
        """From when on it is dead, in seconds of the same clock."""
        return self.at + min(max(LEASE_SECONDS, self.lease.seconds), MOST_LEASE_SECONDS)

    def is_held(self, now: float) -> bool:
        """Also a shard's whose holder somebody took out by hand: that one may not know yet."""
        is_free = not self.lease.holder and (self.lease.shard is None or self.lease.seconds <= RELEASED_SECONDS)
        return not is_free and now < self.expires()


@dataclass(slots=True)
class Sightings:
    """What was seen of all Leases, by name.

    A shard's that somebody deleted counts until it is dead: who held it may not know yet. A member's that is gone was
    taken away by itself.
    """

    seen: dict[str, Sighting] = field(default_factory=dict)

    def look(self, leases: list[Lease], now: float) -> None:
        """Take in a complete list."""
        found = {lease.name: lease for lease in leases}
        missing = (one for name, one in self.seen.items() if name not in found)
        gone = {one.lease.name: one for one in missing if one.lease.shard is not None and now < one.expires()}
        self.seen = gone | {name: self._as_seen(lease, now) for name, lease in found.items()}

    def _as_seen(self, lease: Lease, now: float) -> Sighting:
        before = self.seen.get(lease.name)
        return before if before and before.lease.version == lease.version else Sighting(lease=lease, at=now)

    def live(self, now: float) -> Iterator[Lease]:
        """Those that somebody holds."""
        return (one.lease for one in self.seen.values() if one.is_held(now))
