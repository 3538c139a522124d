"""What load does a table hold? Rows of times and values become a Series.

Missing is not zero: a step with any missing part is NaN. Must not know what the series is used for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from controller.core.series import EPOCH, Series, floor_to_step
from training.datasets.request import Aggregate, DataError, Dataset, Request

Floats = NDArray[np.float64]

_COUNTS = ("requests", "request_count")  # how many in a period: periods add up
_LOADS = ("load", "value")  # how much at a time: periods average
_TIMESTAMP = "timestamp"
_SECOND = timedelta(seconds=1)
_ZONED = re.compile(r"(?:Z|:\d\d(?:\.\d+)?[+-]\d\d(?::?\d\d)?)$", re.IGNORECASE)


def read(request: Request) -> Dataset:
    """Read a CSV file. Raises DataError."""
    table = _table(Path(request.data))
    column = _column(table, request.column)
    aggregate = request.aggregate or ("sum" if column in _COUNTS else "mean")
    values = _numbers(table[column], column)
    times, zone = _times(table, request)
    if not len(values):
        raise DataError(f"{request.data} has a heading but no rows")
    series, every = _buckets(times, values, request.step, aggregate)
    verb = {"sum": "summed", "mean": "averaged"}[aggregate]
    about = f"{len(values)} values of {column}, one each {every}, {verb} in steps of {request.step}"
    return Dataset(series=series, zone=zone, about=about)


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty") from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error


def _column(table: pd.DataFrame, wanted: str | None) -> str:
    names = [str(name) for name in table.columns]
    if wanted is not None and wanted not in names:
        raise DataError(f"there is no column {wanted!r}; the file has {', '.join(names)}")
    known = [name for name in (*_COUNTS, *_LOADS) if name in names]
    if wanted is None and not known:
        raise DataError(f"name the column that holds the load with --column; the file has {', '.join(names)}")
    return wanted if wanted is not None else known[0]


def _numbers(column: pd.Series[float], name: str) -> Floats:
    try:
        values = pd.to_numeric(column).to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise DataError(f"column {name!r} holds something that is not a number: {error}") from error
    if (values < 0).any():
        row = int(np.flatnonzero(values < 0)[0])
        raise DataError(f"column {name!r} holds a load below zero, {values[row]:g} in row {row + 1}")
    return np.where(np.isfinite(values), values, np.nan)


def _times(table: pd.DataFrame, request: Request) -> tuple[NDArray[np.int64], tzinfo]:
    """When each value's period begins, in whole seconds since 1970 UTC, and whose wall clock that is."""
    if _TIMESTAMP in table.columns:
        return _stamps([str(stamp) for stamp in table[_TIMESTAMP]], request.zone)
    if request.start is None or request.every is None:
        raise DataError(f"there is no column {_TIMESTAMP!r}; say when the first value is with --start and --every")
    first, every = (request.start - EPOCH) // _SECOND, request.every // _SECOND
    return first + every * np.arange(len(table), dtype=np.int64), request.zone or request.start.tzinfo or UTC


def _stamps(stamps: Sequence[str], zone: tzinfo | None) -> tuple[NDArray[np.int64], tzinfo]:
    try:
        if zone is None:
            zone = _own_zone(stamps)
        parsed = pd.to_datetime(pd.Series(stamps, dtype=str), utc=_is_zoned(stamps), format="ISO8601")
        if parsed.dt.tz is None:
            parsed = parsed.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    except ValueError as error:
        raise DataError(
            f"the timestamps cannot be read as ISO 8601, all with a zone or all without: {error}"
        ) from error
    if parsed.isna().any():
        row = int(parsed.isna().to_numpy().argmax())
        raise DataError(f"row {row + 1} has no definite time ({stamps[row]!r}); write timestamps with their zone")
    seconds = parsed.dt.tz_convert("UTC").dt.as_unit("s").astype("int64")
    return np.array(seconds, np.int64), zone


def _is_zoned(stamps: Sequence[str]) -> bool:
    """Raises ValueError where some have a zone and some have none."""
    zoned = [_ZONED.search(stamp) is not None for stamp in stamps]
    if any(zoned) and not all(zoned):
        raise ValueError(f"{stamps[zoned.index(False)]!r} has no zone")
    return any(zoned)


def _own_zone(stamps: Sequence[str]) -> tzinfo:
    """The first timestamp's own offset. Raises DataError where it has none."""
    offset = datetime.fromisoformat(stamps[0]).utcoffset() if stamps else timedelta(0)
    if offset is None:
        raise DataError(f"timestamps such as {stamps[0]!r} have no zone; say which with --time-zone, as in UTC")
    return timezone(offset)


def _buckets(
    times: NDArray[np.int64], values: Floats, step: timedelta, aggregate: Aggregate
) -> tuple[Series, timedelta]:
    """Values put together by step, and the time between two of them; a step that lacks a value is NaN."""
    times, first_of = np.unique(times, return_index=True)  # a row that comes twice is one row
    values = values[first_of]
    every = _interval(times, step)
    per_step = step // every
    begin = (floor_to_step(EPOCH + int(times[0]) * _SECOND, step) - EPOCH) // _SECOND
    places = (times - begin) // round(step.total_seconds())
    count = int(places[-1]) + 1
    present = np.bincount(places, weights=np.isfinite(values), minlength=count)
    sums = np.bincount(places, weights=np.nan_to_num(values), minlength=count)
    whole = sums if aggregate == "sum" else sums / np.maximum(present, 1)
    end = EPOCH + (begin * _SECOND) + count * step
    return Series(end=end, step=step, values=np.where(present >= per_step, whole, np.nan)), every


def _interval(times: NDArray[np.int64], step: timedelta) -> timedelta:
    """The usual time between two values. Raises DataError when steps cannot be made of it."""
    if len(times) == 1:
        return step
    between, counts = np.unique(np.diff(times), return_counts=True)
    every = timedelta(seconds=int(between[counts.argmax()]))
    if step % every:
        raise DataError(f"the data has a value each {every}; --step must be a multiple of that, not {step}")
    return every
