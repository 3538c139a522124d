"""What can be asked of a running controller? /metrics, /healthz, /readyz and a read-only JSON API.

What is asked about a scaler that another replica serves is asked of that one. Must not change anything: there is no
call that writes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sized
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from controller.account import Account
from controller.election import Member
from controller.ledger import Kept, Ledger
from controller.membership import Membership
from controller.peers import Peers
from controller.registry import Registry, Scaler
from controller.spec import SpecError
from controller.status import last_decision

STALLED = timedelta(seconds=30)  # a scheduler that has not looked for so long hangs
UNLISTED = timedelta(minutes=5)  # without a good list for so long the registry may be wrong
LATELY = 60  # decisions that a scaler's page shows: a quarter of an hour of ticks of 15 s
MOST = 1000  # records that one answer may hold, some megabytes


class HttpApi:
    """Handlers over what the other parts hold.

    `alive`: when the scheduler last looked for due scalers. `listed`: when a complete list last came. `silent`: the
    watches that tell nothing, which lists cover for.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        ledger: Ledger,
        metrics: CollectorRegistry,
        alive: Callable[[], datetime | None],
        listed: Callable[[], datetime | None],
        membership: Membership,
        peers: Peers,
        clock: Callable[[], datetime],
        silent: Callable[[], Sized] = tuple,
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._metrics = metrics
        self._alive = alive
        self._listed = listed
        self._membership = membership
        self._peers = peers
        self._clock = clock
        self._silent = silent

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/metrics", make_aiohttp_handler(self._metrics)),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/api/v1/shards", self._shards),
                web.get("/api/v1/scalers", self._scalers),
                web.get("/api/v1/scalers/{namespace}/{name}", self._scaler),
                web.get("/api/v1/scalers/{namespace}/{name}/decisions", self._decisions),
            ]
        )
        return application

    async def _healthz(self, _: web.Request) -> web.Response:
        return self._verdict(self._alive(), STALLED, "the scheduler has not looked for due scalers")

    async def _readyz(self, _: web.Request) -> web.Response:
        """A replica that waits is ready; one that could not take over is not, so that no update goes on over it.

        One whose watch is silent could: it lists when it takes over, and once a minute.
        """
        if trouble := self._membership.trouble():
            return web.Response(text=f"Leases: {trouble}\n", status=503)
        answer = self._verdict(self._listed(), UNLISTED, "no list of PredictiveScalers has come from the API server")
        if self._silent() and answer.status == HTTPStatus.OK:
            answer.text = "ok, but the watch tells nothing: changes take up to a minute to be seen; the log says more\n"
        return answer

    def _verdict(self, last: datetime | None, limit: timedelta, words: str) -> web.Response:
        if last is not None and self._clock() - last <= limit:
            return web.Response(text="ok\n")
        since = "yet" if last is None else f"since {last.isoformat(timespec='seconds')}"
        return web.Response(text=f"{words} {since}\n", status=503)

    async def _shards(self, _: web.Request) -> web.Response:
        """Who is there and who serves what, as far as that is seen from here."""
        counts = Counter(self._membership.serving.shard(scaler) for scaler in self._registry.all())
        holders = self._membership.holders()
        shards = range(self._membership.shards)
        return web.json_response(
            {
                "instance": self._membership.me.instance,
                "members": [{"instance": one.instance, "address": one.address} for one in self._membership.members()],
                "shards": [
                    {"shard": shard, "holder": _instance(holders.get(shard)), "scalers": counts[shard]}
                    for shard in shards
                ],
            }
        )

    async def _scalers(self, _: web.Request) -> web.Response:
        return web.json_response({"items": [self._summary(scaler) for scaler in self._registry.all()]})

    async def _scaler(self, request: web.Request) -> web.Response:
        scaler = self._found(request)
        if not self._peers.is_here(scaler):
            return await self._peers.answer(request, scaler)
        accounts = [Account.from_text(text) for text in self._ledger.texts(scaler.uid, LATELY)]
        decisions = [last_decision(account.record.decision) for account in accounts if account.record is not None]
        return web.json_response(self._summary(scaler) | {"decisions": decisions})

    async def _decisions(self, request: web.Request) -> web.Response:
        """The accounts of the last ticks, or of those until `at`, oldest first: as they were made, bit for bit."""
        scaler = self._found(request)
        if not self._peers.is_here(scaler):
            return await self._peers.answer(request, scaler)
        at, limit = _at(request), _limit(request)
        texts = self._ledger.texts(scaler.uid, limit, at)
        kept = self._ledger.kept(scaler.uid)
        if not texts:
            raise _refusal(web.HTTPNotFound, _nothing(scaler, kept, at))
        about = (
            {"count": kept.count, "oldest": kept.oldest.isoformat(), "newest": kept.newest.isoformat()} if kept else {}
        )
        items = ",".join(text.decode() for text in texts)
        return web.Response(text=f'{{"kept":{json.dumps(about)},"items":[{items}]}}', content_type="application/json")

    def _found(self, request: web.Request) -> Scaler:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        scaler = self._registry.named(namespace, name)
        if scaler is None:
            raise _refusal(web.HTTPNotFound, f"there is no PredictiveScaler {namespace}/{name}")
        return scaler

    def _summary(self, scaler: Scaler) -> dict[str, Any]:
        return {
            "namespace": scaler.namespace,
            "name": scaler.name,
            "generation": scaler.generation,
            "error": str(scaler.spec) if isinstance(scaler.spec, SpecError) else None,
            "lastDecision": self._last_decision(scaler),
            "servedBy": _instance(self._membership.serving.holder(scaler)),
        }

    def _last_decision(self, scaler: Scaler) -> object:
        """As it was made here, or as the replica that made it has told in the status."""
        if not self._peers.is_here(scaler):
            return scaler.status.get("lastDecision")
        decision = self._ledger.decision(scaler.uid)
        return None if decision is None else last_decision(decision)


def _instance(member: Member | None) -> str | None:
    return None if member is None else member.instance


def _at(request: web.Request) -> datetime | None:
    text = request.query.get("at")
    try:
        at = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        at = None
    if text is not None and (at is None or at.tzinfo is None):
        words = f"at must be an ISO 8601 time with a zone, such as 2026-11-21T03:12:00Z, not {text!r}"
        raise _refusal(web.HTTPBadRequest, words)
    return at


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "1")
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MOST):
        raise _refusal(web.HTTPBadRequest, f"limit must be a number from 1 to {MOST}, not {text!r}")
    return int(text)


def _nothing(scaler: Scaler, kept: Kept | None, at: datetime | None) -> str:
    if kept is None or at is None:
        return f"no tick of {scaler.key} is recorded yet"
    return f"nothing of {at.isoformat()} is kept; the oldest record of {scaler.key} is of {kept.oldest.isoformat()}"


def _refusal(kind: type[web.HTTPError], words: str) -> web.HTTPError:
    return kind(text=json.dumps({"error": words}), content_type="application/json")
