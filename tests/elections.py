"""Replicas in one process: elections over one store, in time that is turned by hand.

`Store` keeps Leases as the API server does: one writer of two is refused, and a list is as of now. A `Line` is one
replica's way to it, which may be down, stand still, or lose answers after the store has taken what was asked.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from controller.election import Election
from controller.election import Store as AnyStore
from controller.kubernetes_api import (
    ConflictError,
    ForbiddenError,
    KubernetesApi,
    Listing,
    NotFoundError,
    TimedOutError,
)
from controller.leases import LABEL, Lease, Leases
from controller.sightings import LEASE_SECONDS
from tests.builders import NOW


@dataclass(slots=True)
class Store:
    """The Leases by name. `now`: the true time, in seconds."""

    now: float = 0.0
    leases: dict[str, Lease] = field(default_factory=dict)
    versions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    on_change: Callable[[], None] = lambda: None

    def write(self, lease: Lease) -> Lease:
        found = self.leases.get(lease.name)
        if lease.version and found is None:
            raise NotFoundError(lease.name)
        if (found.version if found else "") != lease.version:
            raise ConflictError(lease.name)
        self.leases[lease.name] = replace(lease, version=str(next(self.versions)))
        self.on_change()
        return self.leases[lease.name]


@dataclass(slots=True)
class Line:
    """What `controller.leases.Leases` is to one replica. Each call gives way to others before and after.

    `seconds`: so long the answer to a write takes."""

    store: Store
    is_down: bool = False
    is_frozen: bool = False
    seconds: float = 0.0
    lost_answers: Callable[[], bool] = lambda: False
    calls: int = 0

    def shard(self, number: int) -> str:
        return f"ps-shard-{number}"

    def member(self, instance: str) -> str:
        return f"ps-member-{instance}"

    def now(self) -> str:
        return "not looked at"

    async def all(self) -> list[Lease]:
        await self._way()
        found = list(self.store.leases.values())
        await self._back()
        return found

    async def write(self, lease: Lease) -> Lease:
        await self._way()
        written = self.store.write(lease)
        self.store.now += self.seconds
        await self._back()
        return written

    async def delete(self, lease: Lease) -> None:
        await self._way()
        found = self.store.leases.get(lease.name)
        if found is None or found.version != lease.version:
            raise ConflictError(lease.name)
        del self.store.leases[lease.name]
        await self._back()

    async def _way(self) -> None:
        self.calls += 1
        await self._thawed()
        if self.is_down:
            raise TimedOutError("no answer")

    async def _thawed(self) -> None:
        """A process that is stopped sends late and hears late."""
        await asyncio.sleep(0)
        while self.is_frozen:  # noqa: ASYNC110  # in the time of the test there is nothing to wait for
            await asyncio.sleep(0)

    async def _back(self) -> None:
        await self._thawed()
        if self.is_down or self.lost_answers():
            raise TimedOutError("the answer was lost")


@dataclass(slots=True)
class Heard:
    """A watcher that remembers."""

    passes: list[str] = field(default_factory=list)
    renewals: int = 0

    def renewed(self, seconds: float) -> None:
        self.renewals += 1

    def passed(self, what: str) -> None:
        self.passes.append(what)


class Replica:
    """One election. `offset`: of its clock to the true time. `begins`: whether a shard can begin."""

    def __init__(
        self, name: str, store: Store, *, shards: int = 1, offset: float = 0.0, way: AnyStore | None = None
    ) -> None:
        self.name = name
        self.line = Line(store)
        self.heard = Heard()
        self.begins = True
        me = Lease(
            name=self.line.member(name),
            shard=None,
            holder=f"{name}_1",
            instance=name,
            address=f"{name}:8080",
            shards=shards,
            seconds=round(LEASE_SECONDS),
        )
        self.election = Election(
            way or self.line, me=me, on_begin=self._begin, watcher=self.heard, clock=lambda: store.now + offset
        )

    async def _begin(self) -> bool:
        return self.begins

    async def round(self) -> None:
        """One round, and time for what it took to begin."""
        await self.election.round()
        for _ in range(3):
            await asyncio.sleep(0)

    def served(self) -> list[int]:
        return self.election.served()


class World:
    """Replicas that go round every other second."""

    def __init__(self, *replicas: Replica, store: Store) -> None:
        self.store = store
        self.replicas = list(replicas)
        self.frozen: set[str] = set()

    @classmethod
    def of(cls, *names: str, shards: int = 1) -> World:
        store = Store()
        made = [Replica(name, store, shards=shards, offset=1000.0 * place) for place, name in enumerate(names)]
        return cls(*made, store=store)

    def __getitem__(self, name: str) -> Replica:
        return next(one for one in self.replicas if one.name == name)

    async def go(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass: each that is not frozen goes round once a step."""
        for _ in range(round(seconds / step)):
            self.store.now += step
            for one in self.replicas:
                if one.name not in self.frozen:
                    await one.round()

    def served(self) -> dict[str, list[int]]:
        return {one.name: one.served() for one in self.replicas}

    def leader(self) -> str:
        """Who serves shard 0; there must be one and no more."""
        (found,) = [one.name for one in self.replicas if 0 in one.served()]
        return found

    def others(self, name: str) -> list[Replica]:
        return [one for one in self.replicas if one.name != name]


