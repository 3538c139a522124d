"""`fit`: learn from the past, test on its last part, write a model file."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from training.calendars.reading import Reach, read
from training.cleaning.flags import How
from training.commands import terminal
from training.commands.choosing import Budget, FamilyName, Members, Wanted
from training.commands.options import Horizon, JsonOut, ReportOut, Season, Source, Step, TestFrom, moment, takes_source
from training.datasets import Dataset
from training.job import Job, check_folder, check_writable
from training.windows import Window

_YEAR = timedelta(days=365)


@takes_source
def fit(
    source: Source,
    out: Annotated[Path, typer.Option(help="The model file to write, as in models/web.onnx.")],
    family: FamilyName = "lightgbm",
    members: Members = None,
    budget: Budget = None,
    step: Step = "5m",  # type: ignore[assignment]  # typer parses the default as it does the option
    season: Season = "1d",  # type: ignore[assignment]  # as above
    horizon: Horizon = "6h",  # type: ignore[assignment]  # as above
    test_from: TestFrom = None,
    clean: Annotated[How, typer.Option(help="Which odd spans of the past are no example.")] = "both",
    calendar: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is planned, as in events.yaml or events.ics.")
    ] = None,
    calendar_until: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Follow its rules until then; else a year.")
    ] = None,
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
    for path in (report_out, json_out):
        check_folder(path)
    wanted = Wanted.of(family, members, budget)
    dataset = source.load(window.step, window.season)
    planned = None if calendar is None else read(calendar, _reach(dataset, calendar_until))
    job = Job.of(dataset, window, test_from, how=clean, calendar=planned)
    chosen = wanted.choose(job)
    with terminal.progress() as show:
        candidate = job.try_out(wanted.find(chosen, show("fitting")), name=out.stem, unit=unit, show=show)
    terminal.print_report(candidate.report, dataset, out.stem)
    for remark in candidate.fitted.remarks:
        terminal.say(remark)
    terminal.say_excluded(job.excluded(), job.flags.about)
    try:
        written = candidate.write(out, may_lose=allow_worse_than_naive, because=because)
        terminal.say(f"wrote {out}, sha256 {written.digest}")
    finally:  # also where it is refused: they tell why
        terminal.write_findings(
            candidate.report,
            candidate.model,
            dataset,
            excluded=job.excluded(),
            json_out=json_out,
            report_out=report_out,
        )


def _reach(dataset: Dataset, until: datetime | None) -> Reach:
    """From the beginning of the data on."""
    series = dataset.series
    return Reach(zone=dataset.zone, since=series.start, until=until or series.end + _YEAR)
