"""What does a scan of log lines answer? Times, measures, and what could not be understood. Types only."""

from __future__ import annotations

from dataclasses import dataclass

from training.datasets.buckets import Floats
from training.datasets.seconds import Ints

MEASURES = ("requests", "bytes", "2xx", "3xx", "4xx", "5xx")
CLASSES = (2, 3, 4, 5)

SAMPLES = 5  # malformed lines that are kept
_SHOWN = 80  # characters of each


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scanned:
    """`rows`: lines that are not blank. `times`: seconds since 1970 UTC, [n], in the order of the file.

    `values`: float64 [measures, n], sums over lines that follow each other at one time. `offsets`: from UTC in seconds,
    as the lines name them, the first one first.
    """

    rows: int
    times: Ints
    values: Floats
    malformed: int
    samples: tuple[str, ...]
    offsets: tuple[int, ...]


def shortened(line: bytes) -> str:
    """As much of a line as an error may show."""
    text = line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
