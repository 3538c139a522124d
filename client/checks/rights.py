"""What may be done in Kubernetes, by whoever runs this and by the controller? The API server is asked, nothing tried.

The rights are those of the chart's roles, so far as one scaler needs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from client.access import CHART
from client.checks.finding import Finding, Findings, Result, failed, ok, skipped
from client.errors import ClientError
from controller.kubernetes_api import ApiError, ForbiddenError, Json, KubernetesApi
from controller.ports import TargetError
from controller.spec import FLOOR_VERSION, GROUP, PLURAL, FloorRef, Metric, PrometheusMetric, ScalerSpec, TargetRef
from controller.targets.hpa import PLURAL as AUTOSCALERS
from controller.targets.scale import ScaleTarget

CHECK = "rights"
_ACCOUNT = "system:serviceaccount:"
_MINE = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_ANOTHERS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_ME = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """To do `verb` with `resource` (with its subresource after a slash) of an API group."""

    verb: str
    resource: str
    group: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


LIST_PODS = Right(verb="list", resource="pods")
GET_SECRETS = Right(verb="get", resource="secrets")
LIST_AUTOSCALERS = Right(verb="list", resource=AUTOSCALERS, group="autoscaling")
_REPORTING = (
    Right(verb="list", resource=PLURAL, group=GROUP),
    Right(verb="watch", resource=PLURAL, group=GROUP),
    Right(verb="patch", resource=f"{PLURAL}/status", group=GROUP),
    Right(verb="create", resource="events", group="events.k8s.io"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The controller's ServiceAccount."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        """As RBAC names it."""
        return f"{_ACCOUNT}{self.namespace}:{self.name}"

    def __str__(self) -> str:
        return f"the controller (ServiceAccount {self.namespace}/{self.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Of one scaler's needs: who may do what. `controller`: empty where that is not known.

    `scale_get`: the right to read the target's size, None of a group or a kind that cannot be scaled.
    """

    mine: Mapping[Right, bool] = field(default_factory=dict)
    controller: Mapping[Right, bool] = field(default_factory=dict)
    scale_get: Right | None = None

    def objection(self, check: str, *rights: Right) -> Findings:
        """Why something is not looked at; empty where whoever runs this may look. No failure if the controller may."""
        denied = [str(right) for right in rights if not self.mine.get(right, True)]
        if not denied:
            return []
        words = f"not looked at: you may not {_listed(denied)} here"
        if all(self.controller.get(right, False) for right in rights):
            return skipped(check, f"{words}; the controller may")
        return failed(check, f"{words}; have it granted to you, or run this as the controller")


