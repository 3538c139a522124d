"""How high is the floor of an autoscaler, and how is it raised? By minReplicas of a HorizontalPodAutoscaler.

The autoscaler goes on by its own metrics above the floor, which is raised before a load comes and lowered after it,
never below what its user had and never above its maxReplicas. What the user had is kept on the object
(`controller.targets.floors`) and given back when nobody raises it any more (`controller.targets.handback`). It must not
decide anything.

Written by server-side apply on condition of the version that was read, like every size
(docs/decisions/0018-floors-and-fields.md). An autoscaler that may scale to zero (minReplicas 0) counts as one with a
floor of one, which stays 0 until it must be more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from controller.kubernetes_api import ApiError, Json, KubernetesApi
from controller.ports import Target, TargetError, TargetReason, TargetState
from controller.registry import Scaler
from controller.spec import FLOOR_KIND, FLOOR_VERSION, FloorRef, TargetRef
from controller.targets.claims import Claims, Field, note
from controller.targets.conflicts import retry_on_conflict
from controller.targets.floors import ANNOTATION, Floor, lowest, own
from controller.targets.scale import failure

LOOK_SECONDS = 30.0
"""So often what the autoscaler scales is looked at, for its pods and how many of them are ready."""

PLURAL = "horizontalpodautoscalers"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Below:
    """What the autoscaler scales, at `taken` in loop time; `problem`: why it is not known."""

    taken: float
    selector: str = ""
    ready: int | None = None
    problem: str = ""


class FloorTarget:
    """A `Target` for the floors of autoscalers. `workloads`: of what they scale. `scaling`: who has a floor raised.

    `raised`: namespaces and names of those that were written to, for whoever gives them back to take out.
    """

    def __init__(
        self,
        api: KubernetesApi,
        *,
        workloads: Target[TargetRef],
        claims: Claims | None = None,
        scaling: Callable[[str, FloorRef], Scaler | None] = lambda _, __: None,
    ) -> None:
        self._api = api
        self._workloads = workloads
        self._claims = claims or Claims()
        self._scaling = scaling
        self.raised: set[tuple[str, str]] = set()
        self._below: dict[tuple[str, str], _Below] = {}

    async def read(self, namespace: str, ref: FloorRef) -> TargetState:
        """The floor now. Raises TargetError."""
        try:
            autoscaler = await self._api.get(path(namespace, ref.name))
        except ApiError as error:
            _fail(namespace, ref, "get", error)
        field, state = Field.of(namespace, ref), _state(autoscaler)
        managers = field.managers(autoscaler)
        self._claims.saw(field, state.replicas, managers)
        below = await self._looked_at(namespace, ref, autoscaler)
        notes = (*_notes(autoscaler), below.problem, note(field, managers))
        return TargetState(
            replicas=state.replicas,
            resource_version=state.resource_version,
            selector=below.selector,
            lowest=state.lowest,
            highest=state.highest,
            ready=below.ready,
            present=(autoscaler.get("status") or {}).get("currentReplicas"),
            note="; ".join(one for one in notes if one),
        )

    async def write(self, namespace: str, ref: FloorRef, state: TargetState, replicas: int) -> None:
        """Set the floor to `replicas`, if it is still that of `state`. Raises TargetError."""
        _refuse_beyond(namespace, ref, state, replicas)
        self.raised.add((namespace, ref.name))
        try:
            await self._apply(namespace, ref, state, replicas)
        except ApiError as error:
            _fail(namespace, ref, "patch", error)
        self._claims.wrote(Field.of(namespace, ref), replicas)

    async def _apply(self, namespace: str, ref: FloorRef, state: TargetState, replicas: int) -> None:
        """Again when the object changed but neither its floor nor its bounds: its status changes all the time."""
        where = path(namespace, ref.name)

        async def send(found: TargetState) -> None:
            floor = self._floor(namespace, ref, found.lowest or 0, replicas)
            await self._api.apply(where, applied(ref.name, found.resource_version, floor))

        async def again() -> TargetState:
            return _state(await self._api.get(where))

        await retry_on_conflict(state, send=send, again=again, basis=_sizes)

    def _floor(self, namespace: str, ref: FloorRef, kept: int, replicas: int) -> Floor:
        scaler = self._scaling(namespace, ref)
        return Floor(
            scaler="" if scaler is None else scaler.name,
            uid="" if scaler is None else scaler.uid,
            own=kept,
            set=kept if replicas <= max(kept, 1) else replicas,
        )

    async def _looked_at(self, namespace: str, ref: FloorRef, autoscaler: Json) -> _Below:
        known = self._below.get((namespace, ref.name))
        if known is None or _loop_time() - known.taken >= LOOK_SECONDS:
            known = self._below[namespace, ref.name] = await self._look(namespace, autoscaler["spec"]["scaleTargetRef"])
        return known

    async def _look(self, namespace: str, named: Json) -> _Below:
        below = TargetRef(api_version=named.get("apiVersion", ""), kind=named["kind"], name=named["name"])
        try:
            state = await self._workloads.read(namespace, below)
        except TargetError as error:
            return _Below(taken=_loop_time(), problem=str(error))
        return _Below(taken=_loop_time(), selector=state.selector, ready=state.ready)


def path(namespace: str, name: str) -> str:
    """Where an autoscaler is."""
    return f"/apis/{FLOOR_VERSION}/namespaces/{namespace}/{PLURAL}/{name}"


def applied(name: str, version: str, floor: Floor) -> Json:
    """All that is ours of an autoscaler, for server-side apply on condition of `version`."""
    metadata = {"name": name, "resourceVersion": version, "annotations": {ANNOTATION: floor.text()}}
    spec = {"minReplicas": floor.set}
    return {"apiVersion": FLOOR_VERSION, "kind": FLOOR_KIND, "metadata": metadata, "spec": spec}


def _state(autoscaler: Json) -> TargetState:
    return TargetState(
        replicas=max(lowest(autoscaler), 1),
        resource_version=autoscaler["metadata"]["resourceVersion"],
        lowest=own(autoscaler) or None,
        highest=autoscaler["spec"]["maxReplicas"],
    )


def _sizes(state: TargetState) -> tuple[int | None, ...]:
    return state.replicas, state.lowest, state.highest


def _notes(autoscaler: Json) -> Iterator[str]:
    """What a user should know of what happens above the floor."""
    status = autoscaler.get("status") or {}
    current = status.get("currentReplicas")
    if current == 0:
        yield "its target has 0 replicas, at which an autoscaler does nothing: scale that to 1 to go on"
    elif current is not None:
        yield f"it has {current} {'replica' if current == 1 else 'replicas'}"
    for one in status.get("conditions") or ():
        if (one["type"], one["status"]) == ("ScalingActive", "False") and current != 0:
            yield f"it goes by its floor alone, since its own metrics fail ({one.get('reason', 'unknown')})"


def _refuse_beyond(namespace: str, ref: FloorRef, state: TargetState, replicas: int) -> None:
    """What only bounds of the PredictiveScaler that lie apart from the autoscaler's can ask for."""
    if state.highest is not None and replicas > state.highest:
        words = f"is above its maxReplicas, {state.highest}; raise that, or lower spec.minReplicas"
    elif state.lowest is not None and replicas < state.lowest:
        words = f"is below its own minReplicas, {state.lowest}; lower that, or raise spec.maxReplicas"
    else:
        return
    raise TargetError(TargetReason.NOT_SCALABLE, f"{_words(namespace, ref)}: {replicas} {words}")


def _fail(namespace: str, ref: FloorRef, verb: str, error: ApiError) -> NoReturn:
    raise failure(_words(namespace, ref), f"{verb} it", "RBAC, as rbac.hpa of the chart", error) from error


def _words(namespace: str, ref: FloorRef) -> str:
    return f'{FLOOR_KIND} "{ref.name}" in namespace {namespace}'


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
