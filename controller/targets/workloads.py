"""How many replicas of a workload are ready, and who writes its size? By a look at its own object, once in a while.

A Scale tells neither. The object is ten times as large, so it is read at most every LOOK_SECONDS; nothing is decided by
it. Only the kinds of apps/v1 are looked at, since the chart grants `get` on these alone (rbac.workloads). What may not
be seen is not known, and everything goes on. It must not be asked for a size.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from controller.kubernetes_api import ApiError, Json, KubernetesApi
from controller.spec import TargetRef
from controller.targets.claims import Field

LOOK_SECONDS = 30.0
PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "ReplicaSet": "replicasets"}
"""The kinds that are looked at, all of the group apps, and what RBAC calls them."""

GROUP = "apps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What an object tells of itself. `ready`: of its replicas; None where it is not known. `managers`: of its size."""

    ready: int | None = None
    managers: tuple[str, ...] = ()


UNSEEN = Look()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """`taken`: in loop time, seconds."""

    look: Look
    taken: float


class Workloads:
    """The objects of workloads, each looked at no sooner than `seconds` after the last time."""

    def __init__(self, api: KubernetesApi, *, seconds: float = LOOK_SECONDS) -> None:
        self._api = api
        self._seconds = seconds
        self._known: dict[str, _Known] = {}

    async def look(self, namespace: str, ref: TargetRef, *, now: bool = False) -> Look:
        """What is known of it; `now`: by an object that is read now. Never raises for an answer of the API server."""
        path = _path(namespace, ref)
        if path is None:
            return UNSEEN
        known = self._known.get(path)
        if now or known is None or _loop_time() - known.taken >= self._seconds:
            known = self._known[path] = _Known(
                look=await self._taken(path, Field.of(namespace, ref)), taken=_loop_time()
            )
        return known.look

    async def _taken(self, path: str, field: Field) -> Look:
        try:
            body = await self._api.get(path)
        except ApiError:
            return UNSEEN
        return Look(ready=_ready(body), managers=field.managers(body))


def _path(namespace: str, ref: TargetRef) -> str | None:
    group, _, version = ref.api_version.rpartition("/")
    plural = PLURALS.get(ref.kind)
    return f"/apis/{group}/{version}/namespaces/{namespace}/{plural}/{ref.name}" if plural and group == GROUP else None


def _ready(body: Json) -> int | None:
    """A status of none leaves the count out; an object that has no status yet tells nothing."""
    status = body.get("status")
    return int(status.get("readyReplicas", 0)) if status else None


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
