"""How large is a workload, and how is it made larger? Through the `/scale` subresource of any kind that has one.

The kind is looked up in the API server's own discovery, so a CRD with a scale subresource needs no code here.
It must not decide anything.

Facts, seen on kube-apiserver 1.36: a Scale of 0 replicas carries no `spec.replicas` at all; a merge-patch that holds
`metadata.resourceVersion` is refused with 409 when the object changed since; an unknown version of a known group, an
unknown group and an unknown object are all 404.

A size is written by server-side apply, as our own field and whoever had it before, on condition of the version that was
read (docs/decisions/0018-floors-and-fields.md). Custom resources take no apply of their Scale (kube-apiserver 1.36
fails to convert it, and answers 500), so theirs is a merge-patch under the same name.

A Scale counts pods that exist, not pods that are ready, and does not tell whose field the size is: the workload's own
object does, which is looked at once in a while, and at once where the size is another than was written.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

from controller.kubernetes_api import (
    ApiError,
    ConflictError,
    ForbiddenError,
    Json,
    KubernetesApi,
    NotFoundError,
    UnauthorizedError,
)
from controller.ports import TargetError, TargetReason, TargetState
from controller.spec import TargetRef
from controller.targets.claims import Claims, Field, note
from controller.targets.conflicts import retry_on_conflict
from controller.targets.workloads import Workloads

DISCOVERY_SECONDS = 600.0
DOUBT_SECONDS = 15.0
"""Discovery younger than this is believed even when something was not found: many missing targets ask once."""

_SCALE = {"apiVersion": "autoscaling/v1", "kind": "Scale"}

FAILURE_SECONDS = 1.0
"""So long a failed discovery holds for all who wait for it, who would otherwise fail one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kinds:
    """What one group and version serves. `plurals`: by kind, only those with `/scale`. `answered`: loop time, seconds.

    `problem`: why it could not be learned.
    """

    plurals: Mapping[str, str]
    answered: float
    problem: str | None = None


class ScaleTarget:
    """A `Target` for everything with a `/scale` subresource. Discovery is kept for `discovery_seconds`."""

    def __init__(
        self,
        api: KubernetesApi,
        *,
        workloads: Workloads | None = None,
        claims: Claims | None = None,
        discovery_seconds: float = DISCOVERY_SECONDS,
        doubt_seconds: float = DOUBT_SECONDS,
    ) -> None:
        self._api = api
        self._workloads = workloads or Workloads(api)
        self._claims = claims or Claims()
        self._discovery_seconds = discovery_seconds
        self._doubt_seconds = doubt_seconds
        self._kinds: dict[str, _Kinds] = {}
        self._discovering: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(self, namespace: str, ref: TargetRef) -> TargetState:
        """The replicas asked for at present. Raises TargetError."""
        path = await self._path(namespace, ref)
        try:
            state = _state(await self._api.get(path))
        except ApiError as error:
            self._fail(namespace, ref, "get", error)
        field = Field.of(namespace, ref)
        is_another = self._claims.is_another(field, state.replicas)
        look = await self._workloads.look(namespace, ref, now=is_another)
        self._claims.saw(field, state.replicas, look.managers)
        return replace(state, ready=look.ready, note=note(field, look.managers))

    async def write(self, namespace: str, ref: TargetRef, state: TargetState, replicas: int) -> None:
        """Ask for `replicas`, if the size is still that of `state`; nothing else is touched. Raises TargetError."""
        path = await self._path(namespace, ref)
        try:
            await self._patch(path, ref, state, replicas)
        except ApiError as error:
            self._fail(namespace, ref, "patch", error)
        self._claims.wrote(Field.of(namespace, ref), replicas)

    async def _patch(self, path: str, ref: TargetRef, state: TargetState, replicas: int) -> None:
        """Again when the object changed but not its size: a status changes with every pod, most while scaling."""

        async def send(found: TargetState) -> None:
            metadata = {"name": ref.name, "resourceVersion": found.resource_version}
            body: Json = {**_SCALE, "metadata": metadata, "spec": {"replicas": replicas}}
            await (self._api.merge_patch(path, body) if _is_custom(ref) else self._api.apply(path, body))

        async def again() -> TargetState:
            return _state(await self._api.get(path))

        await retry_on_conflict(state, send=send, again=again, basis=lambda found: found.replicas)

    async def plural(self, ref: TargetRef) -> str:
        """What RBAC calls the target's kind, such as "deployments". Raises TargetError where it cannot be scaled."""
        kinds = await self._discovered(ref.api_version)
        plural = kinds.plurals.get(ref.kind)
        if plural is None:
            self._doubt(ref.api_version)
            raise TargetError(TargetReason.NOT_SCALABLE, _not_scalable(ref, kinds))
        return plural

    async def _path(self, namespace: str, ref: TargetRef) -> str:
        plural = await self.plural(ref)
        return f"{_root(ref.api_version)}/namespaces/{namespace}/{plural}/{ref.name}/scale"

    async def _discovered(self, api_version: str) -> _Kinds:
        async with self._discovering[api_version]:
            known = self._kinds.get(api_version)
            if known is None or self._is_old(known):
                known = self._kinds[api_version] = await self._ask(api_version)
        if known.problem:
            raise TargetError(TargetReason.UNAVAILABLE, known.problem)
        return known

    def _is_old(self, known: _Kinds) -> bool:
        return _loop_time() - known.answered > (FAILURE_SECONDS if known.problem else self._discovery_seconds)

    def _doubt(self, api_version: str) -> None:
        """Have the next call ask again: a kind may have come or gone since."""
        known = self._kinds.get(api_version)
        if known and _loop_time() - known.answered > self._doubt_seconds:
            del self._kinds[api_version]

    async def _ask(self, api_version: str) -> _Kinds:
        try:
            plurals = _scalable(await self._api.get(_root(api_version)))
        except NotFoundError:
            plurals = {}
        except ApiError as error:
            problem = f"cannot learn which kinds {api_version} has: {error}"
            return _Kinds(plurals={}, answered=_loop_time(), problem=problem)
        return _Kinds(plurals=plurals, answered=_loop_time())

    def _fail(self, namespace: str, ref: TargetRef, verb: str, error: ApiError) -> NoReturn:
        """Translate `error`; a 404 may also mean that the kind itself has gone."""
        if isinstance(error, NotFoundError):
            self._doubt(ref.api_version)
        target = f'{ref.kind} "{ref.name}" in namespace {namespace}'
        raise failure(target, f"{verb} its scale", "RBAC", error) from error


