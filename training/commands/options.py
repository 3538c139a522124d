"""What can be given on the command line, and how is it written? The options that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import UTC, datetime, timedelta, tzinfo
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from training import datasets, written
from training.datasets import Aggregate, Dataset

_T = TypeVar("_T")


def _told(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """The reader, with what it refuses told as typer tells it."""

    @wraps(read)
    def reader(text: str) -> _T:
        try:
            return read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return reader


duration = _told(written.duration)
zone = _told(written.zone)
moment = _told(written.moment)
aggregate = _told(written.aggregate)
share = _told(written.share)


_DATA = (
    "An access log, CSV, TXT or Parquet file (plain, gz, zst or bz2), prometheus://HOST:PORT, "
    "cloudwatch://REGION/NAMESPACE/METRIC?stat=Sum&DIMENSION=VALUE, generated:SEED, "
    "or a public trace: nasa, public:twitter, public:cloudwatch/NAME."
)
_COLUMN = "The column that holds the load; of an access log requests, bytes, 2xx, 3xx, 4xx or 5xx."


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Which data a command works on; every field is an option of it."""

    data: Annotated[str, typer.Option(help=_DATA)]
    query: Annotated[str | None, typer.Option(help="PromQL, or CloudWatch metric math, for the load, one series.")] = (
        None
    )
    column: Annotated[str | None, typer.Option(help=_COLUMN)] = None
    aggregate: Annotated[
        Aggregate | None, typer.Option(parser=aggregate, metavar="sum|mean", help="How values make a step.")
    ] = None
    zone: Annotated[
        tzinfo | None,
        typer.Option("--time-zone", parser=zone, metavar="ZONE", help="Whose wall clock the load follows."),
    ] = None
    start: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Time of the first row, without timestamps.")
    ] = None
    every: Annotated[
        timedelta | None, typer.Option(parser=duration, metavar="DURATION", help="Time between its rows.")
    ] = None
    since: Annotated[
        datetime | None, typer.Option("--from", parser=moment, metavar="TIME", help="Ignore what is earlier.")
    ] = None
    until: Annotated[datetime | None, typer.Option(parser=moment, metavar="TIME", help="Ignore what is later.")] = None
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Share of a log's lines that may be malformed.")
    ] = 0.05

    def request(self, step: timedelta, season: timedelta) -> datasets.Request:
        """What to read."""
        now = datetime.now(UTC)  # noqa: TID251  # "the newest data" is the only question that needs the clock
        return datasets.Request(step=step, season=season, now=now, **asdict(self))

    def load(self, step: timedelta, season: timedelta) -> Dataset:
        """Read it. Raises DataError."""
        return datasets.load(self.request(step, season))


def takes_source(command: Callable[..., None]) -> Callable[..., None]:
    """Makes a command of a function whose first parameter is a Source: its fields become options.

    A field that the function has a parameter for is the function's own: the Source does not hear of it.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    hints = get_type_hints(Source, include_extras=True)
    shared = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
            annotation=hints[each.name],
        )
        for each in fields(Source)
        if each.name not in {one.name for one in own}
    ]
    every = [*shared, *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own)]

    @wraps(command)
    def run(**given: Any) -> None:  # noqa: ANN401  # typer has converted them
        source = Source(**{each.name: given.pop(each.name) for each in shared})
        command(source, **given)

    run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {each.name: each.annotation for each in every}
    del run.__wrapped__  # else the signature of `command` counts
    return run


Step = Annotated[timedelta, typer.Option(parser=duration, metavar="DURATION", help="Time that one value covers.")]
Season = Annotated[timedelta, typer.Option(parser=duration, metavar="DURATION", help="Time after which load repeats.")]
Horizon = Annotated[timedelta, typer.Option(parser=duration, metavar="DURATION", help="How far ahead.")]
TestFrom = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Where the test begins; by default the last 15 %, whole seasons."),
]
ReportOut = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write a page of words and pictures, as in report.html.")
]
JsonOut = Annotated[Path | None, typer.Option("--json", help="Write all scores to this file as well.")]
