"""What does the user see when a command has run? Tables and sentences on stdout, findings in files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from controller.forecaster import Model
from training import whole
from training.backtest import Report
from training.commands.console import complain, print_table, progress, say
from training.datasets import Dataset
from training.export import ExportError
from training.findings import HEADINGS, Excluded, cells, examine
from training.open_loop import OpenLoop

__all__ = [
    "complain",
    "print_open_loop",
    "print_report",
    "print_table",
    "progress",
    "say",
    "say_excluded",
    "write_findings",
    "write_json",
    "write_text",
]

_NAMED = 8  # spans that were not learned from
# What a narrow terminal can do without, the most dispensable first.
_SPARE_SCORES = ("MAPE", "R2", "MASE", "<= 90 %", "WAPE", "MAE", "<= 99 %")
_SPARE_LEVELS = ("10 %", "25 %", "75 %", "5 %", "95 %")


def print_report(report: Report, dataset: Dataset, name: str) -> None:
    """The scores of a model beside its baselines, how well its levels hold, and what is odd about the data."""
    since, until = (time.astimezone(dataset.zone) for time in (report.since, report.until))
    table = Table(title=escape(f"{name}, tested from {since} to {until}"), caption=escape(dataset.about))
    for heading in ("ahead", "forecast", *HEADINGS):
        table.add_column(heading, justify="left" if heading == "forecast" else "right")
    for step in report.steps():
        for label, score in {name: report.model, **report.baselines}.items():
            skill = f"{report.skill_at(step):+.1%}" if score is report.model else ""
            table.add_row(str(step * report.window.step), escape(label), *cells(score, step, skill))
        table.add_section()
    print_table(table, spare=_SPARE_SCORES)
    print_table(_levels(report), spare=_SPARE_LEVELS)
    say(f"skill against {report.best_baseline}, all steps and levels: {report.skill:+.1%}")
    for words in dataset.quality.words():
        say(f"data: {words}")


def _levels(report: Report) -> Table:
    table = Table(title="Share of values at or below each level, %; calibrated as the controller does")
    for heading in ("ahead", "levels", *(f"{level * 100:g} %" for level in report.model.levels), "off by"):
        table.add_column(heading, justify="left" if heading == "levels" else "right")
    for place, step in enumerate(report.steps()):
        told = {
            "forecast": report.model.coverage[step - 1],
            "calibrated": report.calibrated.coverage[place],
        }
        for name, coverage in told.items():
            off = np.abs(coverage - np.array(report.model.levels)).max()
            shares = (f"{share * 100:.1f}" for share in (*coverage, off))
            table.add_row(str(step * report.window.step), name, *shares)
        table.add_section()
    return table


def print_open_loop(loop: OpenLoop) -> None:
    """What is left of a forecast that is never told what came."""
    table = Table("forecast", "RMSE", "MAE", "WAPE", "R2", title=f"{loop.length} in one go from {loop.since}")
    for name, at in loop.to_dict()["scores"].items():
        table.add_row(escape(name), f"{at['rmse']:.4g}", f"{at['mae']:.4g}", f"{at['wape']:.1%}", f"{at['r2']:.3f}")
    print_table(table)


def write_findings(
    report: Report,
    model: Model,
    dataset: Dataset,
    *,
    open_loop: OpenLoop | None = None,
    excluded: Sequence[Excluded] = (),
    json_out: Path | None = None,
    report_out: Path | None = None,
) -> None:
    """All that the test told, as JSON and as a page, where they are asked for. Raises ExportError."""
    if json_out is None and report_out is None:
        return
    findings = examine(report, model, dataset, open_loop=open_loop, excluded=excluded)
    write_json(json_out, findings.to_dict())
    if report_out is not None:
        from training.report import write_page  # noqa: PLC0415  # matplotlib takes a second to import

        write_page(report_out, findings)
        say(f"wrote {report_out}")


def say_excluded(excluded: Sequence[Excluded], about: str) -> None:
    """What was not learned from, the first few spans by name."""
    say(f"cleaning: {about}")
    for since, until, why in excluded[:_NAMED]:
        say(f"  {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M %Z}: {why}")
    if len(excluded) > _NAMED:
        say(f"  and {len(excluded) - _NAMED} more")


def write_json(path: Path | None, found: object) -> None:
    """Write `found` where that is asked for. Raises ExportError."""
    if path is not None:
        write_text(path, json.dumps(found, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_text(path: Path | None, text: str) -> None:
    """Write `text` where that is asked for. Raises ExportError."""
    if path is None:
        return
    try:
        whole.write(path, text.encode())
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}") from error