class Api:
    """Of the API server what `controller.leases` needs: Leases as JSON, and verbs that may be forbidden.

    `is_there`: whether the namespace is.
    """

    def __init__(self) -> None:
        self.leases: dict[str, Any] = {}
        self.forbidden: set[str] = set()
        self.is_there = True
        self._versions = itertools.count(1)

    def times(self, name: str) -> str:
        """The day and hour of the last renewal, as written."""
        return str(self.leases[name]["spec"]["renewTime"])[:13]

    def body(self, name: str, holder: str, *, seconds: int, transitions: int = 0) -> dict[str, Any]:
        """A Lease that another program wrote."""
        spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": transitions}
        metadata = {"name": name, "labels": {LABEL: "ps"}, "resourceVersion": str(next(self._versions))}
        return {"metadata": metadata, "spec": spec}

    def touch(self, name: str) -> None:
        """Somebody wrote it."""
        self.leases[name]["metadata"]["resourceVersion"] = str(next(self._versions))

    async def list_all(self, path: str, query: dict[str, str]) -> Listing:
        self._allow("list")
        label, _, wanted = query["labelSelector"].partition("=")
        found = [one for one in self.leases.values() if one["metadata"].get("labels", {}).get(label) == wanted]
        return Listing(items=deepcopy(found), resource_version="1")

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._allow("create")
        if not self.is_there:
            raise NotFoundError("the namespace is not there")
        if body["metadata"]["name"] in self.leases:
            raise ConflictError("it exists already")
        return self._kept(body)

    async def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._allow("update")
        found = self.leases.get(body["metadata"]["name"])
        if found is None:
            raise NotFoundError("it is gone")
        if found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ConflictError("it was changed")
        return self._kept(body)

    def _allow(self, verb: str) -> None:
        if verb in self.forbidden:
            raise ForbiddenError(f"the ServiceAccount may not {verb} leases")

    def _kept(self, body: dict[str, Any]) -> dict[str, Any]:
        self.leases[body["metadata"]["name"]] = deepcopy(body)
        self.touch(body["metadata"]["name"])
        return deepcopy(self.leases[body["metadata"]["name"]])


def written(*names: str) -> tuple[World, Api, dict[str, datetime]]:
    """Replicas whose Leases are JSON at an API server; and what the wall clock of each shows."""
    store, api, walls = Store(), Api(), dict.fromkeys(names, NOW)

    def way(name: str) -> Leases:
        return Leases(cast("KubernetesApi", api), namespace="scaling", prefix="ps", clock=lambda: walls[name])

    made = [Replica(name, store, offset=1000.0 * place, way=way(name)) for place, name in enumerate(names)]
    return World(*made, store=store), api, walls
