"""`doctor`: would a PredictiveScaler work, and if not, what is missing? Every part is tried, with cause and cure."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from client.access import Access
from client.checks import identity
from client.checks.examination import Examined, Who, examined, who
from client.checks.finding import Result
from client.checks.rights import who_am_i
from client.checks.tools import Tools
from client.commands import clock, console
from client.commands.options import AllNamespaces, Context, Kubeconfig, Namespace, Selector
from client.errors import ClientError
from client.resources import Choice, Resource, all_of, written
from controller.aws import Aws, AwsError
from controller.aws_spec import AwsAccess
from controller.fields import SpecError
from controller.kubernetes_api import ApiError, ConfigurationError, KubernetesApi, UnavailableError, namespace_of
from controller.targets.asg_groups import Groups

_STDIN = "-"
_DEFAULT = "default"
_ATTEMPTS = 4.0
"""A part of a check's time for each attempt of a call to AWS: three, and the pauses between them."""

_STYLES = {Result.OK: "green", Result.WARNING: "yellow", Result.FAILED: "red", Result.SKIPPED: "dim"}


class Output(StrEnum):
    """What is printed."""

    TEXT = "text"
    JSON = "json"


def doctor(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The PredictiveScaler; all of the namespace otherwise.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="Instead: its YAML; - reads it from stdin.")
    ] = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    selector: Selector = None,
    write_check: Annotated[
        bool,
        typer.Option("--write-check", help="Set an Auto Scaling group to the size that it has, to see if one may."),
    ] = False,
    prometheus: Annotated[
        str | None, typer.Option(metavar="URL", help="Which Prometheus to ask; by default the spec's address.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(metavar="FILE", help="A bearer token for it.")] = None,
    models_dir: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Where models lie that the spec names without a place.")
    ] = None,
    service_account: Annotated[
        str | None, typer.Option(metavar="NAMESPACE/NAME", help="The controller's; by default that of the chart.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, max=600, metavar="SECONDS", help="For each check.")] = 10.0,
    output: Annotated[Output, typer.Option("--output", "-o", help="Lines, or the same for programs.")] = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Try all that a PredictiveScaler needs, say what is missing and how to mend it; exit with 1 where something is."""
    if name is not None and file is not None:
        raise ClientError("give the NAME of a PredictiveScaler in the cluster, or else its YAML with -f")
    if file is not None and (all_namespaces or selector is not None):
        raise ClientError("-f is a file; -A and -l choose of the cluster: leave one away")
    if token_file is not None and prometheus is None:
        raise ClientError("--token-file: is for the address that --prometheus gives; add it")
    logging.getLogger("controller").addHandler(logging.NullHandler())  # what went wrong is told in lines of our own
    access = Access(namespace=namespace, kubeconfig=kubeconfig, context=context)
    tools = partial(
        Tools,
        seconds=timeout,
        prometheus=prometheus,
        token_file=token_file,
        models_dirs=tuple(models_dir) if models_dir else None,
        service_account=service_account,
        writes=write_check,
    )
    choose = partial(access.choice, None if name is None else [name], selector, all_namespaces=all_namespaces)
    by, found = asyncio.run(_run(access, choose, file, timeout, tools))
    if output is Output.JSON:
        typer.echo(json.dumps(_fields(by, found), indent=1, ensure_ascii=False))
    else:
        _print(by, found)
    if any(one.has_failed for one in found):
        raise typer.Exit(1)


async def _run(
    access: Access, choose: Callable[[], Choice], file: str | None, seconds: float, tools: Callable[..., Tools]
) -> tuple[str, list[Examined]]:
    """Who looked, in words, and what was found."""
    async with AsyncExitStack() as stack:
        api, no_api = await _connected(access, stack, is_needed=file is None)
        resources = await _resources(access, api, choose, file)
        aws = Aws(timeout_seconds=seconds / _ATTEMPTS, clock=clock.now)
        stack.callback(aws.close)
        made = tools(
            now=clock.now(),
            aws=aws,
            groups=Groups(aws),
            api=api,
            no_api=no_api,
            cache=Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))),
            environment=os.environ,
        )
        found = await who(made)
        by = await _by(resources, found, made)  # first: it also loads the SDK, which is no check's fault
        return by, await examined(resources, found, made)


async def _connected(access: Access, stack: AsyncExitStack, *, is_needed: bool) -> tuple[KubernetesApi | None, str]:
    """The API server; or None and why, where a file can be judged without one. Raises ClientError."""
    try:
        api = await stack.enter_async_context(await access.connect())
        await who_am_i(api)
    except ClientError as error:
        if is_needed:
            raise
        return None, str(error)
    except UnavailableError as error:
        if is_needed:
            raise ClientError(f"the cluster cannot be asked: {error}") from error
        return None, str(error)
    except (
        ApiError
    ):  # whoever is not known, or asks an API server that does not tell it, is told by the check of rights
        return api, ""
    return api, ""


async def _resources(
    access: Access, api: KubernetesApi | None, choose: Callable[[], Choice], file: str | None
) -> list[Resource]:
    if file is not None:
        return written(_read(file), "the standard input" if file == _STDIN else file, _namespace(access))
    if api is None:
        raise ClientError("there is no cluster to look at; give the YAML with -f")
    choice = choose()
    found = await all_of(api, choice)
    if not found:
        raise ClientError(f"there is no PredictiveScaler in {choice.words}; name another namespace with -n")
    return found


def _namespace(access: Access) -> str:
    if access.namespace is not None:
        return access.namespace
    try:
        return namespace_of(access.kubeconfig, access.context)
    except ConfigurationError:
        return _DEFAULT


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == _STDIN else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise ClientError(f"-f: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ClientError(f"-f: {file} is not UTF-8") from error


async def _by(resources: list[Resource], found: Who | ApiError, tools: Tools) -> str:
    """As whom all this was asked: whoever runs it, wherever that is."""
    asked = [f'Kubernetes user "{found.me}"'] if isinstance(found, Who) else []
    specs = [one.scaler.spec for one in resources if not isinstance(one.scaler.spec, SpecError)]
    access = next((access for spec in specs for access in identity.accesses(spec, tools)), None)
    if access is not None:
        asked.append(f"{await _known_as(replace(access, role=None), tools)} at AWS")
    who_asks = f"as {' and '.join(asked)}, which the controller need not be" if asked else "only"
    without = "" if tools.api is not None else f" Without a cluster: {tools.no_api}."
    return f"Looked at from here {who_asks}.{without}"


async def _known_as(access: AwsAccess, tools: Tools) -> str:
    try:
        async with asyncio.timeout(tools.seconds):
            answer = await identity.identity(access, tools)
    except TimeoutError:
        return "nobody"
    return "nobody" if isinstance(answer, AwsError) else answer.arn


def _fields(by: str, found: list[Examined]) -> dict[str, object]:
    scalers = [
        {
            "namespace": one.namespace,
            "name": one.name,
            "findings": [
                {"check": finding.check, "result": finding.result, "message": finding.message}
                for finding in one.findings
            ],
        }
        for one in found
    ]
    return {"by": by, "scalers": scalers, "failed": sum(one.has_failed for one in found)}


def _print(by: str, found: list[Examined]) -> None:
    console.paragraph(by)
    for one in found:
        console.say("")
        console.say(f"{one.namespace}/{one.name}")
        console.verdicts((f.result, _STYLES[f.result], f.check, f.message) for f in one.findings)
