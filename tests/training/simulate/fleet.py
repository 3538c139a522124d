"""What the vectorised capacity must equal: replicas one by one, obvious and slow."""

from __future__ import annotations

from datetime import datetime, timedelta


class Fleet:
    """Replicas that take `startup` to be ready; the youngest go first, as a ReplicaSet does it.

    `lives`: how long each one that was started lived until it was ended.
    """

    def __init__(self, size: int, startup: timedelta) -> None:
        self._startup = startup
        self._started: list[datetime | None] = [None] * size
        self.lives: list[timedelta] = []

    def __len__(self) -> int:
        return len(self._started)

    def resize(self, now: datetime, size: int) -> None:
        while len(self) > size:
            started = self._started.pop()
            if started is not None:
                self.lives.append(now - started)
        while len(self) < size:
            self._started.append(now)

    def ready(self, now: datetime) -> int:
        return sum(started is None or started + self._startup <= now for started in self._started)

    def seconds(self, begin: datetime, now: datetime) -> float:
        """Of those that were there before, or are there still."""
        return sum(((now - (started or begin)).total_seconds() for started in self._started), 0.0)
