"""Which shards does this process hold, and since when? Leases renewed, taken when nobody has them, and given up.

The rules, which together keep two processes from ever being sure of the same shard:
- Whoever holds a shard is sure of it for BELIEF_SECONDS from the *start* of the last renewal that succeeded, by its own
  clock, which goes on while the process or the machine sleeps (CLOCK_BOOTTIME); then it is not, whatever it was doing.
- Somebody else's Lease is dead when no change of it was seen for LEASE_SECONDS (`controller.sightings`).
- Whoever takes a Lease names the version that it read: of two who try, the API server refuses one.
- Whoever gives a shard up starts nothing more for it, waits for what it has begun, and only then says so in the Lease.
- Replicas that divide into another number of shards serve nothing side by side: whoever has taken a shard looks again
  before it begins, and gives it back where the others have one.
- A shard begins with `on_begin`, which makes what is known of its scalers as new as the cluster's. Each beginning is a
  term of its own; what was begun in one is never written in another.

Must not know what is in a shard.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from controller.core.assignment import assign, shard_of
from controller.fence import Left
from controller.kubernetes_api import ApiError, ConflictError, ForbiddenError, NotFoundError, TimedOutError
from controller.leases import Lease
from controller.sightings import LEASE_SECONDS, Sightings

log = logging.getLogger(__name__)

RENEW_SECONDS = 2.0
BELIEF_SECONDS = 7.0
"""What is on its way when belief ends has the rest of LEASE_SECONDS to arrive."""

CALL_SECONDS = 2.0
"""One call's; three renewals may fail so before belief ends."""

ROUND_SECONDS = 4.0
"""What a round does beside renewing; with one renewal more it is still within BELIEF_SECONDS."""

DRAIN_SECONDS = 5.0
"""So long a shard that is given up is waited for; then its Lease is left to run out."""

BURY_SECONDS = 60.0
"""So long a Lease that nobody will take again stays."""

TROUBLED_SECONDS = 60.0
"""So long after the last round in which all went well it counts as one that could serve."""

_SOONEST = 0.05


class Store(Protocol):
    """What `controller.leases.Leases` does."""

    def shard(self, number: int) -> str: ...  # noqa: D102
    def member(self, instance: str) -> str: ...  # noqa: D102
    def now(self) -> str: ...  # noqa: D102
    async def all(self) -> list[Lease]: ...  # noqa: D102
    async def write(self, lease: Lease) -> Lease: ...  # noqa: D102
    async def delete(self, lease: Lease) -> None: ...  # noqa: D102


class Watcher(Protocol):
    """Who hears of what happens, for metrics."""

    def renewed(self, seconds: float) -> None: ...  # noqa: D102
    def passed(self, what: str) -> None: ...  # noqa: D102


