"""What does a block of JSON lines say? Time, status and size of requests, under the names that common proxies give.

nginx has no names of its own, so those of its usual examples; Envoy, Caddy, Traefik, AWS API Gateway and load balancers
have. Must not mend what is no JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.datasets import clock
from training.datasets.scanned import CLASSES, SAMPLES, Scanned, shortened
from training.datasets.seconds import Ints

Bools = NDArray[np.bool_]

_TIMES = ("time", "timestamp", "@timestamp", "ts", "time_iso8601", "start_time", "StartUTC", "requestTime", "msec")
_STATUSES = ("status", "status_code", "response_code", "DownstreamStatus", "elb_status_code")
_SIZES = ("bytes", "bytes_sent", "body_bytes_sent", "size", "DownstreamContentSize", "sent_bytes", "responseLength")
_COMMON = "%d/%b/%Y:%H:%M:%S %z"  # nginx's $time_local, API Gateway's requestTime
_COMMON_SHAPE = r"^\d\d/[A-Z][a-z]{2}/\d{4}:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the time, the status and the size are called; the last two may be missing."""

    time: str
    status: str | None
    size: str | None


def names_of(lines: Sequence[bytes]) -> Names | None:
    """What the first lines call them; None where they are no log of JSON lines."""
    records = [record for line in lines if (record := _record(line))]
    time = _first(_TIMES, records)
    if not lines or len(records) * 2 <= len(lines) or time is None:
        return None
    return Names(time=time, status=_first(_STATUSES, records), size=_first(_SIZES, records))


def scan(block: bytes, names: Names, zone: tzinfo | None) -> Scanned:
    """Whole lines; `zone`: of times without one. Raises DataError where such a time is met and no zone is given."""
    lines = [line for line in block.splitlines() if line.strip()]
    texts = pl.DataFrame({"line": [line.decode("utf-8", "replace") for line in lines]}, schema={"line": pl.String})
    found = texts.select(
        time=_value(names.time),
        status=_value(names.status).cast(pl.Int64, strict=False),
        size=_value(names.size).cast(pl.Float64, strict=False).fill_null(0.0),
    )
    times, known, own = _times(found["time"], zone)
    statuses = found["status"].fill_null(0).to_numpy() // 100
    if names.status is not None:
        known = known & (statuses >= 1) & (statuses <= CLASSES[-1])
    rows = [np.ones(len(lines)), found["size"].to_numpy(), *(statuses == each for each in CLASSES)]
    bad = np.flatnonzero(~known)
    return Scanned(
        rows=len(lines),
        times=times[known],
        values=np.stack(rows)[:, known],
        malformed=len(bad),
        samples=tuple(shortened(lines[at]) for at in bad[:SAMPLES]),
        offsets=own,
    )


def _value(name: str | None) -> pl.Expr:
    """Of each line, as text; null where the line is no JSON object that has it."""
    if name is None:
        return pl.lit(None, pl.String)
    return pl.col("line").str.json_path_match(f"$['{name}']")


def _times(texts: pl.Series, zone: tzinfo | None) -> tuple[Ints, Bools, tuple[int, ...]]:
    """Seconds since 1970 UTC, whether there is one, and the first one's own offset."""
    distinct = texts.unique(maintain_order=True)
    if distinct.str.contains(_COMMON_SHAPE).any():
        distinct_seconds = distinct.str.to_datetime(_COMMON, time_unit="ms", time_zone="UTC", strict=False)
        stamps = clock.of_column(distinct_seconds, UTC)
    else:
        is_definite = distinct.str.contains(clock.DEFINITE)
        stamps = clock.read(distinct.set(~is_definite, None) if is_definite.any() else distinct, zone)
    offset = stamps.zone.utcoffset(None) if stamps.zone is not None else None
    places = pl.DataFrame({"time": distinct, "place": np.arange(len(distinct))})
    at = (
        texts.to_frame("time")
        .join(places, on="time", how="left", nulls_equal=True, maintain_order="left")["place"]
        .to_numpy()
    )
    own = () if offset is None else (round(offset.total_seconds()),)
    return stamps.seconds[at], stamps.known[at], own


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _first(names: Sequence[str], records: Sequence[dict[str, Any]]) -> str | None:
    """The first of `names` that half of the records have."""
    return next((name for name in names if 2 * sum(name in record for record in records) > len(records)), None)
