"""What load does a Prometheus remember? One query over a range becomes a Series. Must not put values together."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from controller.ports import MetricError
from controller.sources.prometheus import fetch_range
from training.datasets.reading import Reading, of_series
from training.datasets.request import DataError, Request

SCHEMES = {"prometheus": "http", "prometheus+https": "https"}
_DEFAULT_SEASONS = 28  # how far back Prometheus is asked when nobody says


def read(request: Request, step: timedelta) -> Reading:
    """Ask for the span of the request, by default the last four weeks of seasons. Raises DataError."""
    parts = urlsplit(request.data)
    query = request.query or "".join(parse_qs(parts.query).get("query", []))
    if not query or not parts.netloc:
        raise DataError("write prometheus://HOST:PORT and give the query with --query, or as ?query=… (URL-encoded)")
    address = f"{SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}"
    until = request.until or request.now
    since = request.since or until - _DEFAULT_SEASONS * request.season
    try:
        series = asyncio.run(fetch_range(address, query, since, until, step))
    except (MetricError, ValueError) as error:
        raise DataError(f"{address}: {error}") from error
    source = f"{query} from {address}, one value each {step}"
    return of_series(series, request.aggregate or "mean", request.zone, source)
