"""`fit --fleet`: a model for each series of a fleet file, or one for all of them."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from training.commands import terminal
from training.commands.options import JsonOut
from training.fleet import FleetError, Order, Outcome, fit_each, fit_global
from training.job import check_folder, check_writable
from training.roster import Roster, Share, spread

SOME_FAILED = 1
_MOST_ROWS = 40

FleetFile = Annotated[Path, typer.Option("--fleet", help="The fleet file: defaults, and a list of series.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Series at a time, a process each; by default one a core.")]
ShareOption = Annotated[
    str | None,
    typer.Option("--share", metavar="I/N", help="Only part I (from 0) of N; in an Indexed Job the pod's own part."),
]


def fit_fleet(
    fleet: FleetFile,
    out: Annotated[Path, typer.Option(help="The directory of the models.")],
    workers: Workers = None,
    share: ShareOption = None,
    one: Annotated[
        str | None, typer.Option("--global", metavar="NAME", help="One model of all series, called NAME.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Fit also what is up to date.")] = False,
    json_out: JsonOut = None,
) -> None:
    """Fit a model for each series of a fleet file, or one for all; the same as `fit --fleet`."""
    check_writable(out / "any.onnx")
    check_folder(json_out)
    now, part = wall_clock(), share_of(share)
    if one is not None and part.of > 1:
        raise FleetError("one model of all series cannot be shared out; leave out --global or --share")
    roster = spread(fleet, now)
    members = [member for member in roster.members if part.has(member.name)]
    orders = [Order(member=member, out=out, now=now, is_forced=force) for member in members]
    began, processes = perf_counter(), workers or cores()
    found = fit_each(orders, processes=processes) if one is None else fit_global(orders, one, processes=processes)
    outcomes = [*lost(roster), *watched(found, len(orders), "fitting")]
    _show(outcomes, perf_counter() - began)
    terminal.write_json(json_out, [outcome.to_dict() for outcome in outcomes])
    if any(outcome.verdict == "failed" for outcome in outcomes):
        sys.exit(SOME_FAILED)


def wall_clock() -> datetime:
    """Where the clock enters: "the newest data" is the only question that needs it."""
    return datetime.now(UTC)  # noqa: TID251  # as above


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def share_of(text: str | None) -> Share:
    """What the option says, or else the pod's own part. Raises RosterError."""
    return Share.of_pod(os.environ) if text is None else Share.parse(text)


def lost(roster: Roster) -> list[Outcome]:
    """A failed row for each entry of the fleet file that could not be spread out."""
    return [Outcome(name=name, verdict="failed", why=why) for name, why in roster.lost.items()]


def watched(found: Iterable[Any], count: int, title: str) -> list[Any]:
    """All that is found, with a bar meanwhile."""
    results = []
    with terminal.progress() as show:
        tell = show(title)
        for result in found:
            results.append(result)
            tell(len(results), count)
    return sorted(results, key=lambda result: str(result.name))


def _show(outcomes: Sequence[Outcome], seconds: float) -> None:
    table = Table(title="the series with most to say" if len(outcomes) > _MOST_ROWS else None)
    for heading in ("series", "", "family", "pinball", "naive", "skill", "s", "MiB", ""):
        table.add_column(heading, justify="left" if heading in {"series", "", "family"} else "right")
    for outcome in sorted(outcomes, key=_worst_first)[:_MOST_ROWS]:
        table.add_row(outcome.name, outcome.verdict, outcome.family, *_figures(outcome), escape(outcome.why))
    terminal.print_table(table)
    terminal.say(_summary(outcomes, seconds))


def _worst_first(outcome: Outcome) -> tuple[bool, float, str]:
    return outcome.verdict != "failed", outcome.skill if outcome.skill is not None else float("inf"), outcome.name


def _figures(outcome: Outcome) -> list[str]:
    losses = ["" if loss is None else f"{loss:.4g}" for loss in (outcome.loss, outcome.naive)]
    skill = "" if outcome.skill is None else f"{outcome.skill:+.1%}"
    return [*losses, skill, f"{outcome.seconds:.1f}", f"{outcome.peak / 2**20:.0f}"]


def _summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    counts = Counter(outcome.verdict for outcome in outcomes)
    parts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("fitted", "kept", "failed"))
    skills = sorted(outcome.skill for outcome in outcomes if outcome.skill is not None)
    middle = f"; the median skill against naive is {skills[len(skills) // 2]:+.1%}" if skills else ""
    return f"{len(outcomes)} series in {seconds:.0f} s: {parts}{middle}"
