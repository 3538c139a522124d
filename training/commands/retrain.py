"""`retrain`: let challengers compete with the models in use, or bring an earlier model back."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from training.commands import terminal
from training.commands.fleet import (
    SOME_FAILED,
    ShareOption,
    Workers,
    cores,
    lost,
    share_of,
    wall_clock,
    watched,
)
from training.commands.options import JsonOut
from training.job import check_folder, check_writable
from training.registry import Place
from training.retraining import Decision, Order, RetrainingError, Rules, retrain_each, roll_back
from training.roster import spread

_MOST_ROWS = 40
_RULES = Rules()


def retrain(
    models: Annotated[Path, typer.Option(help="The directory of the models in use.")],
    fleet: Annotated[Path | None, typer.Option(help="The fleet file: whose models compete.")] = None,
    rollback: Annotated[str | None, typer.Option(metavar="NAME", help="Bring its earlier model back instead.")] = None,
    days: Annotated[int, typer.Option(help="Judge on the last days, seasons to be exact.")] = _RULES.days,
    fewest: Annotated[int, typer.Option(help="Judge on no fewer.")] = _RULES.fewest,
    margin: Annotated[float, typer.Option(help="The share of the champion's loss to save.")] = _RULES.margin,
    chance: Annotated[float, typer.Option(help="How often a gain may be chance.")] = _RULES.chance,
    keep: Annotated[int, typer.Option(help="Earlier models to keep of each.")] = _RULES.keep,
    workers: Workers = None,
    share: ShareOption = None,
    json_out: JsonOut = None,
) -> None:
    """Train challengers; each takes its champion's place only if it did better on days that neither had seen."""
    check_writable(models / "any.onnx")
    check_folder(json_out)
    rules = Rules(days=days, fewest=fewest, margin=margin, chance=chance, keep=keep)
    if (fleet is None) == (rollback is None):
        raise RetrainingError("say either whose models compete, with --fleet, or whose goes back, with --rollback")
    if rollback is not None:
        terminal.say(roll_back(Place(models=models, name=rollback), wall_clock(), keep).why)
        return
    assert fleet is not None  # noqa: S101  # for the type checker: one of the two is there
    decisions = _compete(fleet, models, rules, share, workers or cores())
    _show(decisions)
    terminal.write_json(json_out, [decision.to_dict() for decision in decisions])
    if any(decision.verdict == "failed" for decision in decisions):
        sys.exit(SOME_FAILED)


def _compete(fleet: Path, models: Path, rules: Rules, share: str | None, processes: int) -> list[Decision]:
    now, part = wall_clock(), share_of(share)
    roster = spread(fleet, now)
    orders = [
        Order(member=member, models=models, now=now, rules=rules) for member in roster.members if part.has(member.name)
    ]
    gone = [Decision(name=each.name, time=now, verdict="failed", why=each.why) for each in lost(roster)]
    return [*gone, *watched(retrain_each(orders, processes=processes), len(orders), "retraining")]


def _show(decisions: Sequence[Decision]) -> None:
    table = Table("series", "", "family", "days", "champion", "challenger", "")
    for decision in sorted(decisions, key=lambda each: (each.verdict == "kept", each.name))[:_MOST_ROWS]:
        losses = ("" if loss is None else f"{loss:.4g}" for loss in (decision.champion, decision.challenger))
        days = "" if decision.days is None else str(decision.days)
        table.add_row(decision.name, decision.verdict, decision.family, days, *losses, escape(decision.why))
    terminal.print_table(table)
    counts = Counter(decision.verdict for decision in decisions)
    parts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("promoted", "kept", "failed"))
    terminal.say(f"{len(decisions)} models: {parts}")
