"""Does this process serve that scaler, and since when? The scalers in shards, and the shards in the hands of replicas.

A scaler that coordinates with another is in the shard of that other, since both must be decided in one process. Must
not know how shards are come by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from controller.core.assignment import shard_of
from controller.election import Election, Member
from controller.fence import Left, always
from controller.registry import Scaler
from controller.sightings import LEASE_SECONDS
from controller.spec import ScalerSpec, SpecError


class Serving(Protocol):
    """Who serves what."""

    def shard(self, scaler: Scaler) -> int:
        """The shard that the scaler is in."""
        ...

    def term(self, scaler: Scaler) -> int | None:
        """The term in which this process serves the scaler now; None when it does not."""
        ...

    def begun(self, scaler: Scaler) -> AbstractContextManager[Left]:
        """Around what is begun for a scaler; gives for how long its results may be written."""
        ...

    def left(self, namespace: str, name: str) -> float:
        """For how many seconds this process may write for the scaler of that name, also one that is gone."""
        ...

    def holder(self, scaler: Scaler) -> Member | None:
        """Which replica serves the scaler; None when that is not known."""
        ...

    def forget(self, uid: str) -> None:
        """Drop what is held of a scaler that is gone."""
        ...


class Alone:
    """A `Serving` without replicas: everything is served here, always."""

    def __init__(self, me: Member) -> None:
        self._me = me

    def shard(self, scaler: Scaler) -> int:  # noqa: ARG002  # as any other
        """The only one."""
        return 0

    def term(self, scaler: Scaler) -> int | None:  # noqa: ARG002  # as any other
        """Always the same."""
        return 0

    def begun(self, scaler: Scaler) -> AbstractContextManager[Left]:
        """For ever."""
        return always(scaler)

    def left(self, namespace: str, name: str) -> float:  # noqa: ARG002  # as any other
        """For ever."""
        return math.inf

    def holder(self, scaler: Scaler) -> Member | None:  # noqa: ARG002  # as any other
        """Nobody else."""
        return self._me

    def forget(self, uid: str) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a scaler is. `spec`: what that was told by. `since`: from when on it is served there, if not always."""

    spec: ScalerSpec | SpecError
    shard: int
    since: float | None


class Shards:
    """A `Serving` by Leases. `clock`: that of the election.

    Who is given another shard by a change of its spec waits there for LEASE_SECONDS: the replica that served it may
    hear of the change later.
    """

    def __init__(self, election: Election, clock: Callable[[], float]) -> None:
        self._election = election
        self._clock = clock
        self._places: dict[str, _Place] = {}

    def shard(self, scaler: Scaler) -> int:
        """By its name, or by that of the scaler it coordinates with."""
        return self._place(scaler).shard

    def term(self, scaler: Scaler) -> int | None:
        """That of the shard."""
        place = self._place(scaler)
        if place.since is not None and self._clock() < place.since:
            return None
        return self._election.term(place.shard)

    @contextmanager
    def begun(self, scaler: Scaler) -> Iterator[Left]:
        """For as long as this process is sure of the shard in the term in which it was begun."""
        term = self.term(scaler)
        if term is None:
            yield lambda: 0.0
            return
        with self._election.begun(self._place(scaler).shard, term) as left:
            yield left

    def left(self, namespace: str, name: str) -> float:
        """By the name alone: what a scaler coordinated with is not known when it is gone."""
        shard = shard_of(f"{namespace}/{name}", self._election.shards)
        term = self._election.term(shard)
        return 0.0 if term is None else self._election.left(shard, term)

    def holder(self, scaler: Scaler) -> Member | None:
        """By the Leases, which may be seconds old."""
        return self._election.holder(key_of(scaler))

    def forget(self, uid: str) -> None:
        """Where it was."""
        self._places.pop(uid, None)

    def _place(self, scaler: Scaler) -> _Place:
        """Found anew when the spec changed only: this is asked ten times a second."""
        known = self._places.get(scaler.uid)
        if known is not None and known.spec is scaler.spec:
            return known
        shard = shard_of(key_of(scaler), self._election.shards)
        since = None if known is None else known.since
        if known is not None and known.shard != shard:
            since = self._clock() + LEASE_SECONDS
        place = self._places[scaler.uid] = _Place(spec=scaler.spec, shard=shard, since=since)
        return place


def key_of(scaler: Scaler) -> str:
    """What a scaler's shard is told by."""
    if isinstance(scaler.spec, ScalerSpec) and scaler.spec.coordination is not None:
        return f"{scaler.namespace}/{scaler.spec.coordination.scaler}"
    return scaler.key
