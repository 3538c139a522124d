"""Is the registry still true? A complete list once in a while, since a watch can lose deletions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from controller.kubernetes_api import ApiError, KubernetesApi
from controller.registry import Registry
from controller.spec import GROUP, PLURAL, VERSION

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
RETRY_SECONDS = 5.0


class Relist:
    """Lists all PredictiveScalers into the registry. `last`: when that last went well; None before."""

    def __init__(
        self, *, api: KubernetesApi, registry: Registry, namespaces: Sequence[str], clock: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._registry = registry
        self._paths = _paths(namespaces)
        self._clock = clock
        self.last: datetime | None = None

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
        return True


def _paths(namespaces: Sequence[str]) -> list[str]:
    root = f"/apis/{GROUP}/{VERSION}"
    return [f"{root}/namespaces/{namespace}/{PLURAL}" for namespace in namespaces] or [f"{root}/{PLURAL}"]
