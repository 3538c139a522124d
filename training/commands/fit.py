"""`fit`: learn from the past, test on its last part, write a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.commands import terminal
from training.commands.options import Horizon, JsonOut, ReportOut, Season, Source, Step, TestFrom, takes_source
from training.families.catalogue import family_of
from training.job import Job, check_folder, check_writable
from training.windows import Window


@takes_source
def fit(
    source: Source,
    out: Annotated[Path, typer.Option(help="The model file to write, as in models/web.onnx.")],
    family: Annotated[str, typer.Option(help="lightgbm or seasonal-naive.")] = "lightgbm",
    step: Step = "5m",  # type: ignore[assignment]  # typer parses the default as it does the option
    season: Season = "1d",  # type: ignore[assignment]  # as above
    horizon: Horizon = "6h",  # type: ignore[assignment]  # as above
    test_from: TestFrom = None,
    unit: Annotated[str, typer.Option(help="The load's unit, for the card.")] = "load",
    allow_worse_than_naive: Annotated[bool, typer.Option(help="Write the file even if it loses to naive.")] = False,
    because: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why it may be better than noise allows; goes into the card.")
    ] = None,
    report_out: ReportOut = None,
    json_out: JsonOut = None,
) -> None:
    """Learn from the past, test on its last part, and write a model file if it beats the naive forecasts."""
    window = Window.fitting(step=step, season=season, horizon=horizon)
    check_writable(out)
    check_folder(report_out)
    family_of(family)  # a wrong name costs no reading
    dataset = source.load(window)
    job = Job.of(dataset, window, test_from)
    with terminal.progress() as show:
        candidate = job.try_out(family_of(family, show("fitting")), name=out.stem, unit=unit, show=show)
    terminal.print_report(candidate.report, dataset, out.stem)
    # Before it may be refused: they tell why.
    terminal.write_findings(candidate.report, candidate.model, dataset, json_out=json_out, report_out=report_out)
    written = candidate.write(out, may_lose=allow_worse_than_naive, because=because)
    terminal.say(f"wrote {out}, sha256 {written.digest}")
