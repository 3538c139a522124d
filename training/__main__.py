"""What can one ask of training? The command line: `fit` makes a model file, `backtest` judges one.

Every error is one line and exit code 2; an interrupted run leaves nothing behind. Must not compute anything itself.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from controller.core.series import Series
from controller.forecaster import Model, load_model
from controller.ports import ModelError
from training import datasets, export
from training.backtest import BacktestError, Report, Score, backtest, hold_out, window_of
from training.datasets import Aggregate, DataError, Dataset
from training.export import ExportError
from training.families.family import Family, FitError
from training.families.lightgbm import LightGBM
from training.families.seasonal import PERSISTENCE, SEASONAL_NAIVE
from training.windows import Window, WindowError

_TEST_SHARE = 0.15  # of the series is kept for the test when nobody says where it begins
_BASELINES = (PERSISTENCE, SEASONAL_NAIVE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:\d+[smhdw])+")
_USER_ERROR = 2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make and judge forecasters: one ONNX file each.",
)


def duration(text: str) -> timedelta:
    """'90s', '5m', '6h', '1d', '2w' or several of them in a row."""
    if not _DURATION.fullmatch(text) or not any(digit in text for digit in "123456789"):
        raise typer.BadParameter(f"{text!r} is not a duration such as 5m, 6h or 1d")
    return timedelta(seconds=sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)(\w)", text)))


def zone(text: str) -> tzinfo:
    """A name of the time zone database."""
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise typer.BadParameter(f"{text!r} is not a time zone such as UTC or Europe/Berlin") from error


def moment(text: str) -> datetime:
    """ISO 8601; with a zone, or else UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-01-31T12:00:00+01:00") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def aggregate(text: str) -> Aggregate:
    """Sum or mean."""
    if text == "sum":
        return "sum"
    if text == "mean":
        return "mean"
    raise typer.BadParameter(f"{text!r} is neither sum nor mean")


_Data = Annotated[str, typer.Option(help="A CSV file, prometheus://HOST:PORT, or generated:SEED.")]
_Query = Annotated[str | None, typer.Option(help="PromQL for the load, one series.")]
_Column = Annotated[str | None, typer.Option(help="The CSV column that holds the load.")]
_Aggregate = Annotated[
    Aggregate | None, typer.Option(parser=aggregate, metavar="sum|mean", help="How values make a step.")
]
_Zone = Annotated[
    tzinfo | None, typer.Option("--time-zone", parser=zone, metavar="ZONE", help="Whose wall clock the load follows.")
]
_Start = Annotated[
    datetime | None, typer.Option(parser=moment, metavar="TIME", help="Time of the first row, without timestamps.")
]
_Every = Annotated[timedelta | None, typer.Option(parser=duration, metavar="DURATION", help="Time between its rows.")]
_From = Annotated[
    datetime | None, typer.Option("--from", parser=moment, metavar="TIME", help="Ignore what is earlier.")
]
_Until = Annotated[datetime | None, typer.Option(parser=moment, metavar="TIME", help="Ignore what is later.")]
_TestFrom = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Where the test begins; by default the last 15 %, whole seasons."),
]
_Json = Annotated[Path | None, typer.Option("--json", help="Write all scores to this file as well.")]
_Step = Annotated[timedelta, typer.Option(parser=duration, metavar="DURATION", help="Time that one value covers.")]
_Season = Annotated[timedelta, typer.Option(parser=duration, metavar="DURATION", help="Time after which load repeats.")]


