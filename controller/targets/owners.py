"""Who else sets the size of a target? The HorizontalPodAutoscalers, KEDA's among them.

Two autoscalers on one target fight without end, so the cycle asks here before it writes. It must not know other
PredictiveScalers: the registry does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.kubernetes_api import ApiError, ForbiddenError, Json, KubernetesApi, UnauthorizedError
from controller.ports import TargetError, TargetReason
from controller.spec import TargetRef

MAX_AGE = timedelta(seconds=30)
KEDA_LABEL = "scaledobject.keda.sh/name"

_Key = tuple[str, str, str, str]
"""Namespace, API group, kind, name: the version does not matter, since one object has many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """Who owned what at `taken`, or why that is not known."""

    taken: datetime
    owners: Mapping[_Key, str]
    error: TargetError | None = None

    def serves(self, now: datetime, max_age: timedelta) -> bool:
        """Whether it need not be taken again; a failure holds for all who ask at the same moment."""
        return self.taken == now if self.error else timedelta(0) <= now - self.taken < max_age


class AutoscalerOwners:
    """`Owners` among the HorizontalPodAutoscalers of `namespaces` (none: of all), listed at most once in `max_age`."""

    def __init__(self, api: KubernetesApi, *, namespaces: Sequence[str] = (), max_age: timedelta = MAX_AGE) -> None:
        self._api = api
        scopes = [f"/namespaces/{namespace}" for namespace in namespaces] or [""]
        self._paths = [f"/apis/autoscaling/v2{scope}/horizontalpodautoscalers" for scope in scopes]
        self._max_age = max_age
        self._snapshot: _Snapshot | None = None
        self._listing = asyncio.Lock()

    async def owner(self, namespace: str, ref: TargetRef, now: datetime) -> str | None:
        """The autoscaler in words, or None. Raises TargetError when it cannot be known."""
        async with self._listing:
            if self._snapshot is None or not self._snapshot.serves(now, self._max_age):
                self._snapshot = await self._taken(now)
            snapshot = self._snapshot
        if snapshot.error:
            raise TargetError(snapshot.error.reason, str(snapshot.error))
        return snapshot.owners.get((namespace, _group(ref.api_version), ref.kind, ref.name))

    async def _taken(self, now: datetime) -> _Snapshot:
        try:
            found = [one for path in self._paths for one in (await self._api.list_all(path)).items]
        except ApiError as error:
            return _Snapshot(taken=now, owners={}, error=_unknown(error))
        return _Snapshot(taken=now, owners={_key(autoscaler): _words(autoscaler) for autoscaler in found})


def _unknown(error: ApiError) -> TargetError:
    what = "cannot see whether another autoscaler owns the target"
    if isinstance(error, ForbiddenError | UnauthorizedError):
        return TargetError(TargetReason.FORBIDDEN, f"{what}; grant list on horizontalpodautoscalers by RBAC: {error}")
    return TargetError(TargetReason.UNAVAILABLE, f"{what}: {error}")


def _key(autoscaler: Json) -> _Key:
    target = autoscaler["spec"]["scaleTargetRef"]
    return autoscaler["metadata"]["namespace"], _group(target.get("apiVersion", "")), target["kind"], target["name"]


def _words(autoscaler: Json) -> str:
    metadata = autoscaler["metadata"]
    words = f'HorizontalPodAutoscaler "{metadata["name"]}"'
    scaled_object = (metadata.get("labels") or {}).get(KEDA_LABEL)
    return f'KEDA\'s ScaledObject "{scaled_object}" (through {words})' if scaled_object else words


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]
