"""Which moment does a person mean? "03:12" at night means the last 03:12 on their own clock."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


def moment(text: str, now: datetime) -> datetime:
    """An ISO 8601 time, or HH:MM[:SS] for the last time the clock showed that.

    Without a zone it is in that of `now` (aware). Raises ValueError.
    """
    try:
        if _CLOCK.fullmatch(text):
            return _last(text, now)
        time = datetime.fromisoformat(text)
    except ValueError as error:
        words = f"{text!r} is no time; write 2026-11-21T03:12:00Z, or 03:12 for the last time it was that"
        raise ValueError(words) from error
    return time if time.tzinfo is not None else time.replace(tzinfo=now.tzinfo)


def _last(text: str, now: datetime) -> datetime:
    hour, minute, *seconds = (int(part) for part in text.split(":"))
    today = now.replace(hour=hour, minute=minute, second=seconds[0] if seconds else 0, microsecond=0)
    return today if today <= now else today - timedelta(days=1)
