"""How do replicas leave word for each other? By Leases at the API server: one for each shard, one for each member.

A Lease says who holds it; whoever holds it writes it again and again, and whoever writes names the version that it
read, so that of two writers one is refused. What makes a Lease live or dead is told by `controller.sightings`; the
times in it are for people, since nobody compares the clocks of two machines. Must not wait, nor decide anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from controller.kubernetes_api import Json, KubernetesApi
from controller.spec import GROUP

API = "coordination.k8s.io/v1"
LABEL = f"{GROUP}/leases"
"""On every Lease of replicas that belong together: the prefix of their names."""

SHARDS = f"{GROUP}/shards"
ADDRESS = f"{GROUP}/address"
INSTANCE = f"{GROUP}/instance"
_SHARD, _MEMBER = "-shard-", "-member-"
_NAME = 253
"""So long a Lease's name may be, and a label's value 63."""

RELEASED_SECONDS = 1
"""The duration of a Lease that its holder gave up; the API server takes none of 0."""

_MOST = 2**31 - 1
"""The largest number that a Lease takes."""

_DIGITS = 9
"""So many a number of ours has at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One Lease. `version`: resource version, empty while it is not there yet. `shard`: None for a member's.

    `holder`: empty where nobody holds it. `shards`: into how many its writer divides. `address`: HOST:PORT of its
    writer's HTTP API, or empty. `acquired`: RFC 3339. `transitions`: how often it went from one to another.
    """

    name: str
    shard: int | None
    holder: str
    instance: str = ""
    address: str = ""
    shards: int = 1
    seconds: int = 0
    acquired: str = ""
    transitions: int = 0
    version: str = ""

    def held_by(self, other: Lease, now: str) -> Lease:
        """The Lease in the hands of whoever wrote `other`, from `now` on."""
        return replace(
            other,
            name=self.name,
            shard=self.shard,
            acquired=now,
            transitions=min(self.transitions + (self.version != ""), _MOST),
            version=self.version,
        )

    def released(self) -> Lease:
        """The Lease in nobody's hands."""
        return replace(self, holder="", instance="", address="", seconds=RELEASED_SECONDS)


class Leases:
    """The Leases of one prefix in one namespace. Every method raises ApiError.

    `clock`: for the times that people read.
    """

    def __init__(self, api: KubernetesApi, *, namespace: str, prefix: str, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._root = f"/apis/{API}/namespaces/{namespace}/leases"
        self._namespace = namespace
        self._prefix = prefix
        self._clock = clock

    def shard(self, number: int) -> str:
        """The name of a shard's Lease."""
        return f"{self._prefix}{_SHARD}{number}"

    def member(self, instance: str) -> str:
        """The name of a member's Lease, as Kubernetes takes names."""
        plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in instance.lower())
        return f"{self._prefix}{_MEMBER}{plain}"[:_NAME].rstrip("-")

    def now(self) -> str:
        """As a Lease holds times."""
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def all(self) -> list[Lease]:
        """Every Lease as of now: a list that the API server answers only after asking its store."""
        found = await self._api.list_all(self._root, {"labelSelector": f"{LABEL}={self._label()}"})
        leases = (self._read(body) for body in found.items)
        return [lease for lease in leases if lease is not None]

    async def write(self, lease: Lease) -> Lease:
        """The Lease as it is then. ConflictError when somebody else was first, NotFoundError when it is gone."""
        if lease.version:
            return self._known(await self._api.put(f"{self._root}/{lease.name}", self._body(lease)), lease)
        return self._known(await self._api.post(self._root, self._body(lease)), lease)

    async def delete(self, lease: Lease) -> None:
        """Take it away, unless somebody wrote it meanwhile (ConflictError)."""
        await self._api.delete(f"{self._root}/{lease.name}", version=lease.version)

    def _label(self) -> str:
        return self._prefix[:63]

    def _body(self, lease: Lease) -> Json:
        annotations = {SHARDS: str(lease.shards), INSTANCE: lease.instance, ADDRESS: lease.address}
        version = {"resourceVersion": lease.version} if lease.version else {}
        times = {"acquireTime": lease.acquired, "renewTime": self.now()} if lease.holder else {}
        return {
            "apiVersion": API,
            "kind": "Lease",
            "metadata": {
                "name": lease.name,
                "namespace": self._namespace,
                "labels": {LABEL: self._label()},
                "annotations": {name: text for name, text in annotations.items() if text},
                **version,
            },
            "spec": {
                "holderIdentity": lease.holder or None,
                "leaseDurationSeconds": max(1, lease.seconds) if lease.holder else RELEASED_SECONDS,
                "leaseTransitions": lease.transitions,
                **times,
            },
        }

    def _known(self, body: Json, written: Lease) -> Lease:
        return replace(written, version=body["metadata"]["resourceVersion"])

    def _read(self, body: Json) -> Lease | None:
        """None for one that has our label and none of our names."""
        metadata, spec = body["metadata"], body.get("spec") or {}
        name, annotations = metadata["name"], metadata.get("annotations") or {}
        rest = name.removeprefix(self._prefix)
        number = rest.removeprefix(_SHARD)
        is_shard = rest.startswith(_SHARD) and _is_number(number)
        if not is_shard and not rest.startswith(_MEMBER):
            return None
        return Lease(
            name=name,
            shard=int(number) if is_shard else None,
            holder=spec.get("holderIdentity") or "",
            instance=annotations.get(INSTANCE, ""),
            address=annotations.get(ADDRESS, ""),
            shards=_number(annotations.get(SHARDS)),
            seconds=int(spec.get("leaseDurationSeconds") or 0),
            acquired=spec.get("acquireTime") or "",
            transitions=int(spec.get("leaseTransitions") or 0),
            version=metadata["resourceVersion"],
        )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _number(text: Any) -> int:  # noqa: ANN401  # whatever somebody wrote there
    return int(text) if isinstance(text, str) and len(text) <= _DIGITS and _is_number(text) else 0
