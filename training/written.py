"""How do people write durations, times and zones? The words of the command line and of YAML files, read one way.

Each reader raises ValueError with the words that show how it is written. Must not know options, files or fields.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")
_DURATION = re.compile(r"(?:\d+[smhdw])+")


def duration(text: str) -> timedelta:
    """'90s', '5m', '6h', '1d', '2w' or several of them in a row."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 5m, 6h or 1d")
    if not any(digit in text for digit in "123456789"):
        raise ValueError(f"{text!r} is not a duration above 0 such as 15s, 5m or 6h")
    return timedelta(seconds=sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)(\w)", text)))


def zone(text: str) -> tzinfo:
    """A name of the time zone database."""
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{text!r} is not a time zone such as UTC or Europe/Berlin") from error


def moment(text: str) -> datetime:
    """ISO 8601; with a zone, or else UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time such as 2026-01-31T12:00:00+01:00") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def aggregate(text: str) -> Literal["sum", "mean"]:
    """Sum or mean."""
    if text == "sum":
        return "sum"
    if text == "mean":
        return "mean"
    raise ValueError(f"{text!r} is neither sum nor mean")


def share(text: str) -> float:
    """'1%' is 0.01."""
    found = _PERCENT.fullmatch(text)
    if found is None or float(found[1]) > 100:  # noqa: PLR2004  # percent
        raise ValueError(f"{text!r} is not a share such as 1% or 0.5%")
    return float(found[1]) / 100
