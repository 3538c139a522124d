"""What is planned, and what does it do to the load? Events, and the spans of time in which they happen.

Must not read files, nor know a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from training.datasets import DataError

Impact = Literal["high", "low", "outage"]
IMPACTS: tuple[Impact, ...] = ("high", "low", "outage")


class CalendarError(DataError):
    """The calendar cannot be used; the message names the file, the event and the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `start` on until just before `end`; both in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happens in each of the spans.

    `multiplier`: the load in them divided by what it would be without; None where that has to be learned from the past,
    and in an outage, whose steps say nothing about the load: they are forgotten, and the forecast stays as it is.
    """

    name: str
    impact: Impact
    multiplier: float | None
    spans: tuple[Span, ...]

    @property
    def factor(self) -> float:
        """What the forecast is multiplied by. Raises CalendarError while that is not known."""
        if self.impact == "outage":
            return 1.0
        if self.multiplier is None:
            raise CalendarError(f"event {self.name!r} has no multiplier yet")
        return self.multiplier


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The events of a file. `name`: of the file. `until`: how far rules were followed; aware.

    `left_out`: how many events of the file say nothing about load.
    """

    name: str
    until: datetime
    events: tuple[Event, ...]
    left_out: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the model's card."""
        multipliers = {event.name: round(event.factor, 4) for event in self.events if event.impact != "outage"}
        return {
            "name": self.name,
            "events": sum(len(event.spans) for event in self.events),
            "until": self.until.isoformat(),
            "multipliers": multipliers,
        }
