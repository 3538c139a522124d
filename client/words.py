"""How is a number of things said? "1 replica", "4 replicas": the one place that makes plurals."""

from __future__ import annotations


def counted(count: float | None, noun: str) -> str:
    """So many; four digits of what is no whole number. None: nobody knows."""
    if count is None:
        return f"? {noun}s"
    number = str(count) if isinstance(count, int) else f"{count:.4g}"
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"
