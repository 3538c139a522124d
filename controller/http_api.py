"""What can be asked of a running controller? /metrics, /healthz, /readyz and a read-only JSON API.

Must not change anything: there is no call that writes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from controller.ledger import Ledger
from controller.registry import Registry, Scaler
from controller.spec import SpecError
from controller.status import last_decision

STALLED = timedelta(seconds=30)  # a scheduler that has not looked for so long hangs
UNLISTED = timedelta(minutes=5)  # without a good list for so long the registry may be wrong


class HttpApi:
    """Handlers over what the other parts hold.

    `alive`: when the scheduler last looked for due scalers. `listed`: when a complete list last came.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        ledger: Ledger,
        metrics: CollectorRegistry,
        alive: Callable[[], datetime | None],
        listed: Callable[[], datetime | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._metrics = metrics
        self._alive = alive
        self._listed = listed
        self._clock = clock

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/metrics", make_aiohttp_handler(self._metrics)),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/api/v1/scalers", self._scalers),
                web.get("/api/v1/scalers/{namespace}/{name}", self._scaler),
            ]
        )
        return application

    async def _healthz(self, _: web.Request) -> web.Response:
        return self._verdict(self._alive(), STALLED, "the scheduler has not looked for due scalers")

    async def _readyz(self, _: web.Request) -> web.Response:
        return self._verdict(self._listed(), UNLISTED, "no list of PredictiveScalers has come from the API server")

    def _verdict(self, last: datetime | None, limit: timedelta, words: str) -> web.Response:
        if last is not None and self._clock() - last <= limit:
            return web.Response(text="ok\n")
        since = "yet" if last is None else f"since {last.isoformat(timespec='seconds')}"
        return web.Response(text=f"{words} {since}\n", status=503)

    async def _scalers(self, _: web.Request) -> web.Response:
        return web.json_response({"items": [self._summary(scaler) for scaler in self._registry.all()]})

    async def _scaler(self, request: web.Request) -> web.Response:
        wanted = f"{request.match_info['namespace']}/{request.match_info['name']}"
        for scaler in self._registry.all():
            if scaler.key == wanted:
                decisions = [last_decision(one) for one in self._ledger.decisions(scaler.uid)]
                return web.json_response(self._summary(scaler) | {"decisions": decisions})
        return web.json_response({"error": f"there is no PredictiveScaler {wanted}"}, status=404)

    def _summary(self, scaler: Scaler) -> dict[str, Any]:
        decisions = self._ledger.decisions(scaler.uid)
        return {
            "namespace": scaler.namespace,
            "name": scaler.name,
            "generation": scaler.generation,
            "error": str(scaler.spec) if isinstance(scaler.spec, SpecError) else None,
            "lastDecision": last_decision(decisions[-1]) if decisions else None,
        }
