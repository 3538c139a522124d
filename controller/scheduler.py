"""Who is due now? One loop for all scalers: each ticks at whole multiples of its interval, in batches.

Scalers that ask the same metric address make one batch, so that a metric system that hangs holds up its own only; and
those whose answer came too late the last time make one of their own, so that a slow query holds up no quick one. A
scaler that another replica serves does not tick here, and one that this replica serves anew begins anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from controller.core.series import floor_to_step
from controller.registry import Registry, Scaler
from controller.shards import Serving
from controller.spec import ScalerSpec, SpecError

log = logging.getLogger(__name__)

PULSE_SECONDS = 0.1
SECOND = timedelta(seconds=1)
"""A tick's time is a whole second, like every period of a rate: milliseconds more or less must not miss one."""
IDLE_INTERVAL = timedelta(minutes=1)  # for scalers whose spec is refused


class Ticks(Protocol):
    """What the scheduler drives."""

    async def tick(self, now: datetime, scalers: Sequence[Scaler], done: Callable[[Scaler], None]) -> None:
        """One tick over a batch; `done` hears of each scaler as soon as its own part has ended."""
        ...

    def is_slow(self, uid: str) -> bool:
        """Whether the scaler's metric came too late at its last tick."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Last:
    """A scaler's last tick. `term`: in which this process served it."""

    time: datetime
    generation: int
    term: int


class Scheduler:
    """Starts ticks; a scaler whose tick still runs is not due.

    `on_gone`, `on_lost`: hear, by uid, of each scaler that is no more, and of each that is served here no more or in
    another term, once none of its ticks runs.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        cycle: Ticks,
        default_address: str = "",
        serving: Serving,
        on_gone: Callable[[str], None],
        on_lost: Callable[[str], None],
        on_lag: Callable[[timedelta], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._cycle = cycle
        self._default_address = default_address
        self._serving = serving
        self._on_gone = on_gone
        self._on_lost = on_lost
        self._on_lag = on_lag
        self._clock = clock
        self._last: dict[str, _Last] = {}
        self._lost: set[str] = set()
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.alive: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until `stop` is set, then let the running ticks end."""
        while not stop.is_set():
            self.pulse()
            await asyncio.sleep(PULSE_SECONDS)
        await asyncio.gather(*self._tasks)

    def pulse(self) -> None:
        """Start a tick for every batch that is due, and forget the scalers that are gone."""
        now = self._clock()
        self.alive = now
        terms = self._terms()
        self._forget(terms)
        batches: dict[tuple[str, bool], list[Scaler]] = defaultdict(list)
        for scaler in self._registry.all():
            if scaler.uid in terms and self._is_due(now, scaler):
                batches[self._batch(scaler)].append(scaler)
        for batch in batches.values():
            self._start(now, batch, terms)

    def _terms(self) -> dict[str, int]:
        """Of the scalers that are served here."""
        asked = ((scaler.uid, self._serving.term(scaler)) for scaler in self._registry.all())
        return {uid: term for uid, term in asked if term is not None}

    def _batch(self, scaler: Scaler) -> tuple[str, bool]:
        """Scalers with the same answer tick together."""
        address = "" if isinstance(scaler.spec, SpecError) else scaler.spec.metric.place
        return address or self._default_address, self._cycle.is_slow(scaler.uid)

    def _is_due(self, now: datetime, scaler: Scaler) -> bool:
        """A new one, a changed one, and one that has not ticked since the last multiple of its interval.

        One that ticked later than now ticked by a clock that was put back since.
        """
        if scaler.uid in self._busy:
            return False
        return self._is_new(scaler) or not floor_to_step(now, _interval(scaler)) <= self._last[scaler.uid].time <= now

    def _is_new(self, scaler: Scaler) -> bool:
        """Whether this generation has never ticked: then no moment was the one to tick at."""
        last = self._last.get(scaler.uid)
        return last is None or last.generation != scaler.generation

    def _start(self, now: datetime, batch: list[Scaler], terms: Mapping[str, int]) -> None:
        for scaler in batch:
            if not self._is_new(scaler):
                self._on_lag(now - floor_to_step(now, _interval(scaler)))
            self._last[scaler.uid] = _Last(time=now, generation=scaler.generation, term=terms[scaler.uid])
        self._busy.update(scaler.uid for scaler in batch)
        task = asyncio.create_task(self._tick(floor_to_step(now, SECOND), batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tick(self, now: datetime, batch: Sequence[Scaler]) -> None:
        """A scaler may tick again once its own part is done: the slowest target of a batch holds up nobody else."""
        running = {scaler.uid for scaler in batch}

        def done(scaler: Scaler) -> None:
            running.discard(scaler.uid)
            self._busy.discard(scaler.uid)

        try:
            await self._cycle.tick(now, batch, done)
        except Exception:
            log.exception("tick failed", extra={"scalers": [scaler.key for scaler in batch]})
        finally:
            self._busy -= running

    def _forget(self, terms: Mapping[str, int]) -> None:
        known = self._registry.uids()
        for uid, last in list(self._last.items()):
            if uid not in self._busy and terms.get(uid) != last.term:
                del self._last[uid]
                self._lost.add(uid)
                self._on_lost(uid)
        for uid in self._lost - known:
            self._on_gone(uid)
            self._serving.forget(uid)
        self._lost &= known


def _interval(scaler: Scaler) -> timedelta:
    return scaler.spec.interval if isinstance(scaler.spec, ScalerSpec) else IDLE_INTERVAL
