"""How long do the replicas of a target take to be ready? Its pods tell.

They are listed by the selector of the scale subresource, so that any kind is served that tells one; when, is told by
`controller.targets.looks`: pods that come, go and become Ready change the workload's status, hence its resource
version. No faster than PODS_PER_MINUTE.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from controller.core.startup import LeadTime, Pod, StartUps
from controller.kubernetes_api import ApiError, ForbiddenError, Json, KubernetesApi, UnauthorizedError
from controller.outcome import Problem
from controller.ports import LeadTimeReason, TargetState
from controller.registry import Scaler
from controller.spec import AnyTarget, ScalerSpec
from controller.targets.looks import MIN_GAP, REFRESH, Found, LookError, Looks, problem

PODS_PER_MINUTE = 100
"""A target of 1,000 pods is looked at every ten minutes at most: a list of them is some 10 MB."""

TEMPLATE_LABELS = ("pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash")
"""What Deployments, StatefulSets and Argo's Rollouts name the template of a pod by."""

_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
_FIRST_STATUS = timedelta(seconds=30)
"""So long after a pod's start at most, its conditions are written first; a later change of Ready is a second one."""


class PodLeadTimes:
    """Implements `ports.LeadTimes`."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._looks = Looks("the pods", LeadTimeReason.UNAVAILABLE)

    def lead_time(
        self, scaler: Scaler, spec: ScalerSpec, state: TargetState, now: datetime
    ) -> tuple[LeadTime, Problem | None]:
        """What is known now; a look that is due begins, for the ticks to come."""
        if not state.selector:
            return self._looks.untold(scaler, spec, now, _without_selector(spec.target))
        look = partial(self._look, scaler.namespace, state.selector)
        return self._looks.told(scaler, spec, state.resource_version, now, look)

    def forget(self, uid: str) -> None:
        """Drop what is held of a scaler that is gone."""
        self._looks.forget(uid)

    async def settled(self) -> None:
        """Wait until the looks under way have ended."""
        await self._looks.settled()

    async def aclose(self) -> None:
        """End the looks under way."""
        await self._looks.aclose()

    async def _look(self, namespace: str, selector: str, _: StartUps) -> Found:
        try:
            pods = await self._list(namespace, selector)
        except ApiError as error:
            raise LookError(_unknown(namespace, error)) from error
        gap = min(max(MIN_GAP, timedelta(minutes=len(pods) / PODS_PER_MINUTE)), REFRESH)
        return Found(pods=pods, gap=gap)

    async def _list(self, namespace: str, selector: str) -> list[Pod]:
        """A page at a time, of which little is kept."""
        query = {"labelSelector": selector, "fieldSelector": _UNFINISHED}
        pages = self._api.pages(f"/api/v1/namespaces/{namespace}/pods", query)
        return [pod async for page in pages for one in page["items"] if (pod := _pod(one)) is not None]


def _pod(raw: Json) -> Pod | None:
    """None of a pod that tells nothing of its start: one that ends, waits by intention or is no longer Ready."""
    metadata, status = raw["metadata"], raw.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    ready = conditions.get("Ready", {})
    is_ready = ready.get("status") == "True"
    if not is_ready and (metadata.get("deletionTimestamp") or _is_gated(conditions) or _has_lost(ready, status)):
        return None
    return Pod(
        uid=metadata["uid"],
        template=_template(metadata.get("labels") or {}),
        created=_time(metadata["creationTimestamp"]),
        ready=_time(ready["lastTransitionTime"]) if is_ready else None,
    )


def _is_gated(conditions: Json) -> bool:
    """Whether a pod is held back by scheduling gates until somebody lifts them."""
    return bool(conditions.get("PodScheduled", {}).get("reason") == "SchedulingGated")


def _has_lost(ready: Json, status: Json) -> bool:
    """Whether a pod that is not Ready was so before: the kubelet says False at the start, and again only after True."""
    started, changed = status.get("startTime"), ready.get("lastTransitionTime")
    return started is not None and changed is not None and _time(changed) - _time(started) > _FIRST_STATUS


def _template(labels: Json) -> str:
    return next((str(labels[name]) for name in TEMPLATE_LABELS if name in labels), "")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _without_selector(target: AnyTarget) -> Problem:
    message = (
        f"{target.kind} {target.api_version} tells no selector in its scale subresource, so its pods are not known"
    )
    return problem(LeadTimeReason.UNKNOWN, f"{message}; set forecast.leadTime to a duration")


def _unknown(namespace: str, error: ApiError) -> Problem:
    what = f"cannot list the pods in namespace {namespace} to learn the lead time"
    if isinstance(error, ForbiddenError | UnauthorizedError):
        return problem(
            LeadTimeReason.FORBIDDEN, f"{what}; grant list on pods by RBAC, or set forecast.leadTime: {error}"
        )
    return problem(LeadTimeReason.UNAVAILABLE, f"{what}: {error}")
