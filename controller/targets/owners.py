"""Who else sets the size of a target? The HorizontalPodAutoscalers, KEDA's among them, and who keeps it as Git has it.

Two autoscalers on one target fight without end, so the cycle asks here before it writes. It must not know other
PredictiveScalers: the registry does. What Git keeps is told by `controller.targets.claims`.

An autoscaler whose floor is the target owns nothing of it; KEDA does, which writes its own autoscalers as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.kubernetes_api import ApiError, ForbiddenError, Json, KubernetesApi, UnauthorizedError
from controller.ports import Owner, TargetError, TargetReason
from controller.spec import FLOOR_KIND, FloorRef, TargetRef
from controller.targets.claims import Claims, Field
from controller.targets.floors import Floor

MAX_AGE = timedelta(seconds=30)
KEDA_LABEL = "scaledobject.keda.sh/name"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """Who owned what at `taken`, or why that is not known; an autoscaler of KEDA's own is itself among the owned."""

    taken: datetime
    owners: Mapping[Field, Owner]
    error: TargetError | None = None

    def serves(self, now: datetime, max_age: timedelta) -> bool:
        """Whether it need not be taken again; a failure holds for all who ask at the same moment."""
        return self.taken == now if self.error else timedelta(0) <= now - self.taken < max_age


class AutoscalerOwners:
    """`Owners` among the HorizontalPodAutoscalers of `namespaces` (none: of all), listed at most once in `max_age`.

    `claims`: what was written to targets in Kubernetes.
    """

    def __init__(
        self,
        api: KubernetesApi,
        *,
        namespaces: Sequence[str] = (),
        max_age: timedelta = MAX_AGE,
        claims: Claims | None = None,
    ) -> None:
        self._api = api
        scopes = [f"/namespaces/{namespace}" for namespace in namespaces] or [""]
        self._paths = [f"/apis/autoscaling/v2{scope}/horizontalpodautoscalers" for scope in scopes]
        self._max_age = max_age
        self._claims = claims or Claims()
        self._snapshot: _Snapshot | None = None
        self._listing = asyncio.Lock()

    async def owner(
        self, namespace: str, ref: TargetRef | FloorRef, now: datetime, *, generation: int = 0
    ) -> Owner | None:
        """Who else does, or None. Raises TargetError when it cannot be known."""
        async with self._listing:
            if self._snapshot is None or not self._snapshot.serves(now, self._max_age):
                self._snapshot = await self._taken(now)
            snapshot = self._snapshot
        if snapshot.error:
            raise TargetError(snapshot.error.reason, str(snapshot.error))
        field = Field.of(namespace, ref)
        return snapshot.owners.get(field) or self._claims.owner(field, generation)

    async def _taken(self, now: datetime) -> _Snapshot:
        try:
            found = [one for path in self._paths for one in (await self._api.list_all(path)).items]
        except ApiError as error:
            return _Snapshot(taken=now, owners={}, error=_unknown(error))
        return _Snapshot(taken=now, owners={field: owner for one in found for field, owner in _owned(one)})


def _unknown(error: ApiError) -> TargetError:
    what = "cannot see whether another autoscaler owns the target"
    if isinstance(error, ForbiddenError | UnauthorizedError):
        return TargetError(TargetReason.FORBIDDEN, f"{what}; grant list on horizontalpodautoscalers by RBAC: {error}")
    return TargetError(TargetReason.UNAVAILABLE, f"{what}: {error}")


def _owned(autoscaler: Json) -> Iterator[tuple[Field, Owner]]:
    """The autoscaler's target is its own; and it is itself that of a ScaledObject which made it."""
    metadata, target = autoscaler["metadata"], autoscaler["spec"]["scaleTargetRef"]
    namespace, name = metadata["namespace"], metadata["name"]
    words = f'{FLOOR_KIND} "{name}"'
    scaled_object = (metadata.get("labels") or {}).get(KEDA_LABEL)
    below = TargetRef(api_version=target.get("apiVersion", ""), kind=target["kind"], name=target["name"])
    if scaled_object is None:
        yield Field.of(namespace, below), Owner(words=words, cure=_beside(name, Floor.of(autoscaler)))
        return
    keda = f'KEDA\'s ScaledObject "{scaled_object}"'
    yield Field.of(namespace, below), Owner(words=f"{keda} (through {words})", cure=_TRIGGER)
    yield Field.of(namespace, FloorRef(name=name)), Owner(words=keda, cure=_TRIGGER)


_TRIGGER = "make this PredictiveScaler a trigger of it (mode Observe here; docs/guide/keda.md), or remove it"


def _beside(name: str, floor: Floor | None) -> str:
    if floor is not None and floor.scaler:
        return f'PredictiveScaler "{floor.scaler}" raises its floor already, so remove this one or use mode Observe'
    return f"raise its floor instead (targetRef: {{kind: {FLOOR_KIND}, name: {name}}}), remove it, or use mode Observe"
