"""What load does a table hold? Rows of CSV, plain numbers or Parquet become steps, read in parts of constant size.

Must not mend a row: what is no number or no time stops the reading with the row's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import numpy as np
import polars as pl

from controller.core.series import EPOCH
from training.datasets import bucketed, clock
from training.datasets.bucketed import TIMESTAMP
from training.datasets.buckets import SECOND, Floats
from training.datasets.compression import blocks, first_lines
from training.datasets.reading import Gathering, Reading
from training.datasets.request import Aggregate, DataError, Request

_COUNTS = ("requests", "request_count")  # how many in a period: periods add up
_LOADS = ("load", "value")  # how much at a time: periods average
_BLOCK = 2 << 20  # bytes of text at a time; up to a million rows
_ROWS = 1 << 18  # of Parquet at a time
_NOTHING = ["", "NA", "N/A", "NULL", "null", "None", "NaN", "nan", "-"]
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SEPARATORS = ",;\t|"
_NUMBERS = re.compile(rb"[\d\s.,;eE+-]*\d[\d\s.,;eE+-]*|nan|NaN")
_BETWEEN_NUMBERS = re.compile(rb"[\s,;]+")
_TXT_EVERY = timedelta(minutes=5)
_TXT_START = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday: a week of plain numbers is taken to begin with one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Which columns count, and how the values make a step. `start`, `every`: of rows without a time; seconds."""

    column: str
    aggregate: Aggregate
    start: int | None = None
    every: int = 0

    @property
    def columns(self) -> list[str]:
        return [self.column] if self.start is not None else [TIMESTAMP, self.column]


def read_csv(request: Request, step: timedelta) -> Reading:
    """A table of text with a heading. Raises DataError."""
    path = Path(request.data)
    heading = first_lines(path, 1)
    if not heading:
        raise DataError(f"{path} is empty")
    title = heading[0].removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "replace")
    if not title.replace("\t", "").isprintable():
        raise DataError(f"{path} does not begin with a line of text; save it as CSV in UTF-8")
    separator = max(_SEPARATORS, key=title.count)
    names = [name.strip().strip('"') for name in title.split(separator)]
    layout = _layout(names, request)
    places = {column: names.index(column) for column in layout.columns}
    return _read(request, step, layout, _csv_parts(path, title.encode(), separator, places))


