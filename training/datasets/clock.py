"""Which moment does a timestamp name? Texts and numbers become whole seconds since 1970 UTC.

Must not guess a zone: a time without one needs to be told whose it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.datasets.request import DataError
from training.datasets.seconds import Ints

# a zone at the end of a time of day; "-05" at the end of a date is none
_ZONED = r"(?i)(?:Z|:\d\d(?:\.\d+)?\s?[+-]\d\d(?::?\d\d)?)$"
_NUMBER = r"^\d{8,}(?:\.\d+)?$"
DEFINITE = f"{_ZONED}|{_NUMBER}"
"""A time that needs nobody to tell its zone."""
_FINER = (1e17, 1e14, 1e11)  # an epoch beyond these counts nanoseconds, microseconds, milliseconds
_THOUSAND = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stamps:
    """`seconds`: int64 [n], 0 where not `known` (bool [n]). `zone`: whose wall clock; None where nobody told.

    `is_finer`: some name a fraction of a second. `is_definite`: they name their zone, or count from 1970.
    """

    seconds: Ints
    known: NDArray[np.bool_]
    zone: tzinfo | None
    is_finer: bool = False
    is_definite: bool = True


def epochs(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds, of epochs in seconds, milli-, micro- or nanoseconds; told apart by their size."""
    scale = np.ones(len(numbers))
    for limit in _FINER:
        scale = np.where(np.abs(numbers) >= limit, scale * _THOUSAND, scale)
    seconds: NDArray[np.float64] = numbers / scale
    return seconds


def read(texts: pl.Series, zone: tzinfo | None) -> Stamps:
    """Of ISO 8601, all with a zone or all without (then in `zone`), or numbers since 1970. Raises DataError."""
    texts = texts.str.strip_chars()
    if texts.str.contains(_NUMBER).any():
        return _numbers(texts)
    zoned = texts.drop_nulls().str.contains(_ZONED)
    if zoned.any() and not zoned.all():
        lost = texts.drop_nulls().filter(~zoned)[0]
        raise DataError(f"the timestamps must be ISO 8601, all with a zone or all without: {lost!r} has no zone")
    found = _written(texts.to_list(), zone or UTC, is_zoned=bool(zoned.any()))
    if zone is None and not zoned.any() and found.known.any():
        lost = texts[int(found.known.argmax())]
        raise DataError(f"timestamps such as {lost!r} have no zone; say which with --time-zone, as in UTC")
    return found if zone is not None else replace(found, zone=_own_zone(texts.to_list()))


def of_column(times: pl.Series, zone: tzinfo | None) -> Stamps:
    """Of a typed column: datetimes, dates (without a zone, in `zone`), or numbers since 1970. Raises DataError."""
    if not times.dtype.is_temporal():
        return _numbers(times)
    own = times.dtype.time_zone if isinstance(times.dtype, pl.Datetime) else None
    if own is None and zone is None:
        raise DataError("the timestamps have no zone; say which with --time-zone, as in UTC")
    moments = times.cast(pl.Datetime("us", own))
    if own is not None:
        moments = moments.dt.convert_time_zone("UTC")
    texts = moments.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f" + ("Z" if own else "")).to_list()
    return _written(texts, zone, is_zoned=own is not None)


def _numbers(column: pl.Series) -> Stamps:
    numbers = column.cast(pl.Float64, strict=False).to_numpy()
    known = np.isfinite(numbers)
    exact = epochs(np.where(known, numbers, 0.0))
    seconds = np.floor(exact)
    return Stamps(seconds=seconds.astype(np.int64), known=known, zone=None, is_finer=bool((seconds != exact).any()))


def _written(texts: list[str | None], zone: tzinfo | None, *, is_zoned: bool) -> Stamps:
    import pandas as pd  # noqa: PLC0415  # a second of start-up that an access log need not wait for

    parsed = pd.to_datetime(pd.Series(np.array(texts, object)), utc=is_zoned, format="ISO8601", errors="coerce")
    if not is_zoned:
        parsed = parsed.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    known = parsed.notna().to_numpy()
    parsed = parsed.dt.tz_convert("UTC").fillna(pd.Timestamp(0, tz="UTC"))
    whole = parsed.dt.floor("s")
    seconds = np.array(whole.dt.as_unit("s").astype("int64"), np.int64)
    return Stamps(seconds=seconds, known=known, zone=zone, is_finer=bool((whole != parsed).any()), is_definite=is_zoned)


def _own_zone(texts: Sequence[str | None]) -> tzinfo | None:
    """The first timestamp's own offset."""
    for text in texts:
        try:
            offset = datetime.fromisoformat(text or "").utcoffset()
        except ValueError:
            continue
        return timezone(offset or timedelta(0))
    return None
