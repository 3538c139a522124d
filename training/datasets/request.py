"""What can be asked of the past, and what is the answer? Types only; must not read anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Literal

from controller.core.series import Series
from training.datasets.quality import Quality

Aggregate = Literal["sum", "mean"]


class DataError(ValueError):
    """The data cannot be used; the message names the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to read.

    `data`: a file, `prometheus://host:port`, `prometheus+https://host`, `cloudwatch://region/namespace/metric?stat=Sum`,
    `generated:SEED`, or a public trace: `nasa`, `public:twitter`, `public:cloudwatch/NAME`.

    `column`, `aggregate`, `zone`: None means to find out. `start`, `every`: the time of the first value and between
    two values, for files without timestamps. `since`, `until`: what to keep of it; aware. `now`: aware.
    `max_bad`: the share of a log's lines that may be malformed.
    """

    data: str
    step: timedelta
    season: timedelta
    now: datetime
    query: str | None = None
    column: str | None = None
    aggregate: Aggregate | None = None
    zone: tzinfo | None = None
    start: datetime | None = None
    every: timedelta | None = None
    since: datetime | None = None
    until: datetime | None = None
    max_bad: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """`zone`: whose wall clock the load follows. `about`: in words, what was read and how it was put together."""

    series: Series
    zone: tzinfo
    about: str
    quality: Quality = field(default_factory=Quality)