@app.command()
def fit(
    data: _Data,
    out: Annotated[Path, typer.Option(help="The model file to write, as in models/web.onnx.")],
    family: Annotated[str, typer.Option(help="lightgbm or seasonal-naive.")] = "lightgbm",
    step: _Step = "5m",  # type: ignore[assignment]  # typer parses the default as it does the option
    season: _Season = "1d",  # type: ignore[assignment]  # as above
    horizon: Annotated[timedelta, typer.Option(parser=duration, metavar="DURATION", help="How far ahead.")] = "6h",  # type: ignore[assignment]  # as above
    query: _Query = None,
    column: _Column = None,
    aggregate: _Aggregate = None,
    time_zone: _Zone = None,
    start: _Start = None,
    every: _Every = None,
    since: _From = None,
    until: _Until = None,
    test_from: _TestFrom = None,
    unit: Annotated[str, typer.Option(help="The load's unit, for the card.")] = "load",
    allow_worse_than_naive: Annotated[bool, typer.Option(help="Write the file even if it loses to naive.")] = False,
    json_out: _Json = None,
) -> None:
    """Learn from the past, test on its last part, and write a model file if it beats the naive forecasts."""
    window = Window.fitting(step=step, season=season, horizon=horizon)
    _check_writable(out)
    chosen = _family(family)
    dataset = _load(data, window, query, column, aggregate, time_zone, start, every, since, until)
    job = _Job(dataset=dataset, window=window, since=test_from or _split(dataset, window))
    report = job.make(chosen, out, unit=unit, may_lose=allow_worse_than_naive)
    _write_json(json_out, report)


@app.command()
def shipped(out: Annotated[Path, typer.Option(help="The directory of the models.")]) -> None:
    """Make the models that come with the project anew; they know a generated trace only."""
    window = Window.fitting(step=timedelta(minutes=5), season=timedelta(days=1), horizon=timedelta(hours=6))
    path = out / f"{SEASONAL_NAIVE.name}.onnx"
    _check_writable(path)
    dataset = _load("generated:1", window)
    job = _Job(dataset=dataset, window=window, since=_split(dataset, window))
    job.make(lambda _show: SEASONAL_NAIVE, path, unit="load", may_lose=False)