def failure(target: str, deed: str, grant: str, error: ApiError) -> TargetError:
    """What is told of a `deed` at `target` that failed. `grant`: by what the controller would be allowed to do it."""
    match error:
        case NotFoundError():
            reason, message = TargetReason.NOT_FOUND, f"{target} does not exist; create it or correct targetRef"
        case ForbiddenError() | UnauthorizedError():
            reason = TargetReason.FORBIDDEN
            message = f"{target}: the controller may not {deed}; grant it by {grant} ({error})"
        case ConflictError():
            reason, message = TargetReason.CONFLICT, f"{target} was changed by somebody else meanwhile"
        case _:
            reason, message = TargetReason.UNAVAILABLE, f"{target}: cannot {deed}: {error}"
    return TargetError(reason, message)


def _is_custom(ref: TargetRef) -> bool:
    """Groups of Kubernetes itself that have workloads are "apps" and the core; all others must have a dot in them."""
    return "." in ref.api_version.rpartition("/")[0]


def _state(scale: Json) -> TargetState:
    return TargetState(
        replicas=int(scale.get("spec", {}).get("replicas", 0)),
        resource_version=scale["metadata"]["resourceVersion"],
        selector=scale.get("status", {}).get("selector", ""),
    )


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _scalable(discovery: Json) -> dict[str, str]:
    """Kind -> plural, for the namespaced kinds that have `/scale`."""
    resources = discovery["resources"]
    names = {resource["name"] for resource in resources}
    return {
        resource["kind"]: resource["name"]
        for resource in resources
        if resource["namespaced"] and "/" not in resource["name"] and f"{resource['name']}/scale" in names
    }


def _not_scalable(ref: TargetRef, kinds: _Kinds) -> str:
    if not kinds.plurals:
        return f"the API server has nothing in {ref.api_version} that can be scaled; correct targetRef.apiVersion"
    known = ", ".join(sorted(kinds.plurals))
    return f"{ref.kind} of {ref.api_version} has no scale subresource; those that have are {known}; correct targetRef"