def read_numbers(request: Request, step: timedelta) -> Reading:
    """Plain numbers, one a line or separated by commas, one each five minutes or `every`. Raises DataError."""
    start = (request.start or _TXT_START) - EPOCH
    every = request.every or _TXT_EVERY
    layout = _Layout(column="load", aggregate=request.aggregate or "mean", start=start // SECOND, every=every // SECOND)
    note = (
        ()
        if request.start
        else (f"the file names no time: it is taken to begin at {_TXT_START}; say when with --start",)
    )
    return _read(request, step, layout, _number_parts(Path(request.data)), note)


def read_parquet(request: Request, step: timedelta) -> Reading:
    """A table of Parquet. Raises DataError."""
    path = Path(request.data)
    try:
        table, request = bucketed.chosen(pl.scan_parquet(path), request, step)
        layout = _layout(table.collect_schema().names(), request)
        rows = table.select(pl.len()).collect().item()
        parts = (table.select(layout.columns).slice(at, _ROWS).collect() for at in range(0, rows, _ROWS))
        return _read(request, step, layout, parts)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {_first_line(error)}") from error


def is_numbers(path: Path, lines: list[bytes]) -> bool:
    """Whether a file that begins with `lines` holds plain numbers and nothing else."""
    if not lines or not all(_NUMBERS.fullmatch(line.strip()) for line in lines):
        return False
    columns = {line.count(b",") + line.count(b";") for line in lines}
    return ".txt" in path.suffixes or columns == {0} or len(lines) == 1


def _layout(names: list[str], request: Request) -> _Layout:
    column = _column(names, request.column)
    aggregate = request.aggregate or ("sum" if column in _COUNTS else "mean")
    if TIMESTAMP in names:
        return _Layout(column=column, aggregate=aggregate)
    if request.start is None or request.every is None:
        raise DataError(
            f"there is no column {TIMESTAMP!r} among {', '.join(names)}; rename the one that holds the time, or, "
            "without one, say with --start and --every when the first value is and how far they are apart"
        )
    start, every = (request.start - EPOCH) // SECOND, request.every // SECOND
    return _Layout(column=column, aggregate=aggregate, start=start, every=every)


def _column(names: list[str], wanted: str | None) -> str:
    if wanted is not None and wanted not in names:
        raise DataError(f"there is no column {wanted!r}; the file has {', '.join(names)}")
    known = [name for name in (*_COUNTS, *_LOADS) if name in names]
    if wanted is None and not known:
        raise DataError(f"name the column that holds the load with --column; the file has {', '.join(names)}")
    return wanted if wanted is not None else known[0]


def _csv_parts(path: Path, heading: bytes, separator: str, places: dict[str, int]) -> Iterator[pl.DataFrame]:
    """`places`: which columns to read, by name; told by place, as the heading may have them in other words."""
    is_first = True
    wanted = sorted(places, key=places.__getitem__)
    for block in blocks(path, _BLOCK):
        try:
            part = pl.read_csv(
                block.removeprefix(_BYTE_ORDER_MARK).lstrip() if is_first else heading + b"\n" + block,
                separator=separator,
                columns=[places[name] for name in wanted],
                infer_schema=False,
                null_values=_NOTHING,
            )
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{path} cannot be read as CSV: {_first_line(error)}") from error
        yield part.rename(dict(zip(part.columns, wanted, strict=True)))
        is_first = False


def _number_parts(path: Path) -> Iterator[pl.DataFrame]:
    for block in blocks(path):
        words = [word.decode("latin-1") for word in _BETWEEN_NUMBERS.split(block) if word]
        yield pl.DataFrame({"load": words}, schema={"load": pl.String})


def _read(
    request: Request, step: timedelta, layout: _Layout, parts: Iterator[pl.DataFrame], notes: tuple[str, ...] = ()
) -> Reading:
    gathering = Gathering(step // SECOND, request.now)
    zone, rows, is_definite = request.zone, 0, None
    for part in filter(len, parts):
        stamps = _stamps(part, layout, zone, rows)
        if is_definite not in {None, stamps.is_definite}:
            raise DataError(f"from row {rows + 1} on the timestamps differ: all must have a zone, or none")
        surplus = gathering.add(stamps.seconds, _numbers(part[layout.column], rows))
        if surplus and stamps.is_finer:
            raise DataError("there are several values within a second; put them together by second first")
        zone, is_definite = zone or stamps.zone, stamps.is_definite
        rows += len(part)
    tally = gathering.tally(layout.column)
    quality = replace(gathering.quality(), notes=notes)
    every = timedelta(seconds=tally.every)
    return Reading(
        tally=tally,
        measure=layout.column,
        aggregate=layout.aggregate,
        zone=zone or UTC,
        source=f"{rows} values of {layout.column}, one each {every}",
        quality=quality,
    )


def _stamps(part: pl.DataFrame, layout: _Layout, zone: tzinfo | None, row: int) -> clock.Stamps:
    """When each row's period begins; `row`: how many came before."""
    if layout.start is not None:
        seconds = layout.start + layout.every * np.arange(row, row + len(part), dtype=np.int64)
        return clock.Stamps(seconds=seconds, known=np.ones(len(part), bool), zone=None)
    column = part[TIMESTAMP]
    stamps = clock.read(column, zone) if column.dtype == pl.String else clock.of_column(column, zone)
    if not stamps.known.all():
        at = int(stamps.known.argmin())
        raise DataError(
            f"row {row + at + 1} has no definite time ({column[at]!r}); write timestamps as ISO 8601 with their zone"
        )
    return stamps


def _numbers(column: pl.Series, row: int) -> Floats:
    """NaN where nothing was recorded."""
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    numbers = column.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & column.is_not_null()
    if wrong.any():
        at = wrong.arg_max() or 0
        raise DataError(f"column {column.name!r} holds {column[at]!r} in row {row + at + 1}, which is not a number")
    values = numbers.to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
