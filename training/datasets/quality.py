"""How good is what was read? Counts and spans of what is missing, broken, double or uneven, and the same in words.

Must not judge whether that is good enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

Span = tuple[datetime, datetime]  # from, until; aware

_WORTH_TELLING = 0.0005  # of the rows: an outage or two make no trace uneven
_MENTIONED = 5  # spans and lines that the words show; the rest are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What was found while reading.

    `rows`: lines or values read, of which `malformed` could not be understood (`samples`: a few of them, shortened),
    `empty` held no value, `duplicates` came at a time that another had taken. `irregular`: the share of distances
    between neighbours that is not the usual one, in [0, 1]. `steps`: of the series, of which `gaps` are missing.
    `outages`: spans without data, oldest first. `notes`: what else was found or decided, a sentence each.
    """

    rows: int = 0
    malformed: int = 0
    samples: tuple[str, ...] = ()
    empty: int = 0
    duplicates: int = 0
    irregular: float = 0.0
    steps: int = 0
    gaps: int = 0
    outages: tuple[Span, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def longest_outages(self) -> tuple[Span, ...]:
        """The few that count most, oldest first."""
        longest = sorted(self.outages, key=lambda span: span[0] - span[1])[:_MENTIONED]
        return tuple(sorted(longest))

    def words(self) -> tuple[str, ...]:
        """One sentence for each thing that was found; empty when there is nothing to tell."""
        found = [
            (self.malformed, f"{self.malformed} of {self.rows} lines could not be understood: {self._shown()}"),
            (self.empty, f"{self.empty} of {self.rows} rows hold no value"),
            (
                self.duplicates,
                f"{self.duplicates} rows came at a time that an earlier row had taken, and were left out",
            ),
            (
                self.irregular >= _WORTH_TELLING,
                f"{self.irregular:.2%} of the rows do not follow the one before at the usual distance",
            ),
            (self.gaps, f"{self.gaps} of {self.steps} steps are missing"),
            (len(self.outages), self._outage_words()),
        ]
        return (*(words for count, words in found if count), *self.notes)

    def _shown(self) -> str:
        return ", ".join(repr(line) for line in self.samples[:_MENTIONED])

    def _outage_words(self) -> str:
        spans = "; ".join(f"{_written(since)} to {_written(until)}" for since, until in self.longest_outages)
        more = len(self.outages) - _MENTIONED
        return f"no data from {spans}" + (f"; and {more} shorter spans" if more > 0 else "")


def _written(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
