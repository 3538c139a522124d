"""What does `ingest` write, and how is it read again? One long table of Parquet with the steps of every bucket.

Columns: `timestamp` (when the step begins, UTC), `bucket` (seconds), then one for each measure (null: missing). Sorted
by bucket and time; the zone, the measure and the aggregate stand in the file's metadata. Must not put values together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from math import gcd
from pathlib import Path

import numpy as np
import polars as pl

from controller.core.series import EPOCH
from training.datasets.buckets import SECOND
from training.datasets.reading import Reading
from training.datasets.request import DataError, Dataset, Request
from training.whole import replacing
from training.written import aggregate, zone

BUCKET = "bucket"
TIMESTAMP = "timestamp"
_FORMAT = "predictive-scaler.steps"
_VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucketed:
    """`measures`: for each bucket, all measures of the reading, on the same steps."""

    reading: Reading
    measures: Mapping[timedelta, Mapping[str, Dataset]]

    def of_bucket(self, bucket: timedelta) -> Dataset:
        """The measure that was asked for."""
        return self.measures[bucket][self.reading.measure]

    def table(self) -> pl.DataFrame:
        """All steps, long."""
        return pl.concat(_rows(bucket, found) for bucket, found in sorted(self.measures.items()))

    def metadata(self) -> dict[str, str]:
        """What the table does not hold."""
        reading = self.reading
        return {
            _FORMAT: _VERSION,
            "measure": reading.measure,
            "aggregate": reading.aggregate,
            "zone": str(reading.zone),
            "source": reading.source,
        }


def common_step(buckets: Sequence[timedelta]) -> timedelta:
    """The longest step that all of them are multiples of. Raises DataError."""
    if any(bucket < SECOND or bucket % SECOND for bucket in buckets):
        raise DataError("a bucket must be whole seconds")
    return gcd(*(bucket // SECOND for bucket in buckets)) * SECOND


def write(path: Path, bucketed: Bucketed) -> None:
    """Write the table at `path`, whole or not at all. Raises DataError."""
    check_writable(path)
    table = bucketed.table()
    try:
        with replacing(path) as beside:
            table.write_parquet(beside, metadata=bucketed.metadata())
            if not pl.read_parquet(beside).equals(table):
                raise DataError(f"{path} could not be read back as it was written; is the disk full?")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be written: {error}") from error


def check_writable(path: Path) -> None:
    """Before minutes are spent on what cannot be kept. Raises DataError."""
    if path.suffix != ".parquet":
        raise DataError(f"{path} must end in .parquet")
    if path.is_dir() or not path.parent.is_dir():
        raise DataError(f"{path} cannot be written: {path if path.is_dir() else path.parent} is no directory for it")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"nothing can be written in {path.parent}")


def chosen(table: pl.LazyFrame, request: Request, step: timedelta) -> tuple[pl.LazyFrame, Request]:
    """Of a table that `write` made: the rows of the longest bucket that makes up `step`. Any other table as it is.

    The request comes back with the table's own settings where it left them open. Raises DataError.
    """
    metadata = pl.read_parquet_metadata(request.data)
    if metadata.get(_FORMAT) != _VERSION:
        return table, request
    buckets = table.select(pl.col(BUCKET).unique()).collect()[BUCKET].to_list()
    fitting = [bucket for bucket in buckets if not step % timedelta(seconds=bucket)]
    if not fitting:
        known = ", ".join(str(timedelta(seconds=bucket)) for bucket in sorted(buckets))
        raise DataError(f"{request.data} has buckets of {known}; --step must be a multiple of one, not {step}")
    settings = replace(
        request,
        column=request.column or metadata["measure"],
        aggregate=request.aggregate or aggregate(metadata["aggregate"]),
        zone=request.zone or _zone(metadata["zone"]),
    )
    return table.filter(pl.col(BUCKET) == max(fitting)), settings


def _rows(bucket: timedelta, measures: Mapping[str, Dataset]) -> pl.DataFrame:
    series = next(iter(measures.values())).series
    begins = ((series.start - EPOCH) // SECOND + np.arange(len(series)) * (bucket // SECOND)) * 1_000_000
    values = {name: pl.Series(found.series.values, nan_to_null=True) for name, found in measures.items()}
    return pl.DataFrame(
        {
            TIMESTAMP: pl.Series(begins).cast(pl.Datetime("us", "UTC")),
            BUCKET: np.full(len(series), bucket // SECOND),
            **values,
        }
    )


def _zone(text: str) -> tzinfo:
    """As a zone's own `str` writes it."""
    if ":" in text:
        return datetime.strptime(text, "UTC%z").tzinfo or UTC
    return zone(text)
