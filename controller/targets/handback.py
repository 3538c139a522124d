"""Which floors does nobody raise any more? They are given back to the users whose they are.

Not by a finalizer, which would hang without a controller, nor by an event, which can be missed: autoscalers that keep a
floor (`controller.targets.floors`) are compared with the PredictiveScalers once in a while, and at once when one has
ended, was paused or names another target. So it also happens after the PredictiveScaler was deleted while no controller
ran.

A floor stays while a PredictiveScaler acts on it, and while the one that raised it is refused: then the last size
stands. A registry may lag behind the cluster, so the one that raised it is asked for by name before anything is
written.

Given back are the user's minReplicas, then the annotation and our ownership of the fields: nothing of ours is left, and
nobody's next apply meets a conflict with a manager that is gone. In this order, and each on condition of the version
that was read, so that it may end anywhere and go on.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial

from controller.fence import writing
from controller.kubernetes_api import (
    FIELD_MANAGER,
    ApiError,
    ConflictError,
    InvalidError,
    Json,
    KubernetesApi,
    NotFoundError,
)
from controller.registry import Registry, read
from controller.spec import FLOOR_VERSION, GROUP, VERSION, FloorRef, ScalerSpec, SpecError
from controller.spec import PLURAL as SCALERS
from controller.targets.floors import ANNOTATION, Floor, lowest, own
from controller.targets.hpa import PLURAL, applied, path

log = logging.getLogger(__name__)

PULSE_SECONDS = 1.0
EVERY_SECONDS = 60.0
"""So often all are compared though nobody is known to have ended."""

_POINTER = f"/metadata/annotations/{ANNOTATION.replace('~', '~0').replace('/', '~1')}"


class HandBack:
    """Gives floors back in `namespaces` (none: in all).

    `is_complete`: whether the registry has had a whole list. `left`: for how many seconds this process may write for a
    PredictiveScaler, by its namespace and name; none where another one does. `raised`: namespaces and names of
    autoscalers that were written to, since a write may come after the end of its scaler.
    """

    def __init__(
        self,
        *,
        api: KubernetesApi,
        registry: Registry,
        namespaces: Sequence[str],
        is_complete: Callable[[], bool],
        raised: set[tuple[str, str]] | None = None,
        left: Callable[[str, str], float] = lambda _, __: math.inf,
    ) -> None:
        self._api = api
        self._registry = registry
        scopes = [f"/namespaces/{namespace}" for namespace in namespaces] or [""]
        self._paths = [f"/apis/{FLOOR_VERSION}{scope}/{PLURAL}" for scope in scopes]
        self._is_complete = is_complete
        self._left = left
        self._raised = set() if raised is None else raised

    async def run(self, stop: asyncio.Event) -> None:
        """Compare now and then until `stop` is set."""
        due, tries = 0.0, 0
        while not stop.is_set():
            if self._is_complete():
                ended = self._ended()
                if ended or _loop_time() >= due:
                    self._raised -= ended
                    tries = 0 if await self.once() else tries + 1
                    due = _loop_time() + _pause(tries)
            try:
                await asyncio.wait_for(stop.wait(), PULSE_SECONDS)
            except TimeoutError:
                continue

    async def once(self) -> bool:
        """Compare all once; whether nothing is left to be tried again soon."""
        try:
            found = [one for where in self._paths for one in (await self._api.list_all(where)).items]
        except ApiError as error:
            log.warning("cannot list HorizontalPodAutoscalers", extra={"error": str(error)})
            return True
        given = [await self._tried(one) for one in found if Floor.of(one) is not None]
        return all(given)

    def _ended(self) -> set[tuple[str, str]]:
        """The autoscalers that have lost their scaler since they were compared."""
        acting = {
            (one.namespace, one.spec.target.name)
            for one in self._registry.all()
            if isinstance(one.spec, ScalerSpec) and isinstance(one.spec.target, FloorRef) and one.spec.mode.is_acting
        }
        self._raised |= acting
        return self._raised - acting

    async def _tried(self, autoscaler: Json) -> bool:
        """One that cannot be given back holds up no other."""
        metadata = autoscaler["metadata"]
        try:
            if not await self._is_left(autoscaler):
                return True
            with writing(partial(self._left, metadata["namespace"], _writer(autoscaler))):
                await self._give_back(metadata["namespace"], metadata["name"])
        except NotFoundError:
            return True
        except ApiError as error:
            where = f"{metadata['namespace']}/{metadata['name']}"
            log.warning("a floor is not given back yet", extra={"autoscaler": where, "error": str(error)})
            return not isinstance(error, ConflictError | InvalidError)
        except Exception:
            log.exception("unforeseen error", extra={"autoscaler": f"{metadata['namespace']}/{metadata['name']}"})
        return True

    async def _is_left(self, autoscaler: Json) -> bool:
        """Whether its floor is ours to give back."""
        namespace, name = autoscaler["metadata"]["namespace"], autoscaler["metadata"]["name"]
        floor = Floor.of(autoscaler)
        if floor is None or self._left(namespace, _writer(autoscaler)) <= 0:
            return False
        if self._registry.scaling(namespace, FloorRef(name=name)) is not None:
            return False
        return not floor.scaler or not await self._is_raised_by(namespace, floor.scaler, name)

    async def _is_raised_by(self, namespace: str, scaler: str, name: str) -> bool:
        """By the cluster's own word. Raises ApiError."""
        try:
            body = await self._api.get(f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{SCALERS}/{scaler}")
        except NotFoundError:
            return False
        if body["metadata"].get("deletionTimestamp"):
            return False
        spec = read(body).spec
        if isinstance(spec, SpecError):
            return True
        return spec.mode.is_acting and spec.target == FloorRef(name=name)

    async def _give_back(self, namespace: str, name: str) -> None:
        """Raises ApiError; ConflictError or InvalidError when somebody changed it meanwhile."""
        found = await self._api.get(path(namespace, name))
        floor = Floor.of(found)
        if floor is None:
            return
        before, after = lowest(found), own(found)
        if before != after:
            given = Floor(scaler=floor.scaler, uid=floor.uid, own=after, set=after)
            found = await self._api.apply(path(namespace, name), applied(name, _version(found), given))
        await self._api.json_patch(path(namespace, name), _without_us(found))
        told = {"autoscaler": f"{namespace}/{name}", "before": before, "after": after, "raised_by": floor.scaler}
        log.info("a floor is given back", extra=told)


def _pause(tries: int) -> float:
    """A change meanwhile is met again soon; what is refused again and again, by a policy as it may be, ever later."""
    return min(EVERY_SECONDS, PULSE_SECONDS * 2.0 ** min(tries - 1, 16)) if tries else EVERY_SECONDS


def _writer(autoscaler: Json) -> str:
    """Whoever serves this PredictiveScaler, gone as it may be, gives the floor back: one process and no other."""
    floor = Floor.of(autoscaler)
    return (floor.scaler if floor else "") or str(autoscaler["metadata"]["name"])


def _without_us(autoscaler: Json) -> list[Json]:
    """Takes away the annotation and our entries of the managed fields, if nothing has changed."""
    others = [one for one in autoscaler["metadata"].get("managedFields") or () if one["manager"] != FIELD_MANAGER]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": _version(autoscaler)},
        {"op": "remove", "path": _POINTER},
        {"op": "replace", "path": "/metadata/managedFields", "value": others or [{}]},
    ]


def _version(autoscaler: Json) -> str:
    return str(autoscaler["metadata"]["resourceVersion"])


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
