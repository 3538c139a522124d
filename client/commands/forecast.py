"""`forecast`: what was the load, what is expected, and what is prepared for? A chart in the terminal."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from client.access import Access, decisions_path
from client.chart import DRAWN, PLAIN, drawn
from client.commands import clock, console
from client.commands.options import Context, Controller, ControllerNamespace, Kubeconfig, Namespace
from client.errors import ClientError, UnreachableError
from client.glance import age, short
from client.outlook import Outlook, outlook
from client.words import counted
from controller.account import Account, AccountError
from controller.fields import duration

MOST = 1000  # records that one answer of the controller may hold
_UNKNOWN_INTERVAL = timedelta(seconds=15)
_PIPED_WIDTH, _WIDEST, _HEIGHT, _LOWEST = 80, 160, 20, 12
_AROUND = 8  # lines on the terminal besides the chart

Json = Mapping[str, Any]


class Output(StrEnum):
    """How it is told."""

    CHART = "chart"
    JSON = "json"


def _duration(text: str) -> timedelta:
    try:
        found = duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no duration such as 90s, 30m or 6h") from error
    if found <= timedelta(0):
        raise typer.BadParameter("must be more than nothing, such as 30m")
    return found


def forecast(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The PredictiveScaler.")],
    namespace: Namespace = None,
    back: Annotated[
        timedelta, typer.Option(parser=_duration, metavar="DURATION", help="How much of the past, if it is recorded.")
    ] = "1h",  # type: ignore[assignment]  # typer has `parser` read it
    ahead: Annotated[
        timedelta, typer.Option(parser=_duration, metavar="DURATION", help="How much of the forecast, if it reaches.")
    ] = "3h",  # type: ignore[assignment]  # as above
    output: Annotated[Output, typer.Option("--output", "-o", help="The chart, or the numbers in it.")] = Output.CHART,
    controller: Controller = None,
    controller_namespace: ControllerNamespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Draw the load of late, its forecast, what is prepared for, and what the replicas can serve."""
    access = Access(
        namespace=namespace,
        controller=controller,
        controller_namespace=controller_namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    access.check()
    found = asyncio.run(_found(access, name, back, ahead))
    if output is Output.JSON:
        typer.echo(json.dumps(found.to_json(), indent=1))
    else:
        _draw(found)


async def _found(access: Access, name: str, back: timedelta, ahead: timedelta) -> Outlook:
    namespace, name = access.scaler(name)
    body = await _stored(access, namespace, name)
    try:
        accounts = await _accounts(access, body, back)
    except ClientError as error:
        if "spec" not in body:
            raise
        silent = "cannot be asked" if isinstance(error, UnreachableError) else "tells nothing"
        console.complain(f"the controller {silent}, so only the status is shown: {error}")
        accounts = []
    now = max([clock.now(), *(one.time for one in accounts[-1:])])  # where this clock is late, the controller's
    return outlook(body, accounts, now, back=back, ahead=ahead)


async def _stored(access: Access, namespace: str, name: str) -> dict[str, Any]:
    """The object; where the controller's address is known, its name alone will do."""
    try:
        return await access.stored(namespace, name)
    except ClientError:
        if access.controller is None:
            raise
        return {"metadata": {"namespace": namespace, "name": name}}


async def _accounts(access: Access, body: Json, back: timedelta) -> list[Account]:
    """Those of so long a past, as far as one answer goes, oldest first."""
    interval = timedelta(seconds=float(body.get("spec", {}).get("intervalSeconds") or 0)) or _UNKNOWN_INTERVAL
    limit = min(MOST, math.ceil(back / interval) + 1)
    metadata = body["metadata"]
    answer = await access.ask(decisions_path(metadata["namespace"], metadata["name"]), {"limit": str(limit)})
    items = answer.get("items")
    if not isinstance(items, list):
        raise UnreachableError("it answers with something other than records; is that a controller of this release?")
    try:
        return [Account.from_json(item) for item in items]
    except AccountError as error:
        raise UnreachableError(f"its records cannot be read: {error}") from error


def _draw(found: Outlook) -> None:
    console.paragraph(headline(found))
    if not found.seen and not found.points:
        console.say("Neither a load nor a forecast is known: kubectl predictivescaler doctor tells what is missing.")
        return
    width = console.width()
    height = _HEIGHT if width is None else min(_HEIGHT + 4, max(_LOWEST, console.height() - _AROUND))
    text = drawn(
        found,
        width=min(width or _PIPED_WIDTH, _WIDEST),
        height=height,
        is_coloured=console.is_coloured(),
        signs=PLAIN if console.is_plain() else DRAWN,
    )
    sys.stdout.write(f"{text}\n")  # typer.echo would take the colours away that were asked for


def headline(found: Outlook) -> str:
    """What matters in one sentence, with the time in UTC."""
    words = [f"{counted(found.current, 'replica')} asked for"]
    words += [] if found.ready is None else [f"{found.ready} ready"]
    words += [] if found.desired == found.current else [f"{_known(found.desired)} wanted"]
    serves = "" if found.each is None else f"; each serves {short(found.each)} well"
    late = "" if found.decided is None else _late(found.time, found.decided)
    return f"{found.namespace}/{found.name}, {found.time:%Y-%m-%d %H:%M:%S} UTC: {', '.join(words)}{serves}{late}."


def _late(now: datetime, decided: datetime) -> str:
    return f"; last decided {age(now - decided)} ago"


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)
