"""In which order is a PredictiveScaler looked at? What others go by first, then the rest at once, in bounded time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from client.checks import identity, metric, model, permissions, rights, stored, target
from client.checks.finding import Findings, Result, failed, in_words, ok, skipped, within
from client.checks.rights import Account, Rights
from client.checks.tools import NO_CLUSTER, Tools
from client.errors import ClientError
from client.resources import Resource, listed
from controller.aws_spec import GroupRef
from controller.core.card import Card
from controller.fields import SpecError
from controller.kubernetes_api import ApiError
from controller.registry import Scaler
from controller.spec import ScalerSpec
from controller.targets.scale import ScaleTarget

SPEC = "spec"
TOTAL = 12.0
"""So many times the time of one check may all of them take, of all scalers."""

AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who asks Kubernetes, and who the controller is, or why that is not known."""

    me: str
    controller: Account | ClientError


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One PredictiveScaler and what was found."""

    namespace: str
    name: str
    findings: Findings

    @property
    def has_failed(self) -> bool:
        """Whether any check has."""
        return any(one.result is Result.FAILED for one in self.findings)


async def who(tools: Tools) -> Who | ApiError:
    """Asked once. Raises ClientError for a --service-account that is none."""
    if tools.api is None:
        return ApiError(tools.no_api)
    try:
        me = await rights.who_am_i(tools.api)
    except ApiError as error:
        return error
    try:
        return Who(me=me, controller=await rights.account(tools.api, tools.service_account))
    except ClientError as error:
        return Who(me=me, controller=error)


async def examined(resources: list[Resource], found: Who | ApiError, tools: Tools) -> list[Examined]:
    """All of them, some at a time."""
    deadline = asyncio.get_running_loop().time() + TOTAL * tools.seconds
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(resource: Resource) -> Examined:
        async with turns:
            return await _in_time(resource, found, tools, deadline)

    return await asyncio.gather(*(one(resource) for resource in resources))


async def _in_time(resource: Resource, found: Who | ApiError, tools: Tools, deadline: float) -> Examined:
    scaler = resource.scaler
    try:
        async with asyncio.timeout_at(deadline):
            findings = await _examined(resource, found, tools)
    except TimeoutError:
        whole = f"{TOTAL * tools.seconds:g} s"
        findings = failed(SPEC, f"not looked at: the {whole} for all were over; name fewer, or a longer --timeout")
    return Examined(namespace=scaler.namespace, name=scaler.name, findings=findings)


async def _examined(resource: Resource, found: Who | ApiError, tools: Tools) -> Findings:
    scaler, spec = resource.scaler, resource.scaler.spec
    if isinstance(spec, SpecError):
        return failed(SPEC, f"{resource.where}: {spec}" if resource.where else str(spec))
    said = stored.conditions(scaler, spec, tools.now) if resource.is_stored else []
    (may, held), known, (loads, card) = await asyncio.gather(
        _rights(scaler, spec, found, tools), _identity(spec, tools), _model(spec, tools)
    )
    rest = await _rest(scaler, spec, held, card, tools)
    return [*ok(SPEC, _summary(spec)), *said, *may, *known, *loads, *rest]


async def _rest(scaler: Scaler, spec: ScalerSpec, held: Rights, card: Card | None, tools: Tools) -> Findings:
    """All at once but a write, which comes when everything was read."""
    works = [
        within(tools.seconds, metric.CHECK, metric.metric(scaler, spec, card, held, tools)),
        within(tools.seconds, target.CHECK, target.target(scaler, spec, held, tools)),
    ]
    if spec.coordination is not None:
        works.append(within(tools.seconds, stored.COORDINATION, _coordination(scaler, spec, tools)))
    if isinstance(spec.target, GroupRef):
        works.append(within(tools.seconds, permissions.CHECK, permissions.permissions(spec.target, tools)))
    findings = [one for part in await asyncio.gather(*works) for one in part]
    if isinstance(spec.target, GroupRef):
        written = permissions.write(spec.target, scaler.namespace, tools)
        findings += await within(tools.seconds, permissions.WRITE, written)
    return findings


async def _rights(scaler: Scaler, spec: ScalerSpec, found: Who | ApiError, tools: Tools) -> tuple[Findings, Rights]:
    if tools.api is None:
        return skipped(rights.CHECK, NO_CLUSTER), Rights()
    if isinstance(found, ApiError):
        return failed(rights.CHECK, f"the API server does not say who you are: {found}"), Rights()
    try:
        async with asyncio.timeout(tools.seconds):
            return await rights.rights(
                tools.api, ScaleTarget(tools.api), found.me, found.controller, scaler.namespace, spec
            )
    except TimeoutError:
        return failed(rights.CHECK, f"not found out within {tools.seconds:g} s; --timeout allows more"), Rights()
    except ApiError as error:
        return failed(rights.CHECK, f"the API server does not say what may be done: {error}"), Rights()


async def _identity(spec: ScalerSpec, tools: Tools) -> Findings:
    wanted = identity.accesses(spec, tools)
    return await within(tools.seconds, identity.CHECK, identity.identities(wanted, tools)) if wanted else []


async def _model(spec: ScalerSpec, tools: Tools) -> tuple[Findings, Card | None]:
    try:
        async with asyncio.timeout(tools.seconds):
            return await model.model(spec, tools)
    except TimeoutError:
        return failed(model.CHECK, f"not here within {tools.seconds:g} s; --timeout allows more"), None


async def _coordination(scaler: Scaler, spec: ScalerSpec, tools: Tools) -> Findings:
    if tools.api is None:
        return skipped(stored.COORDINATION, NO_CLUSTER)
    try:
        return stored.coordination(scaler, spec, await listed(tools.api, scaler.namespace))
    except ApiError as error:
        return failed(stored.COORDINATION, f"the PredictiveScalers of {scaler.namespace} cannot be listed: {error}")


def _summary(spec: ScalerSpec) -> str:
    low, high, each = spec.policy.min_replicas, spec.policy.max_replicas, spec.policy.target_per_replica
    ref = spec.target
    return f'{spec.mode}, {ref.kind} "{ref.name}", {low} to {high} at {each:g} each, every {in_words(spec.interval)}'
