"""How does this process share the work with its replicas? By Leases where the settings name a place for them.

Without one it serves everything, and needs no permission for Leases. Must not know what serving is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from controller.election import CALL_SECONDS, DRAIN_SECONDS, Election, Member
from controller.kubernetes_api import KubernetesApi
from controller.leases import Lease, Leases
from controller.metrics import Metrics
from controller.settings import Settings
from controller.shards import Alone, Serving, Shards
from controller.sightings import LEASE_SECONDS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Where a process stands among its replicas. `run(stop)`: take part until `stop`, then leave.

    `trouble`: why it could serve nothing, whatever was left to it; empty while it could. `group`: who these replicas
    are among all controllers.
    """

    me: Member
    shards: int
    serving: Serving
    members: Callable[[], list[Member]]
    holders: Callable[[], Mapping[int, Member]]
    run: Callable[[asyncio.Event], Awaitable[object]]
    trouble: Callable[[], str] = lambda: ""
    group: str = ""


@contextlib.asynccontextmanager
async def joined(
    settings: Settings,
    metrics: Metrics,
    *,
    on_begin: Callable[[], Awaitable[bool]],
    number: str,
    clock: Callable[[], datetime],
    uptime: Callable[[], float],
) -> AsyncIterator[Membership]:
    """Connections of its own: a renewal waits for no write of a tick.

    `on_begin`: makes what is known as new as the cluster. `number`: told apart by it are processes that have the same
    name one after the other. `uptime`: seconds, going on while the machine sleeps.
    """
    instance = settings.instance or socket.gethostname()
    me = Member(identity=f"{instance}_{number}", instance=instance, address=settings.peer_address)
    if not settings.lease_namespace:
        if settings.shards > 1 or settings.peer_address:
            log.warning("no Leases, so every replica serves everything; set LEASE_NAMESPACE where there are several")
        yield _alone(me)
        return
    async with await KubernetesApi.connect(call_seconds=CALL_SECONDS) as api:
        leases = Leases(api, namespace=settings.lease_namespace, prefix=settings.lease_name, clock=clock)
        election = Election(
            leases,
            me=_lease(me, leases.member(instance), settings.shards),
            on_begin=on_begin,
            watcher=metrics,
            clock=uptime,
        )
        metrics.count_shards(lambda: len(election.served()))
        yield Membership(
            me=me,
            shards=settings.shards,
            serving=Shards(election, uptime),
            members=election.members,
            holders=election.holders,
            run=election.run,
            trouble=election.trouble,
            group=f"{settings.lease_namespace}/{settings.lease_name}",
        )


def _alone(me: Member) -> Membership:
    async def wait(stop: asyncio.Event) -> None:
        await stop.wait()

    return Membership(
        me=me,
        shards=1,
        serving=Alone(me),
        members=lambda: [me],
        holders=lambda: {0: me},
        run=wait,
        group=f"no Leases/{me.instance}",
    )


def _lease(me: Member, name: str, shards: int) -> Lease:
    return Lease(
        name=name,
        shard=None,
        holder=me.identity,
        instance=me.instance,
        address=me.address,
        shards=shards,
        seconds=round(LEASE_SECONDS),
    )


async def drained(work: Awaitable[object], stop: asyncio.Event, done: asyncio.Event) -> None:
    """Await `work`, which ends after `stop`; `done` is set with its end, at the latest DRAIN_SECONDS after `stop`."""

    async def late() -> None:
        await stop.wait()
        await asyncio.sleep(DRAIN_SECONDS)
        done.set()

    timer = asyncio.create_task(late())
    try:
        await work
    finally:
        timer.cancel()
        done.set()
