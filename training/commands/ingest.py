"""`ingest`: put any past together into steps, once, and say what it is like."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from training import datasets
from training.commands import console
from training.commands.options import Source, takes_source
from training.datasets import bucketed, finished
from training.datasets.bucketed import Bucketed, check_writable, common_step
from training.written import duration

_DAY = timedelta(days=1)


def buckets(text: str) -> list[timedelta]:
    """Durations with commas between them."""
    try:
        return sorted({duration(each.strip()) for each in text.split(",")})
    except ValueError as error:
        raise typer.BadParameter(f"--bucket: {error}") from error


@takes_source
def ingest(
    source: Source,
    out: Annotated[Path, typer.Option(help="The table to write, as in x.parquet.")],
    bucket: Annotated[str, typer.Option(metavar="DURATION[,…]", help="The steps to make, as in 1m,5m,1h.")] = "5m",
) -> None:
    """Put past load together into steps and write them as one table, which `--data` reads."""
    check_writable(out)
    wanted = buckets(bucket)
    step = common_step(wanted)
    request = source.request(step, _DAY)
    reading = datasets.read(request, step)
    measures = {
        each: {name: finished(reading.dataset(each, name), request) for name in reading.tally.sums} for each in wanted
    }
    found = Bucketed(reading=reading, measures=measures)
    bucketed.write(out, found)
    _show(found, request.data)
    console.say(f"wrote {out}, {len(found.table())} rows")


def _show(found: Bucketed, data: str) -> None:
    table = Table(title=escape(f"{data}: {found.reading.source}"))
    for heading in ("bucket", "from", "until", "steps", "missing", "min", "mean", "max"):
        table.add_column(heading, justify="right")
    for each in found.measures:
        dataset = found.of_bucket(each)
        series = dataset.series
        span = (time.astimezone(dataset.zone).isoformat() for time in (series.start, series.end))
        figures = (f"{measure(series.values):,.6g}" for measure in (np.nanmin, np.nanmean, np.nanmax))
        table.add_row(str(each), *span, str(len(series)), str(dataset.quality.gaps), *figures)
    console.print_table(table)
    verb = {"sum": "summed", "mean": "averaged"}[found.reading.aggregate]
    console.say(f"{found.reading.measure}: {verb} in each step (--aggregate changes that)")
    for words in found.reading.quality.words():
        console.say(words)
