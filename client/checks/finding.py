"""What did a check find? A result and a sentence with cause and cure, never later than it was promised.

Must not print, nor know what was checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any


class Result(StrEnum):
    """How a check ended. SKIPPED: it was not made, and nothing is wrong with that."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`check`: what was looked at, in a word or two. `message`: what was found, with the cure where there is one."""

    check: str
    result: Result
    message: str


Findings = list[Finding]


def ok(check: str, message: str) -> Findings:
    """It is well."""
    return [Finding(check=check, result=Result.OK, message=message)]


def warning(check: str, message: str) -> Findings:
    """It works, and is not as it should be."""
    return [Finding(check=check, result=Result.WARNING, message=message)]


def failed(check: str, message: str) -> Findings:
    """It does not work, or that could not be found out."""
    return [Finding(check=check, result=Result.FAILED, message=message)]


def skipped(check: str, message: str) -> Findings:
    """It was not looked at."""
    return [Finding(check=check, result=Result.SKIPPED, message=message)]


async def within(seconds: float, check: str, work: Coroutine[Any, Any, Findings]) -> Findings:
    """What `work` finds; a failure where that takes longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        return failed(check, f"not found out within {seconds:g} s; --timeout allows more")


def in_words(time: timedelta) -> str:
    """A duration as people say it, in at most two units, such as "2 min" or "6 h 30 min"."""
    seconds = round(time.total_seconds())
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
