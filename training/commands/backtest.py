"""`backtest`: judge a model file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from controller.forecaster import load_model
from training.backtest import window_of
from training.commands import terminal
from training.commands.options import JsonOut, ReportOut, Source, TestFrom, duration, takes_source
from training.job import Job, check_folder


@takes_source
def backtest(
    source: Source,
    model: Annotated[Path, typer.Option(help="The model file to judge.")],
    test_from: TestFrom = None,
    open_loop: Annotated[
        timedelta | None,
        typer.Option(parser=duration, metavar="DURATION", help="So long from one origin as well, fed by its medians."),
    ] = None,
    report_out: ReportOut = None,
    json_out: JsonOut = None,
) -> None:
    """Score a model file on the last part of the past, beside the naive forecasts."""
    judged = load_model(model)
    window = window_of(judged)
    for path in (report_out, json_out):
        check_folder(path)
    dataset = source.load(window.step, window.season)
    job = Job.of(dataset, window, test_from)
    loop = None if open_loop is None else job.let_go(judged, open_loop)
    with terminal.progress() as show:
        report = job.judge(judged, show)
    terminal.print_report(report, dataset, judged.card.name)
    if loop is not None:
        terminal.print_open_loop(loop)
    terminal.write_findings(report, judged, dataset, open_loop=loop, json_out=json_out, report_out=report_out)
