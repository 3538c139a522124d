"""How long do the replicas of a target take to be ready? Its pods tell, listed seldom and in the background.

A look lists the pods by the selector of the scale subresource, so that any kind is served that tells one. It is due
when the target was never looked at, when it changed since (pods that come, go and become Ready change the workload's
status, hence its resource version) or after REFRESH; and no sooner than MIN_GAP after the last, nor faster than
PODS_PER_MINUTE. No tick waits for one, and one that fails leaves what is known as it is.
What the times mean is told by `controller.core.startup`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.core.startup import LeadTime, Pod, StartUps, StartUpsFormatError, lead_time, seen
from controller.kubernetes_api import ApiError, ForbiddenError, Json, KubernetesApi, UnauthorizedError
from controller.outcome import Problem, Stage
from controller.ports import LeadTimeReason, TargetState
from controller.registry import Scaler
from controller.spec import AnyTarget, ScalerSpec

log = logging.getLogger(__name__)

MIN_GAP = timedelta(minutes=1)
REFRESH = timedelta(minutes=15)
PODS_PER_MINUTE = 100
"""A target of 1,000 pods is looked at every ten minutes at most: a list of them is some 10 MB."""

LOOKS_AT_ONCE = 4
TEMPLATE_LABELS = ("pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash")
"""What Deployments, StatefulSets and Argo's Rollouts name the template of a pod by."""

_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
_FIRST_STATUS = timedelta(seconds=30)
"""So long after a pod's start at most, its conditions are written first; a later change of Ready is a second one."""


@dataclass(slots=True, kw_only=True)
class _Known:
    """What is known of a scaler's target, and of when: `looked`, with `version` as its resource version."""

    target: AnyTarget
    start_ups: StartUps
    problem: Problem | None = None
    looked: datetime | None = None
    version: str = ""
    pods: int = 0


class PodLeadTimes:
    """Implements `ports.LeadTimes`."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._known: dict[str, _Known] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(LOOKS_AT_ONCE)

    def lead_time(
        self, scaler: Scaler, spec: ScalerSpec, state: TargetState, now: datetime
    ) -> tuple[LeadTime, Problem | None]:
        """What is known now; a look that is due begins, for the ticks to come."""
        known = self._hold(scaler, spec)
        if not state.selector:
            known.problem = _without_selector(spec.target)
        elif scaler.uid not in self._looks and _is_due(known, state, now):
            known.looked, known.version = now, state.resource_version
            self._begin(scaler, known, state.selector, now)
        return lead_time(now, known.start_ups, spec.policy.lead_time), known.problem

    def forget(self, uid: str) -> None:
        """Drop what is held of a scaler that is gone."""
        self._known.pop(uid, None)
        if uid in self._looks:
            self._looks[uid].cancel()

    async def settled(self) -> None:
        """Wait until the looks under way have ended."""
        await asyncio.gather(*self._looks.values(), return_exceptions=True)

    async def aclose(self) -> None:
        """End the looks under way."""
        for look in self._looks.values():
            look.cancel()
        await self.settled()

    def _hold(self, scaler: Scaler, spec: ScalerSpec) -> _Known:
        known = self._known.get(scaler.uid)
        if known is None:
            start_ups, problem = _restored(scaler)
            known = self._known[scaler.uid] = _Known(target=spec.target, start_ups=start_ups, problem=problem)
        elif known.target != spec.target:
            known = self._known[scaler.uid] = _Known(target=spec.target, start_ups=StartUps())
        return known

    def _begin(self, scaler: Scaler, known: _Known, selector: str, now: datetime) -> None:
        look = asyncio.create_task(self._look(scaler, known, selector, now))
        self._looks[scaler.uid] = look
        look.add_done_callback(lambda _: self._looks.pop(scaler.uid, None))

    async def _look(self, scaler: Scaler, known: _Known, selector: str, now: datetime) -> None:
        try:
            async with self._turns:
                pods = await self._list(scaler.namespace, selector)
            known.start_ups, known.problem, known.pods = seen(now, pods, known.start_ups), None, len(pods)
        except ApiError as error:
            known.problem = _unknown(scaler.namespace, error)
        except Exception as error:
            log.exception("look at pods failed", extra={"scaler": scaler.key})
            known.problem = _problem(
                LeadTimeReason.UNAVAILABLE, f"cannot read the pods: {type(error).__name__}: {error}"
            )

    async def _list(self, namespace: str, selector: str) -> list[Pod]:
        """A page at a time, of which little is kept."""
        query = {"labelSelector": selector, "fieldSelector": _UNFINISHED}
        pages = self._api.pages(f"/api/v1/namespaces/{namespace}/pods", query)
        return [pod async for page in pages for one in page["items"] if (pod := _pod(one)) is not None]


def _is_due(known: _Known, state: TargetState, now: datetime) -> bool:
    """A look later than now was made by a clock that was put back since."""
    if known.looked is None or known.looked > now:
        return True
    gap = min(max(MIN_GAP, timedelta(minutes=known.pods / PODS_PER_MINUTE)), REFRESH)
    has_changed = state.resource_version != known.version or known.problem is not None
    return now - known.looked >= (gap if has_changed else REFRESH)


def _restored(scaler: Scaler) -> tuple[StartUps, Problem | None]:
    stored = (scaler.status.get("leadTime") or {}).get("memory")
    if not stored:
        return StartUps(), None
    try:
        return StartUps.from_json(stored), None
    except StartUpsFormatError as error:
        log.warning("start-ups not usable, starting afresh", extra={"scaler": scaler.key, "error": str(error)})
        return StartUps(), _problem(LeadTimeReason.MALFORMED, f"{error}; the lead time is learnt anew")


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
    return _problem(LeadTimeReason.UNKNOWN, f"{message}; set forecast.leadTime to a duration")


def _unknown(namespace: str, error: ApiError) -> Problem:
    what = f"cannot list the pods in namespace {namespace} to learn the lead time"
    if isinstance(error, ForbiddenError | UnauthorizedError):
        return _problem(
            LeadTimeReason.FORBIDDEN, f"{what}; grant list on pods by RBAC, or set forecast.leadTime: {error}"
        )
    return _problem(LeadTimeReason.UNAVAILABLE, f"{what}: {error}")


def _problem(reason: LeadTimeReason, message: str) -> Problem:
    return Problem(stage=Stage.LEAD_TIME, reason=reason, message=message)