async def who_am_i(api: KubernetesApi) -> str:
    """The user name, as the API server knows it. Raises ApiError."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return str((await api.post(_ME, review))["status"]["userInfo"].get("username", ""))


async def account(api: KubernetesApi, named: str | None) -> Account:
    """The controller's ServiceAccount: the one that is named as NAMESPACE/NAME, or the chart's. Raises ClientError."""
    if named is not None:
        namespace, slash, name = named.partition("/")
        if not (namespace and slash and name):
            raise ClientError(f"--service-account: {named!r} must be NAMESPACE/NAME")
        return Account(namespace=namespace, name=name)
    try:
        listing = await api.list_all("/api/v1/serviceaccounts", {"labelSelector": CHART})
    except ForbiddenError as error:
        raise ClientError("you may not list serviceaccounts; name it with --service-account NAMESPACE/NAME") from error
    except ApiError as error:
        raise ClientError(f"no list of serviceaccounts: {error}") from error
    found = [Account(namespace=one["metadata"]["namespace"], name=one["metadata"]["name"]) for one in listing.items]
    if len(found) != 1:
        count = "none" if not found else "several"
        raise ClientError(f"{count} of the cluster's ServiceAccounts is labelled {CHART}; name it: --service-account")
    return found[0]


async def rights(
    api: KubernetesApi, scale: ScaleTarget, me: str, who: Account | ClientError, namespace: str, spec: ScalerSpec
) -> tuple[Findings, Rights]:
    """What is found, and what the other checks may go by."""
    plural = await _plural(scale, spec)
    needed = list(_needed(spec, plural))
    mine = await _reviewed(api, needed, namespace, None)
    scale_get = None if plural is None else _scale("get", spec, plural)
    own = Rights(mine=mine, scale_get=scale_get)
    if isinstance(who, ClientError):
        return [_of_me(me, own, f"those of the controller are not known: {who}")], own
    if me == who.user:
        return [_of_controller(who, mine, namespace)], Rights(mine=mine, controller=mine, scale_get=scale_get)
    try:
        others = await _reviewed(api, needed, namespace, who)
    except ForbiddenError:
        return [_of_me(me, own, "those of the controller are not known: you may not create subjectaccessreviews")], own
    return [_of_controller(who, others, namespace)], Rights(mine=mine, controller=others, scale_get=scale_get)


async def _plural(scale: ScaleTarget, spec: ScalerSpec) -> str | None:
    """None of a group, and of a kind that cannot be scaled, which another check tells."""
    if isinstance(spec.target, FloorRef):
        return AUTOSCALERS
    if not isinstance(spec.target, TargetRef):
        return None
    try:
        return await scale.plural(spec.target)
    except TargetError:
        return None


def _needed(spec: ScalerSpec, plural: str | None) -> Iterator[Right]:
    yield from _REPORTING
    if plural is not None:
        yield _scale("get", spec, plural)
        if spec.mode.is_acting:
            yield _scale("patch", spec, plural)
    if isinstance(spec.target, TargetRef | FloorRef):
        yield LIST_AUTOSCALERS
        if spec.lead_time_auto:
            yield LIST_PODS
    if needs_secrets(spec.metric):
        yield GET_SECRETS


def needs_secrets(metric: Metric) -> bool:
    """Whether the metric is read with what Secrets hold."""
    if not isinstance(metric, PrometheusMetric):
        return False
    tls = metric.tls
    return bool(metric.bearer or metric.basic or (tls and (tls.ca or tls.certificate)))


def _scale(verb: str, spec: ScalerSpec, plural: str) -> Right:
    """To `verb` the size of the target; that of an autoscaler is in the object itself."""
    if isinstance(spec.target, FloorRef):
        return Right(verb=verb, resource=plural, group=FLOOR_VERSION.rpartition("/")[0])
    return Right(verb=verb, resource=f"{plural}/scale", group=spec.target.api_version.rpartition("/")[0])


async def _reviewed(
    api: KubernetesApi, needed: Iterable[Right], namespace: str, who: Account | None
) -> dict[Right, bool]:
    """Raises ApiError."""
    asked = list(needed)
    return dict(zip(asked, await asyncio.gather(*(_may(api, one, namespace, who) for one in asked)), strict=True))


async def _may(api: KubernetesApi, right: Right, namespace: str, who: Account | None) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "namespace": namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
    }
    spec: Json = {"resourceAttributes": attributes}
    if who is not None:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{who.namespace}", "system:authenticated"]
        spec |= {"user": who.user, "groups": groups}
    kind = "SelfSubjectAccessReview" if who is None else "SubjectAccessReview"
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = await api.post(_MINE if who is None else _ANOTHERS, review)
    return bool(answer["status"]["allowed"])


def _of_controller(who: Account, found: Mapping[Right, bool], namespace: str) -> Finding:
    denied = [str(right) for right, is_allowed in found.items() if not is_allowed]
    if denied:
        cure = "bind the chart's role to it (rbac.create), or add them"
        return failed(CHECK, f"{who} may not {_listed(denied)} in {namespace}; {cure}")[0]
    return ok(CHECK, f"{who} may do all {len(found)} things that this needs in {namespace}")[0]


def _of_me(me: str, own: Rights, why: str) -> Finding:
    """Rights of a person are no failure by themselves: the checks that need them say so."""
    denied = [str(right) for right, is_allowed in own.mine.items() if not is_allowed]
    words = f"{me} may not {_listed(denied)}" if denied else f"{me} may do all {len(own.mine)} things that this needs"
    result = Result.SKIPPED if denied else Result.OK
    return Finding(check=CHECK, result=result, message=f"{words}; {why}")


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
