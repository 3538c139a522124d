"""Is the registry still true? A complete list once in a while, since a watch can lose deletions.

And does the watch still tell anything? A watch that fails for ever does not say so: it begins again and again, and the
lists cover for it, a minute late. Only the lists show it, by changes that the watch did not tell.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from controller.kubernetes_api import ApiError, KubernetesApi
from controller.registry import Registry
from controller.spec import GROUP, PLURAL, VERSION

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
RETRY_SECONDS = 5.0
SILENT_LISTS = 3
"""So many lists in a row with changes of which the watch told none: one alone may fall between two watches."""


class Hearing:
    """Which watches are silent: there is one for each of `namespaces`, or one for all (named "")."""

    def __init__(self, namespaces: Sequence[str]) -> None:
        self._has_one = not namespaces
        self._versions: dict[str, tuple[str, str]] | None = None
        self._heard: set[str] = set()
        self._missed: Counter[str] = Counter()

    def heard(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """An event; that of an object which was there before (None) is of a list, with which each watch begins."""
        if kind is not None:
            watch = self._watch(body)
            self._heard.add(watch)
            self._missed.pop(watch, None)

    def listed(self, bodies: Iterable[Mapping[str, Any]]) -> None:
        """A complete list."""
        found = {
            body["metadata"]["uid"]: (self._watch(body), body["metadata"].get("resourceVersion", "")) for body in bodies
        }
        before = found if self._versions is None else self._versions
        changed = {watch for _, (watch, _) in found.items() ^ before.items()}
        self._missed.update(changed - self._heard)
        self._heard.clear()
        self._versions = found

    @property
    def silent(self) -> list[str]:
        """Their namespaces."""
        return sorted(watch for watch, missed in self._missed.items() if missed >= SILENT_LISTS)

    def _watch(self, body: Mapping[str, Any]) -> str:
        return "" if self._has_one else str(body["metadata"]["namespace"])


class Relist:
    """Lists all PredictiveScalers into the registry. `last`: when that last went well; None before.

    `silent`: the namespaces whose watch tells nothing of what lists show; "" is the watch of all namespaces.
    """

    def __init__(
        self, *, api: KubernetesApi, registry: Registry, namespaces: Sequence[str], clock: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._registry = registry
        self._paths = _paths(namespaces)
        self._clock = clock
        self._hearing = Hearing(namespaces)
        self.last: datetime | None = None
        self.silent: list[str] = []

    def heard(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """The watch told this; arguments as of `Registry.apply`."""
        self._hearing.heard(kind, body)
        if self.silent:
            self._judge()

    async def run(self, stop: asyncio.Event) -> None:
        """List now and then until `stop` is set; sooner after a failure."""
        while not stop.is_set():
            wait = INTERVAL_SECONDS if await self.once() else RETRY_SECONDS
            try:
                await asyncio.wait_for(stop.wait(), wait)
            except TimeoutError:
                continue

    async def once(self) -> bool:
        """List once; whether it went well."""
        known = self._registry.uids()
        try:
            bodies = [body for path in self._paths for body in (await self._api.list_all(path)).items]
        except ApiError as error:
            log.warning("cannot list PredictiveScalers", extra={"error": str(error)})
            return False
        gone = self._registry.sync(bodies, known)
        if gone:
            log.info("the watch had lost deletions", extra={"uids": gone})
        self.last = self._clock()
        self._hearing.listed(bodies)
        self._judge()
        return True

    def _judge(self) -> None:
        """Say what changed, once."""
        before, self.silent = set(self.silent), self._hearing.silent
        if lost := sorted(set(self.silent) - before):
            log.warning(
                "the watch tells nothing of what lists show; changes take up to a minute to be seen",
                extra={"namespaces": [name or "all" for name in lost], "lists": SILENT_LISTS},
            )
        if found := sorted(before - set(self.silent)):
            log.info("the watch tells changes again", extra={"namespaces": [name or "all" for name in found]})


def _paths(namespaces: Sequence[str]) -> list[str]:
    root = f"/apis/{GROUP}/{VERSION}"
    return [f"{root}/namespaces/{namespace}/{PLURAL}" for namespace in namespaces] or [f"{root}/{PLURAL}"]
