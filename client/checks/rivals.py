"""Does another PredictiveScaler set the size of the same target? Who goes first is as the controller has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from client.resources import listed
from controller.aws_spec import GroupRef
from controller.kubernetes_api import ApiError, ForbiddenError, KubernetesApi
from controller.registry import Registry, Scaler, seniority
from controller.spec import ScalerSpec

_LAST = "9"  # after any time that an API server tells: what is not in the cluster yet comes after what is

Bodies = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """`scaler`: the one asked about, with the age that it has or would have. `unseen`: who was not looked at.

    `first`: of the others that act on the same target, the one that goes before the rest; None: there is none.
    """

    scaler: Scaler
    first: Scaler | None = None
    unseen: str = ""

    @property
    def is_behind(self) -> bool:
        """Whether the other one sets the size, and not this one."""
        return self.first is not None and seniority(self.first) < seniority(self.scaler)


def identified(scaler: Scaler, bodies: Bodies) -> Scaler:
    """As itself among those of the cluster, also where it is of a file: with the uid and the age that it has there."""
    for body in bodies:
        metadata = body["metadata"]
        if (metadata["namespace"], metadata["name"]) == (scaler.namespace, scaler.name):
            return replace(scaler, uid=metadata["uid"], created=metadata.get("creationTimestamp", ""))
    return replace(scaler, created=_LAST)


async def rivals(api: KubernetesApi | None, scaler: Scaler, spec: ScalerSpec) -> Rivals:
    """Those of the namespace; of a group, which is in none, those of all."""
    if api is None:
        return Rivals(scaler=scaler)
    bodies, unseen = await _found(api, scaler, is_everywhere=isinstance(spec.target, GroupRef))
    return _among(bodies, scaler, spec, unseen)


async def _found(api: KubernetesApi, scaler: Scaler, *, is_everywhere: bool) -> tuple[Bodies, str]:
    """And who was not looked at, with the reason."""
    if not is_everywhere:
        return await _near(api, scaler)
    try:
        return await listed(api, None), ""
    except ForbiddenError:
        bodies, unseen = await _near(api, scaler)
        return bodies, unseen or "those of other namespaces, which you may not list"
    except ApiError as error:
        return [], f"those of the cluster: {error}"


async def _near(api: KubernetesApi, scaler: Scaler) -> tuple[Bodies, str]:
    try:
        return await listed(api, scaler.namespace), ""
    except ForbiddenError:
        return [], f"those of {scaler.namespace}, which you may not list"
    except ApiError as error:
        return [], f"those of {scaler.namespace}: {error}"


def _among(bodies: Bodies, scaler: Scaler, spec: ScalerSpec, unseen: str) -> Rivals:
    one, registry = identified(scaler, bodies), Registry()
    for body in bodies:
        if body["metadata"]["uid"] != one.uid:
            registry.put(body)
    return Rivals(scaler=one, first=registry.scaling(one.namespace, spec.target), unseen=unseen)