@dataclass(slots=True, kw_only=True, eq=False)
class _Hold:
    """A shard in our hands. `until`: when belief ends. `term`: None until it began. `begun`: ticks under way."""

    lease: Lease
    until: float
    term: int | None = None
    leaving: float | None = None
    begun: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A replica that is there."""

    identity: str
    instance: str
    address: str


class Election:
    """One replica's part. `me`: its own member Lease's contents: holder (its identity), instance, address and shards.

    `clock`: seconds, going on whatever sleeps.
    """

    def __init__(
        self,
        store: Store,
        *,
        me: Lease,
        on_begin: Callable[[], Awaitable[bool]],
        watcher: Watcher,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._me = me
        self._member = me
        self._on_begin = on_begin
        self._watcher = watcher
        self._clock = clock
        self._known = Sightings()
        self._holds: dict[int, _Hold] = {}
        self._terms = itertools.count(1)
        self._beginning: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._trouble: set[str] = set()
        self._told: set[str] = set()
        self._hidden: set[str] = set()
        self._well: float | None = None
        self._shy_until = -math.inf

    @property
    def shards(self) -> int:
        """Into how many the scalers are divided."""
        return self._me.shards

    @property
    def me(self) -> str:
        """The identity of this process."""
        return self._me.holder

    def left(self, shard: int, term: int) -> float:
        """For how many seconds this process is sure of a shard that it began in `term`; 0 or less when it is not."""
        hold = self._holds.get(shard)
        return hold.until - self._clock() if hold is not None and hold.term == term else 0.0

    def term(self, shard: int) -> int | None:
        """The term in which something new may be begun for a shard now; None when it may not."""
        hold = self._holds.get(shard)
        if hold is None or hold.leaving is not None or self._clock() >= hold.until:
            return None
        return hold.term

    @contextlib.contextmanager
    def begun(self, shard: int, term: int) -> Iterator[Left]:
        """What is begun now for a shard; it is waited for before the shard is given up."""
        hold = self._holds.get(shard)
        if hold is None or hold.term != term:
            yield lambda: 0.0
            return
        hold.begun += 1
        try:
            yield lambda: self.left(shard, term)
        finally:
            hold.begun -= 1
            if hold.leaving is not None and not hold.begun:
                self._wake.set()

    def served(self) -> list[int]:
        """The shards that this process serves at this moment."""
        return sorted(shard for shard in self._holds if self.term(shard) is not None)

    def members(self) -> list[Member]:
        """Who is there, this process among them, by name."""
        live = {one.holder: one for one in self._known.live(self._clock()) if one.shard is None} | {self.me: self._me}
        return sorted(map(_member, live.values()), key=lambda one: (one.instance, one.identity))

    def holders(self) -> dict[int, Member]:
        """Who holds which shard, as far as that is seen from here."""
        leases = (one for one in self._held() if one.shards == self.shards)
        return {one.shard: _member(one) for one in leases if one.shard is not None}

    def holder(self, key: str) -> Member | None:
        """Who holds the shard of a key, also among replicas that divide into another number of shards."""
        leases = (one for one in self._held() if one.shards and one.shard == shard_of(key, one.shards))
        return next((_member(one) for one in leases), None)

    def _held(self) -> list[Lease]:
        now = self._clock()
        own = [hold.lease for hold in self._holds.values() if now < hold.until]
        others = (one for one in self._known.live(now) if one.shard is not None and one.holder not in {"", self.me})
        return sorted([*own, *others], key=lambda one: one.name)

    def trouble(self) -> str:
        """Why this process could serve nothing, however many shards were left to it; empty while it could."""
        if self._well is not None and self._clock() - self._well <= TROUBLED_SECONDS:
            return ""
        return "; ".join(sorted(self._told)) or "no Leases have been read and written yet"

    async def run(self, stop: asyncio.Event) -> None:
        """Hold what is ours to hold until `stop` is set, then give all of it up."""
        ended = asyncio.create_task(stop.wait())
        ended.add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set():
                began = self._clock()
                await self.round()
                await self._pause(began)
            await self._leave()
        finally:
            for task in (ended, self._beginning):
                if task is not None:
                    task.cancel()

    async def round(self) -> None:
        """Renew what is held, look at what the others hold, and take or give up what should change hands."""
        self._wake.clear()
        await asyncio.gather(self._renew_member(), *(self._renew(hold) for hold in list(self._holds.values())))
        self._forget_what_ended()
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                await self._look()
                await self._balance()
        except TimeoutError:
            self._tell(TimedOutError(f"no answers within {ROUND_SECONDS:g} s"))
        except ApiError as error:
            self._tell(error)
        if not self._trouble:
            self._well = self._clock()
        self._told, self._trouble = self._trouble, set()
        self._begin()

    async def _pause(self, began: float) -> None:
        """Until the next renewal is due, or earlier when somebody's Lease dies or something is to be given up."""
        now = self._clock()
        others = (one for one in self._known.seen.values() if one.lease.holder != self.me)
        until = min([began + RENEW_SECONDS, *(one.expires() for one in others if one.is_held(now))])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(_SOONEST, until - now))

    # Renewing

    async def _renew_member(self) -> None:
        lease = self._lease_of_member()
        try:
            self._member = await self._store.write(lease)
        except (ConflictError, NotFoundError) as error:
            self._member = self._me  # by the next look
            self._doubt(lease, error)
        except ApiError as error:
            self._tell(error)

    def _lease_of_member(self) -> Lease:
        if self._member.version:
            return self._member
        found = self._known.seen.get(self._me.name)
        if found is None:
            return Lease(name=self._me.name, shard=None, holder="").held_by(self._me, self._store.now())
        if found.lease.holder not in {"", self.me} and self._clock() < found.expires():
            log.warning("another process had this name of late; give each one its own INSTANCE", extra=self._named())
        return found.lease.held_by(self._me, self._store.now())

    def _named(self) -> dict[str, str]:
        return {"instance": self._me.instance}

    async def _renew(self, hold: _Hold) -> None:
        """A renewal after belief had ended begins anew: somebody may have held the shard in between."""
        began = self._clock()
        try:
            lease = await self._store.write(hold.lease)
        except ConflictError:
            return  # the next look tells who wrote it
        except NotFoundError:
            hold.until = began
            return
        except ApiError as error:
            self._tell(error)
            return
        ended = self._clock()
        self._watcher.renewed(ended - began)
        if ended >= hold.until:
            hold.term = None
        hold.lease, hold.until = lease, began + BELIEF_SECONDS

    def _forget_what_ended(self) -> None:
        """Belief that ended comes back in a new term only, and a Lease that has run out is not ours to renew."""
        now = self._clock()
        for shard, hold in list(self._holds.items()):
            if now >= hold.until:
                hold.term = None
            if now >= hold.until + LEASE_SECONDS:
                self._drop(shard, "lost")

    # Looking

    async def _look(self) -> None:
        leases = await self._store.all()
        self._known.look(leases, self._clock())
        self._hidden -= self._known.seen.keys()
        found = {lease.shard: lease for lease in leases if lease.shard is not None}
        for shard, hold in list(self._holds.items()):
            lease = found.get(shard)
            if lease is None or lease.holder != self.me:
                self._drop(shard, "lost")
            else:
                hold.lease = replace(hold.lease, version=lease.version)  # what others changed there is written anew

    def _live(self) -> list[Lease]:
        return list(self._known.live(self._clock()))

    # Taking and giving up

    async def _balance(self) -> None:
        live = self._live()
        members = {one.holder for one in live if one.shard is None and one.shards == self.shards} | {self.me}
        holders = {lease.shard: lease.holder for lease in live if lease.shard is not None}
        plan = assign(self.shards, members, holders)
        await self._give_up({shard for shard, hold in self._holds.items() if plan.get(shard) != self.me})
        free = [shard for shard, member in plan.items() if member == self.me and self._is_free(shard, holders)]
        if free and self._clock() >= self._shy_until and not self._others_divide(live):
            await self._take(free)
        await self._bury(members)

    def _is_free(self, shard: int, holders: Mapping[int, str]) -> bool:
        """Also one that is ours by its Lease and not by what we know: a call whose answer was lost."""
        return shard not in self._holds and holders.get(shard, self.me) == self.me

    def _others_divide(self, live: list[Lease]) -> bool:
        """Whether somebody holds a shard of another number of shards; the first to serve goes on, until it ends."""
        return any(one.shard is not None and one.shards != self.shards and one.holder != self.me for one in live)

    async def _take(self, shards: list[int]) -> None:
        """A Lease that is dead or in nobody's hands; what somebody else was quicker to take is left to them."""
        taken = [hold for hold in await asyncio.gather(*map(self._taken, shards)) if hold is not None]
        if not taken:
            return
        self._known.look(await self._store.all(), self._clock())
        if self._others_divide(live := self._live()):
            await asyncio.gather(*(self._release(hold) for hold in taken))
            self._yield_to(max(lease.shards for lease in live))
            return
        for hold in taken:
            if hold.lease.shard is not None:
                self._holds[hold.lease.shard] = hold
                self._watcher.passed("taken")
                log.info("shard taken", extra={"lease": hold.lease.name})

    def _yield_to(self, shards: int) -> None:
        """Both sides may have yielded; then those who divide into fewer wait longer, or they would meet for ever."""
        log.warning("others divide the scalers into another number of shards; waiting until they have ended")
        self._shy_until = self._clock() + (2 * RENEW_SECONDS if self.shards < shards else 0.0)

    async def _taken(self, shard: int) -> _Hold | None:
        seen = self._known.seen.get(self._store.shard(shard))
        found = Lease(name=self._store.shard(shard), shard=shard, holder="") if seen is None else seen.lease
        began = self._clock()
        try:
            lease = await self._store.write(found.held_by(self._me, self._store.now()))
        except (ConflictError, NotFoundError) as error:
            self._doubt(found, error)
            return None
        except ApiError as error:
            self._tell(error)
            return None
        return _Hold(lease=lease, until=began + BELIEF_SECONDS)

    async def _give_up(self, shards: set[int]) -> None:
        """Nothing new begins for them; those for which nothing runs any more are released."""
        now = self._clock()
        for shard, hold in self._holds.items():
            if shard not in shards:
                hold.leaving = None
            elif hold.leaving is None:
                hold.leaving = now
        await asyncio.gather(*(self._give_up_one(shard) for shard in shards))

    async def _give_up_one(self, shard: int) -> None:
        hold = self._holds[shard]
        if not hold.begun:
            self._drop(shard, "released")
            await self._release(hold)
        elif hold.leaving is not None and self._clock() - hold.leaving >= DRAIN_SECONDS:
            log.warning("a shard's ticks do not end; its Lease runs out", extra={"lease": hold.lease.name})
            self._drop(shard, "expired")

    async def _release(self, hold: _Hold) -> None:
        """One that cannot be released runs out."""
        with contextlib.suppress(ApiError):
            await self._store.write(hold.lease.released())

    def _drop(self, shard: int, what: str) -> None:
        hold = self._holds.pop(shard)
        hold.until = self._clock()
        self._watcher.passed(what)
        log.info("shard %s", what, extra={"lease": hold.lease.name})

    # Beginning

    def _begin(self) -> None:
        """In a task of its own, since renewals must go on meanwhile."""
        if self._beginning is not None and not self._beginning.done():
            return
        fresh = {shard: hold for shard, hold in self._holds.items() if hold.term is None and hold.leaving is None}
        self._beginning = asyncio.create_task(self._begin_all(fresh)) if fresh else None

    async def _begin_all(self, fresh: Mapping[int, _Hold]) -> None:
        if not await self._on_begin():
            return  # the next round tries again
        for shard, hold in fresh.items():
            if self._holds.get(shard) is hold and self._clock() < hold.until:
                hold.term = next(self._terms)

    # Ending

    async def _leave(self) -> None:
        """First the membership, so that nobody leaves the shards to this process; then they."""
        with contextlib.suppress(ApiError):
            if self._member.version:
                await self._store.delete(self._member)
        for shard, hold in list(self._holds.items()):
            hold.leaving = self._clock()
            if hold.begun:
                self._drop(shard, "expired")
        holds = list(self._holds.values())
        for shard in list(self._holds):
            self._drop(shard, "released")
        await asyncio.gather(*(self._release(hold) for hold in holds))

    async def _bury(self, members: set[str]) -> None:
        """Leases of members long dead, and of shards that are no more; the first of the living does it."""
        if min(members) != self.me:
            return
        now = self._clock()
        for seen in list(self._known.seen.values()):
            is_left = seen.lease.shard is None or seen.lease.shard >= self.shards
            if is_left and seen.lease.holder != self.me and now >= seen.expires() + BURY_SECONDS:
                with contextlib.suppress(ApiError):
                    await self._store.delete(seen.lease)
                    log.info("a dead Lease was removed", extra={"lease": seen.lease.name})

    def _doubt(self, lease: Lease, error: ApiError) -> None:
        """Somebody was first, as a rule. But a Lease that cannot be made once more will never be."""
        if lease.version:
            return
        if isinstance(error, NotFoundError):
            self._tell(error, "; create that namespace, or correct LEASE_NAMESPACE")
        elif lease.name in self._hidden:
            words = f"Lease {lease.name} is there without the label of ours, so it cannot be told who holds it"
            self._tell(ApiError(words), "; delete it")
        self._hidden.add(lease.name)

    def _tell(self, error: ApiError, cure: str = "") -> None:
        """Once for as long as it is the same."""
        if isinstance(error, ForbiddenError):
            cure = "; grant list, create, update and delete on leases there"
        words = f"{error}{cure}"
        if words not in self._told | self._trouble:
            log.warning("Leases cannot be read or written%s", cure, extra={"error": str(error)})
        self._trouble.add(words)


def _member(lease: Lease) -> Member:
    return Member(identity=lease.holder, instance=lease.instance, address=lease.address)
