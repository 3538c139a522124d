"""`backtest`: judge a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controller.forecaster import load_model
from training.backtest import window_of
from training.commands import terminal
from training.commands.options import JsonOut, Source, TestFrom, takes_source
from training.job import Job


@takes_source
def backtest(
    source: Source,
    model: Annotated[Path, typer.Option(help="The model file to judge.")],
    test_from: TestFrom = None,
    json_out: JsonOut = None,
) -> None:
    """Score a model file on the last part of the past, beside the naive forecasts."""
    judged = load_model(model)
    window = window_of(judged)
    dataset = source.load(window)
    with terminal.progress() as show:
        report = Job.of(dataset, window, test_from).judge(judged, show)
    terminal.print_report(report, dataset, judged.card.name)
    terminal.write_json(json_out, report.to_dict())
