"""What does the user see while a command runs, and when it has? Bars on stderr, tables and sentences on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from training.backtest import Report
from training.datasets import Dataset
from training.export import ExportError
from training.job import Show, Tell
from training.measures import Score


@contextmanager
def progress() -> Iterator[Show]:
    """Bars on stderr; each is named when its work begins to report."""
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as bars:

        def show(title: str) -> Tell:
            bar = bars.add_task(title, total=None)
            return lambda done, total: bars.update(bar, completed=done, total=total)

        yield show


def print_report(report: Report, dataset: Dataset, name: str) -> None:
    """The scores of a model beside its baselines, one block a horizon."""
    since, until = (time.astimezone(dataset.zone) for time in (report.since, report.until))
    table = Table(title=f"{name}, tested from {since} to {until}", caption=dataset.about)
    for heading in ("ahead", "forecast", "RMSE", "MAE", "WAPE", "MASE", "pinball", "covered by 90 %", "by 99 %"):
        table.add_column(heading, justify="left" if heading == "forecast" else "right")
    scores = {name: report.model, **report.baselines}
    for step in report.steps():
        for label, score in scores.items():
            table.add_row(str(step * report.window.step), label, *_cells(score, step))
        table.add_section()
    print_table(table)
    say(f"skill against {report.best_baseline}, all steps and levels: {report.skill:+.1%}")


def _cells(score: Score, step: int) -> list[str]:
    at = score.at(step)
    figures = [f"{at[measure]:.4g}" for measure in ("rmse", "mae")]
    shares = [f"{at['wape']:.1%}", f"{at['mase']:.3f}", f"{at['pinball']:.4g}"]
    return [*figures, *shares, *(f"{at['coverage'].get(level, float('nan')):.1%}" for level in ("0.9", "0.99"))]


def print_table(table: Table) -> None:
    """As wide as the terminal; 120 columns in a file."""
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def say(text: str) -> None:
    """One plain line on stdout."""
    Console(soft_wrap=True).print(text, highlight=False, markup=False)


def complain(text: str) -> None:
    """One plain line on stderr."""
    Console(stderr=True, soft_wrap=True).print(text, style="red", highlight=False, markup=False)


def write_json(path: Path | None, found: object) -> None:
    """Write `found` where that is asked for. Raises ExportError."""
    if path is None:
        return
    try:
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}") from error
