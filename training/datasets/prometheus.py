"""What load does a Prometheus remember? One query over a range becomes a Series. Must not put values together."""

from __future__ import annotations

import asyncio
from datetime import UTC
from urllib.parse import parse_qs, urlsplit

from controller.ports import MetricError
from controller.sources.prometheus import fetch_range
from training.datasets.request import DataError, Dataset, Request

SCHEMES = {"prometheus": "http", "prometheus+https": "https"}
_DEFAULT_SEASONS = 28  # how far back Prometheus is asked when nobody says


def read(request: Request) -> Dataset:
    """Ask for the span of the request, by default the last four weeks of seasons. Raises DataError."""
    parts = urlsplit(request.data)
    query = request.query or "".join(parse_qs(parts.query).get("query", []))
    if not query or not parts.netloc:
        raise DataError("write prometheus://HOST:PORT and give the query with --query, or as ?query=… (URL-encoded)")
    address = f"{SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}"
    until = request.until or request.now
    since = request.since or until - _DEFAULT_SEASONS * request.season
    try:
        series = asyncio.run(fetch_range(address, query, since, until, request.step))
    except (MetricError, ValueError) as error:
        raise DataError(f"{address}: {error}") from error
    return Dataset(series=series, zone=request.zone or UTC, about=f"{query} from {address}, one value a step")
