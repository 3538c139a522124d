"""Which moment is meant?"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from client.moments import moment

HERE = timezone(timedelta(hours=1))
NOW = datetime(2026, 11, 21, 3, 30, tzinfo=HERE)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-21T02:12:00Z", "2026-11-21T02:12:00+00:00"),
        ("2026-11-21T03:12", "2026-11-21T03:12:00+01:00"),
        ("2026-11-21 03:12:05", "2026-11-21T03:12:05+01:00"),
        ("2026-11-20", "2026-11-20T00:00:00+01:00"),
        ("03:12", "2026-11-21T03:12:00+01:00"),
        ("3:30:00", "2026-11-21T03:30:00+01:00"),
        ("03:31", "2026-11-20T03:31:00+01:00"),
        ("23:59:59", "2026-11-20T23:59:59+01:00"),
    ],
)
def test_moment_by_text(text: str, meant: str) -> None:
    assert moment(text, NOW).isoformat() == meant


@pytest.mark.parametrize("text", ["", "now", "24:00", "12:61", "2026-13-01", "1h"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time; write"):
        moment(text, NOW)