@app.command("backtest")
def judge(
    data: _Data,
    model: Annotated[Path, typer.Option(help="The model file to judge.")],
    query: _Query = None,
    column: _Column = None,
    aggregate: _Aggregate = None,
    time_zone: _Zone = None,
    start: _Start = None,
    every: _Every = None,
    since: _From = None,
    until: _Until = None,
    test_from: _TestFrom = None,
    json_out: _Json = None,
) -> None:
    """Score a model file on the last part of the past, beside the naive forecasts."""
    judged = load_model(model)
    window = window_of(judged)
    dataset = _load(data, window, query, column, aggregate, time_zone, start, every, since, until)
    job = _Job(dataset=dataset, window=window, since=test_from or _split(dataset, window))
    with _progress() as show:
        report = job.judge(judged, show)
    _print_report(report, dataset, judged.card.name)
    _write_json(json_out, report)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A series cut in two: what may be learned from, and from `since` on what it is tested on."""

    dataset: Dataset
    window: Window
    since: datetime

    @property
    def past(self) -> Series:
        return self.dataset.series.until(self.since)

    def make(self, family: Callable[[_Show], Family], out: Path, *, unit: str, may_lose: bool) -> Report:
        """Fit on the past, judge on the rest, and write the file."""
        with _progress() as show:
            fitted = family(show).fit(self.past, self.window, self.dataset.zone)
            model = export.draft(fitted, self.past, self.window, name=out.stem, unit=unit)
            report = self.judge(model, show)
        _print_report(report, self.dataset, out.stem)
        if not may_lose:
            export.refuse_losers(report, fitted.family)
        written = export.write(fitted, export.with_scores(model.card, report), out)
        _say(f"wrote {out}, sha256 {written.digest}")
        return report

    def judge(self, model: Model, show: _Show) -> Report:
        """Beside baselines whose bands come from the same past."""
        baselines = {family.name: self._baseline(family) for family in _BASELINES}
        return backtest(model, baselines, self.dataset.series, self.dataset.zone, self.since, show("testing"))

    def _baseline(self, family: Family) -> Model:
        fitted = family.fit(self.past, self.window, self.dataset.zone)
        return export.draft(fitted, self.past, self.window, name=family.name, unit="load")


def _split(dataset: Dataset, window: Window) -> datetime:
    return hold_out(dataset.series, share=_TEST_SHARE, season=window.season)


_Tell = Callable[[int, int], None]
_Show = Callable[[str], _Tell]


def _load(
    data: str,
    window: Window,
    query: str | None = None,
    column: str | None = None,
    how: Aggregate | None = None,
    time_zone: tzinfo | None = None,
    start: datetime | None = None,
    every: timedelta | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Dataset:
    request = datasets.Request(
        data=data,
        step=window.step,
        season=window.season,
        now=datetime.now(UTC),  # noqa: TID251  # "the newest data" is the only question that needs the clock
        query=query,
        column=column,
        aggregate=how,
        zone=time_zone,
        start=start,
        every=every,
        since=since,
        until=until,
    )
    return datasets.load(request)


def _family(name: str) -> Callable[[_Show], Family]:
    """How to make the family, once it can show its progress."""
    families: dict[str, Callable[[_Show], Family]] = {
        "lightgbm": lambda show: LightGBM(progress=show("fitting")),
        "seasonal-naive": lambda _show: SEASONAL_NAIVE,
    }
    if name not in families:
        raise FitError(f"there is no family {name!r}; choose from {', '.join(families)}")
    return families[name]


def _check_writable(out: Path) -> None:
    """Before minutes are spent on what cannot be kept."""
    if out.suffix != ".onnx":
        raise ExportError(f"{out} must end in .onnx, or the controller will not find it")
    if not out.parent.is_dir():
        raise ExportError(f"there is no directory {out.parent}")
    if not os.access(out.parent, os.W_OK):
        raise ExportError(f"nothing can be written in {out.parent}")


@contextmanager
def _progress() -> Iterator[_Show]:
    """Bars on stderr; each is named when its work begins to report."""
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as bars:

        def show(title: str) -> _Tell:
            bar = bars.add_task(title, total=None)
            return lambda done, total: bars.update(bar, completed=done, total=total)

        yield show


def _print_report(report: Report, dataset: Dataset, name: str) -> None:
    since, until = (time.astimezone(dataset.zone) for time in (report.since, report.until))
    table = Table(title=f"{name}, tested from {since} to {until}", caption=dataset.about)
    for heading in ("ahead", "forecast", "RMSE", "MAE", "WAPE", "MASE", "pinball", "covered by 90 %", "by 99 %"):
        table.add_column(heading, justify="left" if heading == "forecast" else "right")
    scores = {name: report.model, **report.baselines}
    for step in report.steps():
        for label, score in scores.items():
            table.add_row(str(step * report.window.step), label, *_cells(score, step))
        table.add_section()
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    _say(f"skill against {report.best_baseline}, all steps and levels: {report.skill:+.1%}")


def _cells(score: Score, step: int) -> list[str]:
    at = score.at(step)
    figures = [f"{at[measure]:.4g}" for measure in ("rmse", "mae")]
    shares = [f"{at['wape']:.1%}", f"{at['mase']:.3f}", f"{at['pinball']:.4g}"]
    return [*figures, *shares, *(f"{at['coverage'].get(level, float('nan')):.1%}" for level in ("0.9", "0.99"))]


def _write_json(path: Path | None, report: Report) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(report.to_dict(), indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}") from error


def _say(text: str) -> None:
    Console(soft_wrap=True).print(text, highlight=False, markup=False)


def main() -> None:
    """Run the command line; what the user can mend is one line on stderr and exit code 2."""
    try:
        app()
    except (DataError, WindowError, FitError, BacktestError, ExportError, ModelError) as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="red", highlight=False, markup=False)
        sys.exit(_USER_ERROR)


if __name__ == "__main__":
    main()
