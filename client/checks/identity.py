"""Who is AWS told that we are? One free call for each region and role, which needs no permission."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from client.checks.finding import Findings, failed, ok
from client.checks.tools import Tools
from controller.aws import AwsError
from controller.aws_spec import AwsAccess, CloudWatchMetric, GroupRef
from controller.places.s3 import first_region
from controller.spec import ScalerSpec

CHECK = "identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """As AWS knows it."""

    arn: str
    account: str


def accesses(spec: ScalerSpec, tools: Tools) -> list[AwsAccess]:
    """How a scaler asks AWS, each once; none where it does not."""
    return list(dict.fromkeys(_accesses(spec, tools)))


async def identities(wanted: list[AwsAccess], tools: Tools) -> Findings:
    """A line for each that AWS knows, with where, and for each that it does not."""
    found = await asyncio.gather(*(identity(access, tools) for access in wanted))
    known: dict[str, list[str]] = {}
    findings: Findings = []
    for access, answer in zip(wanted, found, strict=True):
        if isinstance(answer, AwsError):
            findings += failed(CHECK, str(answer))
        else:
            known.setdefault(_words(access, answer), []).append(access.region)
    for who, regions in known.items():
        findings += ok(CHECK, f"{who}, in {' and '.join(dict.fromkeys(regions))}")
    return findings


async def identity(access: AwsAccess, tools: Tools) -> Identity | AwsError:
    """Asked of STS in that region, as that role."""
    try:
        found = await tools.aws.call(access, "sts", "get_caller_identity")
    except AwsError as error:
        return error
    return Identity(arn=str(found["Arn"]), account=str(found["Account"]))


def _accesses(spec: ScalerSpec, tools: Tools) -> Iterator[AwsAccess]:
    if isinstance(spec.metric, CloudWatchMetric):
        yield spec.metric.access
    if isinstance(spec.target, GroupRef):
        yield spec.target.access
    if spec.model is not None and spec.model.name.startswith("s3://"):
        yield AwsAccess(region=first_region(tools.environment))


def _words(access: AwsAccess, found: Identity) -> str:
    role = "" if access.role is None else ", by roleArn"
    return f"{found.arn}, account {found.account}{role}"
