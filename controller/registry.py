"""Which PredictiveScalers exist, and what do they ask for? The cluster's objects, parsed once a generation.

Their statuses are kept as new as the watch brings them: whoever takes a scaler over from another replica goes on from
there, and whoever is asked about a scaler that another replica decides for answers from there. Lives on one event
loop: whoever learns of a change elsewhere hands it over. Must not act on anything.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.aws_spec import GroupRef
from controller.spec import AnyTarget, ScalerSpec, SpecError, parse

STATUS_MANAGER = "predictive-scaler/"
"""What the field managers begin with as which controllers write statuses: those of the same Leases have one name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaler:
    """One PredictiveScaler. `spec` is the error that refused it when it cannot be used.

    `status`: the newest that came; what whoever begins to decide goes on from. `created`: RFC 3339. `version`: the
    resource version, which grows with every write (comparable as a number, so Kubernetes 1.35 on); None where unknown.
    `writers`: which controllers wrote in the status, each with when it last did.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    created: str
    spec: ScalerSpec | SpecError
    status: Mapping[str, Any]
    version: int | None = None
    writers: frozenset[tuple[str, str]] = frozenset()

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


def read(body: Mapping[str, Any]) -> Scaler:
    """The object as the API server gave it."""
    metadata = body["metadata"]
    try:
        spec: ScalerSpec | SpecError = parse(body.get("spec") or {})
    except SpecError as error:
        spec = error
    return Scaler(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 1)),
        created=metadata.get("creationTimestamp", ""),
        spec=spec,
        status=body.get("status") or {},
        version=version_of(body),
        writers=writers_of(body),
    )


def version_of(body: Mapping[str, Any]) -> int | None:
    """The resource version as a number."""
    return _version(body["metadata"])


def writers_of(body: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """(who, when) of the controllers that wrote in the status, by the object's managedFields; when is to the second."""
    return frozenset(
        (sys.intern(entry["manager"].removeprefix(STATUS_MANAGER)), entry.get("time") or "")
        for entry in body["metadata"].get("managedFields") or ()
        if entry.get("subresource") == "status" and entry.get("manager", "").startswith(STATUS_MANAGER)
    )


def _version(metadata: Mapping[str, Any]) -> int | None:
    text = metadata.get("resourceVersion", "")
    return int(text) if text.isascii() and text.isdecimal() else None


