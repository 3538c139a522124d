"""`get`: how are the scalers, and which of them needs somebody? One table, what needs attention first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import typer

from client.access import Access
from client.commands import clock, console
from client.commands.options import AllNamespaces, Context, Kubeconfig, Namespace, Selector
from client.commands.printing import Form, print_objects
from client.errors import ClientError
from client.glance import Glance, Level, glance
from client.resources import Choice, chosen
from client.table import Table, ordered, table

_TOLD = 5  # concerns that are told under the table
_HOUR_OF_TWO_SECONDS = 1800
_INTERRUPTED = 130  # as a shell tells of a program that Ctrl-C ended

Json = Mapping[str, Any]


class Output(StrEnum):
    """What is printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class Order(StrEnum):
    """Of the rows."""

    ATTENTION = "attention"
    NAME = "name"


def get(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Which; otherwise all.")] = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    selector: Selector = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="The table, all its columns, or the objects.")
    ] = Output.TABLE,
    sort_by: Annotated[Order, typer.Option(help="What needs attention first, or by name.")] = Order.ATTENTION,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the table's first line out.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again and again; on a pipe print the rows that changed.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=1, max=3600, metavar="SECONDS", help="How long --watch waits between two looks.")
    ] = 2.0,
    times: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="LOOKS", help="After how many looks --watch ends.")
    ] = _HOUR_OF_TWO_SECONDS,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """List scalers with their sizes, loads and trust, what needs attention first."""
    access = Access(namespace=namespace, kubeconfig=kubeconfig, context=context)
    choice = access.choice(names, selector, all_namespaces=all_namespaces)
    view = _View(choice, output, sort_by, has_header=not no_headers)
    if not watch:
        view.show(asyncio.run(_read(access, choice)))
        return
    if output not in {Output.TABLE, Output.WIDE}:
        raise ClientError(f"--watch shows a table; leave it away, or -o {output}")
    try:
        _watch(access, view, every, times)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


async def _read(access: Access, choice: Choice) -> list[dict[str, Any]]:
    async with await access.connect() as api:
        return await chosen(api, choice)


def _watch(access: Access, view: _View, every: float, times: int) -> None:
    """Each look connects anew, so that credentials that ran out meanwhile are read again."""
    is_live = console.width() is not None
    for look in range(times):
        if look:
            time.sleep(every)
        try:
            bodies = asyncio.run(_read(access, view.choice))
        except ClientError as error:
            if not look:  # a mistake, not an outage
                raise
            console.complain(f"{clock.now():%H:%M:%S}Z: {error}; it is tried again")
            continue
        if is_live:
            console.clear()
            console.say(f"{clock.now():%H:%M:%S}Z, every {every:g} s; Ctrl-C ends it")
            view.show(bodies)
        else:
            view.show_changed(bodies)


class _View:
    """How what was found is shown. `choice`: what was asked for."""

    def __init__(self, choice: Choice, output: Output, order: Order, *, has_header: bool) -> None:
        self.choice = choice
        self._output = output
        self._order = order
        self._has_header = has_header
        self._shown: dict[str, Glance] = {}

    def show(self, bodies: Sequence[Json]) -> None:
        """All of them."""
        if self._output in {Output.JSON, Output.YAML, Output.NAME}:
            print_objects(bodies, Form(self._output), is_list=len(self.choice.names) != 1)
            return
        if not bodies:
            console.complain(f"there is no PredictiveScaler in {self.choice.words}")
            return
        found = self._glances(bodies)
        laid_out = self._table(found)
        console.rows(self._lines(laid_out, is_first=True))
        if console.width() is not None:
            _tell(found, laid_out, has_namespace=self.choice.namespace is None)

    def show_changed(self, bodies: Sequence[Json]) -> None:
        """Only the rows of which something is new besides their age."""
        found = self._glances(bodies)
        laid_out = self._table(found)
        news = {f"{one.namespace}/{one.name}": _ageless(one) for one in found}
        if not self._shown and self._has_header:
            typer.echo(laid_out.header)
        for (key, now), row in zip(news.items(), laid_out.rows, strict=True):
            if self._shown.get(key) != now:
                typer.echo(row)
        for key in self._shown.keys() - news.keys():
            typer.echo(f"{key} is gone")
        self._shown = news

    def _glances(self, bodies: Sequence[Json]) -> list[Glance]:
        now = clock.now()
        return ordered((glance(body, now) for body in bodies), by_name=self._order is Order.NAME)

    def _table(self, found: Sequence[Glance]) -> Table:
        is_wide = self._output is Output.WIDE
        return table(found, has_namespace=self.choice.namespace is None, is_wide=is_wide, width=console.width())

    def _lines(self, laid_out: Table, *, is_first: bool) -> list[tuple[str, str]]:
        """Each with its style."""
        header = [(laid_out.header, "bold")] if is_first and self._has_header else []
        return header + [(row, _STYLES[level]) for row, level in zip(laid_out.rows, laid_out.levels, strict=True)]


_STYLES = {Level.FAILED: "red", Level.WARNING: "yellow", Level.OFF: "dim", Level.WELL: ""}


def _ageless(one: Glance) -> Glance:
    """The same but for what grows with time alone."""
    return replace(one, age=None, concern=replace(one.concern, message=""))


def _tell(found: Sequence[Glance], laid_out: Table, *, has_namespace: bool) -> None:
    """On a terminal: what is wrong, in a sentence each, and what the table left out."""
    troubled = [one for one in found if one.concern.level <= Level.WARNING]
    for one in troubled[:_TOLD]:
        name = f"{one.namespace}/{one.name}" if has_namespace else one.name
        console.paragraph(
            f"{name}: {one.concern.reason}: {one.concern.message}", before="\n" if one is troubled[0] else ""
        )
    if len(troubled) > _TOLD:
        console.say(f"and {len(troubled) - _TOLD} more")
    if laid_out.left_out:
        console.whisper(f"(-o wide also shows {', '.join(laid_out.left_out)})")
