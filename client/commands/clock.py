"""What time is it for whoever asks? The clock enters here, for commands that only need to know how old things are."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """In UTC."""
    return datetime.now(UTC)  # noqa: TID251  # how old something is needs the clock
