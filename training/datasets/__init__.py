"""Where does past load come from? Files, Prometheus, CloudWatch, public or generated traces: all become one Series.

Missing is not zero: a step with any missing part is NaN. Must not know what the series is used for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import numpy as np

from controller.core.series import Series
from training.datasets import files, public
from training.datasets.quality import Quality
from training.datasets.reading import Reading, of_series, within
from training.datasets.request import Aggregate, DataError, Dataset, Request
from training.generated import generate

__all__ = ["Aggregate", "DataError", "Dataset", "Quality", "Reading", "Request", "finished", "load", "read"]

_PROMETHEUS = ("prometheus", "prometheus+https")
_CLOUDWATCH = "cloudwatch"
_GENERATED = "generated"
_GENERATED_SEASONS = 28


def load(request: Request) -> Dataset:
    """Read the series, without missing steps at either end. Raises DataError."""
    found = finished(read(request, request.step).dataset(request.step), request)
    recorded = found.series.values[np.isfinite(found.series.values)]
    if len(recorded) > 1 and np.ptp(recorded) == 0:
        raise DataError(f"every step holds {recorded[0]:g}; a constant series leaves nothing to forecast")
    return found


def read(request: Request, step: timedelta) -> Reading:
    """What can be put together to multiples of `step`. Raises DataError."""
    scheme = urlsplit(request.data).scheme
    if scheme in _PROMETHEUS:
        return _from_prometheus(request, step)
    if scheme == _CLOUDWATCH:
        return _from_cloudwatch(request, step)
    if scheme == _GENERATED:
        return _from_generator(request, step)
    if public.is_public(request.data):
        return public.read(request, step)
    return files.read(request, step)


def finished(found: Dataset, request: Request) -> Dataset:
    """Only the span that was asked for, without missing steps at either end. Raises DataError."""
    series = _trimmed(_between(found.series, request.since, request.until))
    quality = within(found.quality, series)
    span = f"{series.start} to {series.end}, {len(series)} steps of {series.step}, {quality.gaps} missing"
    return replace(found, series=series, about=f"{found.about}; {span}", quality=quality)


def _between(series: Series, since: datetime | None, until: datetime | None) -> Series:
    if until is not None:
        series = series.until(until)
    if since is not None:
        series = series.tail(min(len(series), max(0, (series.end - since) // series.step)))
    return series


def _trimmed(series: Series) -> Series:
    recorded = np.flatnonzero(np.isfinite(series.values))
    if not len(recorded):
        raise DataError(
            f"no step holds a whole value: the data is shorter than {series.step}, or has holes in each; "
            "check --from, --until and the query, or change the step"
        )
    first, last = recorded[0], recorded[-1]
    end = series.end - int(len(series) - 1 - last) * series.step
    return Series(end=end, step=series.step, values=series.values[first : last + 1])


def _from_prometheus(request: Request, step: timedelta) -> Reading:
    from training.datasets import prometheus  # noqa: PLC0415  # its HTTP client costs half a second

    return prometheus.read(request, step)


def _from_cloudwatch(request: Request, step: timedelta) -> Reading:
    from training.datasets import cloudwatch  # noqa: PLC0415  # as above

    return cloudwatch.read(request, step)


def _from_generator(request: Request, step: timedelta) -> Reading:
    seed = urlsplit(request.data).path
    if not seed.isdecimal():
        raise DataError(f"{request.data}: write a whole number as the seed, as in {_GENERATED}:1")
    series = generate(int(seed), step=step, season=request.season, seasons=_GENERATED_SEASONS)
    source = f"a generated trace (seed {seed}), not a measurement"
    return of_series(series, request.aggregate or "sum", request.zone or UTC, source)
