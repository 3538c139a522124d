"""What was decided lately? The last decisions of each scaler, for the read-only API."""

from __future__ import annotations

from collections import deque

from controller.core.decide import Decision

KEPT = 60  # a quarter of an hour at the default interval of 15 s; half a kilobyte each


class Ledger:
    """The last decisions by scaler uid, oldest first."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._decisions: dict[str, deque[Decision]] = {}

    def add(self, uid: str, decision: Decision) -> None:
        """Remember a decision; the oldest makes room."""
        self._decisions.setdefault(uid, deque(maxlen=self._kept)).append(decision)

    def decisions(self, uid: str) -> tuple[Decision, ...]:
        """What is remembered of a scaler."""
        return tuple(self._decisions.get(uid, ()))

    def forget(self, uid: str) -> None:
        """Drop a scaler that is gone."""
        self._decisions.pop(uid, None)
