"""`explain`: why does a scaler ask for this many replicas, now or at another time?"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from client.access import Access, decisions_path
from client.commands import console
from client.commands.options import Context, Controller, ControllerNamespace, Kubeconfig, Namespace
from client.errors import ClientError, UnreachableError
from client.moments import moment
from client.story import headline, told
from controller.account import Account, AccountError


class Output(StrEnum):
    """How it is told."""

    TEXT = "text"
    JSON = "json"


def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The PredictiveScaler.")],
    namespace: Namespace = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The decision that stood at this time: ISO 8601, or HH:MM of your clock."),
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="Sentences, or the record for `replay`.")
    ] = Output.TEXT,
    controller: Controller = None,
    controller_namespace: ControllerNamespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Tell why a scaler asks for this many replicas, in sentences or as a record that can be replayed."""
    access = Access(
        namespace=namespace,
        controller=controller,
        controller_namespace=controller_namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    time = _moment(at)
    namespace, name = access.scaler(name)
    try:
        raw = asyncio.run(_record(access, namespace, name, time))
    except UnreachableError as error:
        console.complain(f"the controller cannot be asked: {error}")
        if at is not None:
            console.complain("the status has the last decision only, not that of --at")
        _tell_stored(asyncio.run(access.stored(namespace, name)), f"{namespace}/{name}", output)
        return
    if output is Output.JSON:
        print_json(raw)
        return
    account = read(raw)
    console.say(headline(account))
    console.tell(told(account))


async def _record(access: Access, namespace: str, name: str, at: datetime | None) -> Any:  # noqa: ANN401  # JSON
    query = {} if at is None else {"at": at.isoformat()}
    answer = await access.ask(decisions_path(namespace, name), query)
    items = answer.get("items")
    if not isinstance(items, list) or not items:
        raise UnreachableError("it answers with something other than records; is that a controller of this release?")
    return items[-1]


def _moment(text: str | None) -> datetime | None:
    now = datetime.now(UTC).astimezone()  # noqa: TID251  # whoever writes 03:12 means it by this clock
    try:
        return None if text is None else moment(text, now)
    except ValueError as error:
        raise ClientError(f"--at: {error}") from error


def read(raw: object) -> Account:
    """An account of JSON. Raises ClientError."""
    try:
        return Account.from_json(raw)
    except AccountError as error:
        raise ClientError(str(error)) from error


def print_json(raw: object) -> None:
    """Not through a console: no width and no colour may touch it."""
    typer.echo(json.dumps(raw, indent=1, ensure_ascii=False))


def _tell_stored(scaler: dict[str, Any], key: str, output: Output) -> None:
    """The short form that the status carries, of the last decision only."""
    last = (scaler.get("status") or {}).get("lastDecision")
    if last is None:
        raise ClientError(f"the status of {key} tells of no decision either")
    if output is Output.JSON:
        print_json(last)
        return
    console.say(f"{key}, {last['time']}: the last decision, from the status")
    console.tell(_short(last))


def _short(last: dict[str, Any]) -> list[tuple[str, str]]:
    loads = [f"{name} {last[key]:.6g}" for name, key in _LOADS if last.get(key) is not None]
    steps = [(step["rule"], f"{step['before']} -> {step['after']}: {step['why']}.") for step in last.get("steps", [])]
    return [("Load", f"{last['source']}: {', '.join(loads) or 'none is known'}."), *steps]


_LOADS = (("to be ready for", "demand"), ("seen", "seen"), ("forecast", "forecast"))
