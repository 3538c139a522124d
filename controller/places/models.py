"""Which models lie elsewhere, and is what we have of them good and new? `ports.Models` over a cache and local files.

A tick never waits for a download: `card` and `forecast` answer from the cache at once, and what is not there yet is a
ModelError that says why. `run` fetches in the background what was asked for, checks it as any model file is checked,
and only then lets it take the place of the one before: a file that is refused never replaces one that works. What a
scaler sees of a new file is what it sees of a local one that changed, another digest.

    placed = PlacedModels(
        OnnxModels(settings.models_dirs),
        settings.models_cache,
        aws,
        clock=_now,
        environment=os.environ,
        allowed=settings.model_places,
        cache_bytes=round(settings.models_cache_mib * 2**20),
    )
    await asyncio.gather(..., placed.run(stop))
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter

from controller.aws import Aws
from controller.core.card import Card
from controller.core.forecast import Forecast
from controller.forecaster import MAX_BYTES, OnnxModels, read_model
from controller.places.cache import FETCH_SECONDS, Cache, Entry, Part
from controller.places.guard import Guard
from controller.places.https import Https
from controller.places.logins import Logins
from controller.places.oci import Oci
from controller.places.place import HttpsPlace, OciPlace, Place, S3Place, parse
from controller.places.s3 import S3, first_region
from controller.places.web import Web
from controller.ports import ForecastRequest, ModelError, Models
from controller.settings import ALL_PLACES
from controller.spec import ModelRef

log = logging.getLogger(__name__)

REFRESH = timedelta(minutes=5)
"""So often a place that can change is asked for something newer."""

FIRST_RETRY = timedelta(seconds=5)
"""After a failure; twice as long after each further one, up to REFRESH."""

FORGET = timedelta(hours=2)
"""A model that nobody asked for so long is not fetched any more; a scaler asks at least once an hour."""

CLEAR = timedelta(hours=1)
AT_ONCE = 4
_LOOK_SECONDS = 1.0
_MOST_DOUBLINGS = 16
_TIMEOUT_SECONDS = FETCH_SECONDS + 30.0
_DAMAGED = {"file", "sha256"}

OnFetch = Callable[[str, str, float], None]
"""(scheme, "new", "unchanged" or "failed", seconds) of every fetch."""


@dataclass(slots=True, kw_only=True)
class _Wanted:
    """A model that scalers ask for. `due`: of the next fetch; None where nothing new can come.

    `refusal`: why the file that `refused` marks was not taken.
    """

    place: Place
    since: datetime
    asked: datetime
    touched: datetime
    due: datetime | None
    entry: Entry | None
    problem: ModelError | None = None
    refused: str = ""
    refusal: ModelError | None = None
    failures: int = 0


class PlacedModels:
    """Implements `ports.Models`. `card` and `forecast` may be called from any thread, the rest from one event loop."""

    def __init__(
        self,
        models: Models,
        cache: Path,
        aws: Aws,
        *,
        clock: Callable[[], datetime],
        environment: Mapping[str, str],
        allowed: Sequence[str] = ALL_PLACES,
        cache_bytes: int = 512 * 2**20,
        max_bytes: int = MAX_BYTES,
        trust: ssl.SSLContext | bool = True,
        on_fetch: OnFetch = lambda *_: None,
    ) -> None:
        """`models`: those of local names. `allowed`: prefixes of places. `environment`: for region and logins."""
        self._local = models
        self._clock = clock
        self._on_fetch = on_fetch
        self._guard = Guard(allowed)
        self._cache = Cache(cache, most_bytes=cache_bytes, file_bytes=max_bytes)
        self._max_bytes = max_bytes
        self._cached = OnnxModels([cache], max_bytes=max_bytes)
        self._web = Web(self._guard, trust=trust)
        self._s3 = S3(aws, first_region(environment))
        self._https = Https(self._web)
        self._oci = Oci(self._web, Logins.from_environment(environment))
        self._wanted: dict[ModelRef, _Wanted] = {}
        self._registering = threading.Lock()
        self._fetches: dict[ModelRef, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._storing = asyncio.Lock()
        self._cleared: datetime | None = None

    def card(self, model: ModelRef) -> tuple[Card, str]:
        """The model's card and the file's sha256 in hex, of what is in the cache. Raises ModelError."""
        if not model.is_remote:
            return self._local.card(model)
        wanted, held = self._asked(model)
        try:
            return self._cached.card(held)
        except ModelError as error:
            if error.check not in _DAMAGED:
                raise
            raise self._damaged(model, wanted) from error

    def forecast(self, requests: Sequence[ForecastRequest]) -> list[Forecast | ModelError]:
        """One answer for each request, in order, in one batched run a model."""
        answers: dict[int, Forecast | ModelError] = {}
        local: list[int] = []
        cached: dict[int, ForecastRequest] = {}
        for place, request in enumerate(requests):
            if not request.model.is_remote:
                local.append(place)
                continue
            try:
                cached[place] = replace(request, model=self._asked(request.model)[1])
            except ModelError as error:
                answers[place] = error
        answers |= zip(local, self._local.forecast([requests[place] for place in local]), strict=True)
        answers |= zip(cached, self._cached.forecast(list(cached.values())), strict=True)
        return [answers[place] for place in range(len(requests))]

    def problem(self, model: ModelRef) -> ModelError | None:
        """Why the newest file of a place is not used, also while an older one is."""
        wanted = self._wanted.get(model)
        return None if wanted is None else wanted.problem

    async def run(self, stop: asyncio.Event) -> None:
        """Fetch what is due until `stop` is set."""
        try:
            while not stop.is_set():
                self.begin()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
        finally:
            await self.aclose()

    def begin(self) -> None:
        """Begin the fetches that are due."""
        now = self._clock()
        for ref, wanted in list(self._wanted.items()):
            if now - wanted.asked > FORGET:
                self._forget(ref, wanted)
            elif wanted.due is not None and wanted.due <= now and ref not in self._fetches:
                self._begin(ref, self._fetch(ref, wanted))

    async def settled(self) -> None:
        """Wait until the fetches under way have ended."""
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)

    async def fetch(self, model: ModelRef) -> None:
        """Have `model` here and new, for whoever can wait: a download may take minutes. Raises ModelError."""
        if not model.is_remote:
            return
        with contextlib.suppress(ModelError):
            self._asked(model)
        wanted = self._wanted.get(model) or self._register(model)
        if wanted.due is not None:
            if model not in self._fetches:
                self._begin(model, self._fetch(model, wanted))
            await asyncio.wait([self._fetches[model]])
        if wanted.problem is not None:
            raise wanted.problem

    async def aclose(self) -> None:
        """End the fetches under way; what they wrote is gone with them."""
        for task in self._fetches.values():
            task.cancel()
        await self.settled()
        await self._web.close()

    def _asked(self, ref: ModelRef) -> tuple[_Wanted, ModelRef]:
        """What is known of `ref`, and the file in the cache that stands for it. Raises ModelError where none does."""
        wanted = self._wanted.get(ref) or self._register(ref)
        now = wanted.asked = self._clock()
        if wanted.entry is None:
            raise wanted.problem or ModelError("download", f"{ref.name} is being fetched since {_told(wanted.since)}")
        if now - wanted.touched > CLEAR:
            wanted.touched = now
            self._cache.touch(ref, now)
        return wanted, ModelRef(name=wanted.entry.digest, sha256=wanted.entry.digest)

    def _register(self, ref: ModelRef) -> _Wanted:
        """Raises ModelError for a place that is none, or not allowed."""
        place = parse(ref.name)
        self._guard.check_name(ref.name)
        with self._registering:
            now = self._clock()
            entry = self._cache.find(ref)
            due = None if entry is not None and _is_for_good(ref, place) else now
            wanted = _Wanted(place=place, since=now, asked=now, touched=now - 2 * CLEAR, due=due, entry=entry)
            return self._wanted.setdefault(ref, wanted)

    def _damaged(self, ref: ModelRef, wanted: _Wanted) -> ModelError:
        """The file is not what was fetched, or gone: fetch it anew."""
        if wanted.entry is not None:
            self._cache.drop(ref, wanted.entry.digest)
        wanted.entry, wanted.due, wanted.since = None, self._clock(), self._clock()
        return ModelError("download", f"the copy of {ref.name} in the cache is damaged; it is being fetched anew")

    def _forget(self, ref: ModelRef, wanted: _Wanted) -> None:
        del self._wanted[ref]
        if wanted.entry is not None:
            self._cached.forget(wanted.entry.digest)

    def _begin(self, ref: ModelRef, work: Coroutine[None, None, None]) -> None:
        task = self._fetches[ref] = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._fetches.pop(ref, None))

    async def _fetch(self, ref: ModelRef, wanted: _Wanted) -> None:
        """Once; afterwards `wanted` says how it went and when to try next."""
        async with self._turns:
            began, outcome = perf_counter(), "failed"
            try:
                outcome = "new" if await self._renew(ref, wanted) else "unchanged"
                self._went_well(ref, wanted)
            except ModelError as error:
                self._failed(ref, wanted, error)
            except Exception as error:
                log.exception("model not fetched", extra={"model": ref.name})
                self._failed(ref, wanted, ModelError("download", f"{type(error).__name__}: {error}"))
            finally:
                self._on_fetch(ref.name.partition("://")[0], outcome, perf_counter() - began)

    async def _renew(self, ref: ModelRef, wanted: _Wanted) -> bool:
        """Whether there was something new. Raises ModelError, also when what was refused before is still there."""
        await self._tidy()
        known = wanted.refused or ("" if wanted.entry is None else wanted.entry.validator)
        with self._cache.part() as part:
            validator = await self._download(wanted.place, known, part)
            if validator is None:
                if wanted.refusal is not None:
                    raise wanted.refusal
                return False
            wanted.refused, wanted.refusal = "", None
            return await self._take(ref, wanted, part, validator)

    async def _download(self, place: Place, known: str, part: Part) -> str | None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                match place:
                    case S3Place():
                        return await self._s3.fetch(place, known, part)
                    case HttpsPlace():
                        return await self._https.fetch(place, known, part)
                    case OciPlace():
                        return await self._oci.fetch(place, known, part)
        except TimeoutError as error:
            raise ModelError("download", f"not whole after {_TIMEOUT_SECONDS:g} s; tried again later") from error

    async def _take(self, ref: ModelRef, wanted: _Wanted, part: Part, validator: str) -> bool:
        """Check the file and keep it. Raises ModelError where it is refused."""
        now, before = self._clock(), wanted.entry
        entry = Entry(place=ref.name, digest=part.digest, size=part.size, validator=validator, fetched=now)
        is_new = before is None or before.digest != entry.digest
        async with self._storing:
            if is_new:
                try:
                    await asyncio.to_thread(_check, ref, part)
                except ModelError as error:
                    wanted.refused, wanted.refusal = validator, error
                    raise
                await asyncio.to_thread(self._cache.clear, frozenset(self._wanted), now, room=part.size)
            await asyncio.to_thread(self._cache.keep, ref, part, entry)
        wanted.entry = entry
        if is_new and before is not None:
            self._cached.forget(before.digest)
        return is_new

    async def _tidy(self) -> None:
        """What is left of downloads is cleared away before the first, and now and then what nobody needs."""
        now = self._clock()
        async with self._storing:
            if self._cleared is None:  # who needs what is known after an hour at the latest
                await asyncio.to_thread(self._cache.prepare)
                self._cleared = now
            elif now - self._cleared > CLEAR:
                await asyncio.to_thread(self._cache.clear, frozenset(self._wanted), now)
                self._cleared = now

    def _went_well(self, ref: ModelRef, wanted: _Wanted) -> None:
        if wanted.problem is not None:
            log.info("model fetched again", extra={"model": ref.name})
        wanted.problem, wanted.failures = None, 0
        wanted.due = None if _is_for_good(ref, wanted.place) else self._clock() + REFRESH

    def _failed(self, ref: ModelRef, wanted: _Wanted, error: ModelError) -> None:
        words = str(error).removeprefix(f"{error.check}: ")
        if wanted.entry is not None:
            words = f"{words}; the file of {_told(wanted.entry.fetched)} goes on serving"
        problem = ModelError(error.check, f"{ref.name}: {words}")
        if wanted.problem is None or str(wanted.problem) != str(problem):
            log.warning("model not fetched", extra={"model": ref.name, "check": error.check, "error": str(problem)})
        wanted.problem = problem
        pause = REFRESH if error is wanted.refusal else FIRST_RETRY * 2**wanted.failures
        wanted.due = self._clock() + min(pause, REFRESH)
        wanted.failures = min(wanted.failures + 1, _MOST_DOUBLINGS)


def _check(ref: ModelRef, part: Part) -> None:
    """Whether it is the file that the spec asks for, and keeps the contract. Raises ModelError."""
    if ref.sha256 is not None and ref.sha256.lower() != part.digest:
        raise ModelError("sha256", f"the file has sha256 {part.digest}, the spec asks for {ref.sha256}")
    read_model(part.read())


def _is_for_good(ref: ModelRef, place: Place) -> bool:
    """Whether what was fetched once is never fetched again."""
    return ref.sha256 is not None or place.is_fixed


def _told(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
