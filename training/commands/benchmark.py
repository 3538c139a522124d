"""`benchmark`: all families on a public trace, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from training import datasets
from training.benchmark import NAIVE, TRACES, Cell, Setting, Task, run
from training.cleaning.flags import How
from training.commands import terminal
from training.commands.options import JsonOut, duration
from training.datasets import DataError
from training.families.catalogue import FAMILIES
from training.families.family import FitError
from training.job import check_folder

_AHEAD = {1: "1 min", 5: "5", 10: "10", 15: "15", 30: "30", 60: "60", 360: "360"}
_WIDTH = 160


def benchmark(
    trace: Annotated[str, typer.Argument(help="nasa.")],
    data: Annotated[str | None, typer.Option(help="The trace in a file of yours.")] = None,
    families: Annotated[str, typer.Option(help="Some of the families, with commas.")] = ",".join(FAMILIES),
    steps: Annotated[str | None, typer.Option(help="Some of the steps, as in 5m,15m.")] = None,
    clean: Annotated[How, typer.Option(help="Which odd spans of the past are no example.")] = "both",
    longest: Annotated[
        timedelta, typer.Option(parser=duration, metavar="DURATION", help="After this a cell has failed.")
    ] = "20m",  # type: ignore[assignment]  # typer parses the default as it does the option
    json_out: JsonOut = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table to this file as well.")] = None,
) -> None:
    """Judge all families at several steps on a public trace; exit 1 when any of them fails."""
    for path in (json_out, markdown):
        check_folder(path)
    tasks = [
        task
        for setting in _settings(trace, steps)
        for task in _tasks(setting, data or TRACES[trace].data, families.split(","), clean)
    ]
    cells = []
    with terminal.progress() as show:
        tell = show("cells")
        for cell in run(tasks, longest=longest):
            cells.append(cell)
            tell(len(cells), len(tasks))
            # After each of them: an interrupted run of half an hour has told something.
            terminal.write_json(json_out, {"trace": trace, "cells": [cell.to_dict() for cell in cells]})
    terminal.print_table(_table(trace, cells), width=_WIDTH)
    terminal.write_text(markdown, _markdown(cells))
    failed = [cell for cell in cells if cell.failure is not None]
    for cell in failed:
        terminal.complain(f"{cell.family} at {cell.step}: {cell.failure}")
    if failed:
        raise typer.Exit(1)


def _settings(trace: str, steps: str | None) -> Sequence[Setting]:
    if trace not in TRACES:
        raise DataError(f"there is no benchmark {trace!r}; choose from {', '.join(TRACES)}")
    known = {setting.step: setting for setting in TRACES[trace].settings}
    wanted = list(known) if steps is None else [duration(step) for step in steps.split(",")]
    for step in wanted:
        if step not in known:
            raise DataError(f"{trace} is not judged at steps of {step}; choose from {', '.join(map(str, known))}")
    return [known[step] for step in wanted]


def _tasks(setting: Setting, data: str, families: Sequence[str], how: How) -> list[Task]:
    """The naive ones first: the others are measured against them."""
    for family in families:
        if family not in FAMILIES:
            raise FitError(f"there is no family {family!r}; choose from {', '.join(FAMILIES)}")
    window = setting.window
    now = datetime.now(UTC)  # noqa: TID251  # the door asks for it; a trace of the past does not change
    dataset = datasets.load(datasets.Request(data=data, step=window.step, season=window.season, now=now))
    job = setting.job(dataset, how)
    return [Task(family=family, job=job, alone=setting.alone) for family in dict.fromkeys((*NAIVE, *families))]


def _headings() -> list[str]:
    return ["step", "family", *_AHEAD.values(), "pinball", "skill", "levels off", "fit s", "us/row", "MB", "9 days"]


def _row(cell: Cell) -> list[str]:
    if cell.report is None or cell.outcome is None:
        return [str(cell.step), cell.family, "failed", *[""] * (len(_headings()) - 3)]
    rmse, off, alone = cell.rmse(), cell.off(), cell.alone()
    errors = [rmse.get(timedelta(minutes=minutes)) for minutes in _AHEAD]
    return [
        str(cell.step),
        cell.family,
        *("" if error is None else f"{error:.2f}" for error in errors),
        f"{cell.report.model.loss:.3f}",
        "" if cell.family in NAIVE else f"{cell.report.skill:+.1%}",
        f"{off['forecast'] * 100:.1f} > {off['calibrated'] * 100:.1f}",
        f"{cell.outcome.fit_seconds:.1f}",
        f"{cell.outcome.row_microseconds:.0f}",
        f"{cell.outcome.megabytes:.0f}",
        "" if alone is None else f"{alone:.1f}",
    ]


def _table(trace: str, cells: Sequence[Cell]) -> Table:
    table = Table(
        title=f"{trace}: RMSE by minutes ahead, and what it costs",
        caption="Skill: the share of the better naive forecast's pinball loss that is saved, all steps and levels. "
        "Levels off: points by which a level is off, at most: as forecast > after the controller's calibration. "
        "9 days: RMSE from a single origin, fed by its own medians.",
    )
    for heading in _headings():
        table.add_column(heading, justify="left" if heading == "family" else "right", no_wrap=True)
    for before, cell in zip([None, *cells], cells, strict=False):
        if before is not None and before.step != cell.step:
            table.add_section()
        table.add_row(*_row(cell))
    return table


def _markdown(cells: Sequence[Cell]) -> str:
    rows = [_headings(), ["---"] * len(_headings()), *map(_row, cells)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