class Registry:
    """The scalers by uid."""

    def __init__(self) -> None:
        self._scalers: dict[str, Scaler] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._owners: dict[_Target, Scaler] | None = None
        self._groups: dict[tuple[str, str], Scaler] | None = None

    def __len__(self) -> int:
        return len(self._scalers)

    def all(self) -> list[Scaler]:
        """Every scaler, in the order in which they were first seen."""
        return list(self._scalers.values())

    def apply(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """Take in one event of a watch; `kind` is ADDED, MODIFIED, DELETED, or None for what was there before."""
        if kind == "DELETED":
            self.discard(body["metadata"]["uid"])
        else:
            self.put(body)

    def put(self, body: Mapping[str, Any]) -> None:
        """Take in an object; of the same generation again, only a status that is not older than the one held."""
        metadata = body["metadata"]
        held = self._scalers.get(metadata["uid"])
        generation = int(metadata.get("generation", 1))
        if held is None or generation > held.generation:
            self._take(read(body))
        elif generation == held.generation and _is_as_new(version := _version(metadata), held.version):
            status = body.get("status") or {}
            self._scalers[held.uid] = replace(held, status=status, version=version, writers=writers_of(body))

    def _take(self, scaler: Scaler) -> None:
        self._scalers[scaler.uid] = scaler
        self._names[scaler.namespace, scaler.name] = scaler.uid
        self._owners = self._groups = None

    def discard(self, uid: str) -> None:
        """Forget an object."""
        gone = self._scalers.pop(uid, None)
        if gone is not None and self._names.get((gone.namespace, gone.name)) == uid:
            del self._names[gone.namespace, gone.name]
        self._owners = self._groups = None

    def uids(self) -> frozenset[str]:
        """The scalers known now, to hand to `sync` once a list that begins now has come."""
        return frozenset(self._scalers)

    def sync(self, bodies: Iterable[Mapping[str, Any]], known_before: frozenset[str]) -> list[str]:
        """Take in a complete list: a watch that had to start anew reports no deletions. Gives the uids that are gone.

        The list is as old as its beginning: what the watch brought since stays, what it took away does not come back.
        """
        listed = {body["metadata"]["uid"]: body for body in bodies}
        gone = sorted(known_before & self.uids() - listed.keys())
        deleted_meanwhile = known_before - self.uids()
        for uid in gone:
            self.discard(uid)
        for uid, body in listed.items():
            if uid not in deleted_meanwhile:
                self.put(body)
        return gone

    def named(self, namespace: str, name: str) -> Scaler | None:
        """The scaler of that name, if there is one."""
        return self._scalers.get(self._names.get((namespace, name), ""))

    def group(self, namespace: str, name: str) -> Scaler | None:
        """The scaler of the group that the pods of the scaler `name` run on: the first to say so, while it acts."""
        if self._groups is None:
            self._groups = _first_by_pods(self._scalers.values())
        return self._groups.get((namespace, name))

    def rival(self, scaler: Scaler) -> Scaler | None:
        """The scaler that owns the same target, if it is another: the first to come does."""
        target = _active_target(scaler)
        if target is None:
            return None
        first = self._by_target().get(target, scaler)
        return None if first.uid == scaler.uid else first

    def scaling(self, namespace: str, ref: AnyTarget) -> Scaler | None:
        """The scaler that scales a target, for scalers of this namespace: the first to come, while it acts."""
        return self._by_target().get(_target(namespace, ref))

    def _by_target(self) -> dict[_Target, Scaler]:
        if self._owners is None:
            self._owners = _first_by_target(self._scalers.values())
        return self._owners


def _is_as_new(version: int | None, held: int | None) -> bool:
    """Lists and the watch overtake each other; what has no number counts in the order in which it came."""
    return version is None or held is None or version >= held


_Target = tuple[str, str, str, str]
"""Namespace (of AWS the account), API group (of AWS the region), kind, name: of one object there are many versions."""


def precedence(first: Scaler, other: Scaler) -> str:
    """Which scaler goes before `other`, and why, in words."""
    is_near = first.namespace == other.namespace
    name = f'PredictiveScaler "{first.name}"' + ("" if is_near else f" in {first.namespace}")
    as_old = f"the first by {'name' if is_near else 'namespace'} of two as old"
    return f"{name}, {as_old if first.created == other.created else 'the older one'},"


def choice(first: Scaler, other: Scaler) -> str:
    """What a user may do about a target that both name, told to `other`, which `first` goes before."""
    words = f"delete {other.key} (this one) or {first.key}, or give one of them mode Observe"
    return f"one of the two is enough: {words}"


def seniority(scaler: Scaler) -> tuple[str, str, str]:
    """The lowest goes first: by age, which the API server tells to the second, and by name within one.

    An order that users can foresee, unlike that of uids.
    """
    return scaler.created, scaler.namespace, scaler.name


def _last_come_first(scalers: Iterable[Scaler]) -> list[Scaler]:
    return sorted(scalers, key=seniority, reverse=True)


def _first_by_target(scalers: Iterable[Scaler]) -> dict[_Target, Scaler]:
    return {target: scaler for scaler in _last_come_first(scalers) if (target := _active_target(scaler)) is not None}


def _first_by_pods(scalers: Iterable[Scaler]) -> dict[tuple[str, str], Scaler]:
    return {
        (scaler.namespace, scaler.spec.coordination.scaler): scaler
        for scaler in _last_come_first(scalers)
        if isinstance(scaler.spec, ScalerSpec) and scaler.spec.coordination and scaler.spec.mode.is_acting
    }


def _active_target(scaler: Scaler) -> _Target | None:
    spec = scaler.spec
    if isinstance(spec, SpecError) or not spec.mode.is_acting:
        return None
    return _target(scaler.namespace, spec.target)


def _target(namespace: str, ref: AnyTarget) -> _Target:
    if isinstance(ref, GroupRef):
        return ref.access.account, ref.access.region, ref.kind, ref.name
    return namespace, ref.api_version.rpartition("/")[0], ref.kind, ref.name
