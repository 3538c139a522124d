"""What would the API server answer? Enough of its conventions for the real client, as seen on kube-apiserver 1.36."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.contracts.specs import merged

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    content_type: str
    authorization: str | None


@dataclass(slots=True, kw_only=True)
class FakeApiServer:
    """`objects`: by path. `lists`: by path, all items, which are served in pages. `raw`: by (method, path), first.

    A patch is answered with the object; of merge patches the resource version is checked, and a dry run keeps nothing;
    JSON patches are applied to a depth of two.
    """

    objects: dict[str, Json] = field(default_factory=dict)
    lists: dict[str, list[Json]] = field(default_factory=dict)
    raw: dict[tuple[str, str], Callable[[], web.StreamResponse]] = field(default_factory=dict)
    token: str | None = None
    calls: list[Call] = field(default_factory=list)

    def of(self, method: str, path: str | None = None) -> list[Call]:
        return [call for call in self.calls if call.method == method and path in {None, call.path}]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        call = Call(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            body=body,
            content_type=request.content_type,
            authorization=request.headers.get("Authorization"),
        )
        self.calls.append(call)
        if self.token and call.authorization != f"Bearer {self.token}":
            return status(401, "Unauthorized")
        if (call.method, call.path) in self.raw:
            return self.raw[call.method, call.path]()
        return {"GET": self._get, "PATCH": self._patch, "POST": self._post}[call.method](call)

    def _get(self, call: Call) -> web.Response:
        if call.path in self.lists:
            return self._page(call)
        if call.path not in self.objects:
            return status(404, f'"{call.path}" not found')
        return web.json_response(self.objects[call.path])

    def _page(self, call: Call) -> web.Response:
        items, start = self.lists[call.path], int(call.query.get("continue", "0"))
        end = start + int(call.query["limit"])
        more = {"continue": str(end)} if end < len(items) else {}
        return web.json_response({"metadata": {"resourceVersion": "7", **more}, "items": items[start:end]})

    def _post(self, call: Call) -> web.Response:
        return web.json_response(call.body, status=201)

    def _patch(self, call: Call) -> web.Response:
        owner = call.path.removesuffix("/status")
        path = call.path if call.path in self.objects else owner
        if path not in self.objects:
            return status(404, f'"{path}" not found')
        if isinstance(call.body, list):
            return self._json_patch(path, call.body)
        wanted = call.body.get("metadata", {}).get("resourceVersion")
        if wanted not in {None, self.objects[path]["metadata"]["resourceVersion"]}:
            return status(409, "the object has been modified; please apply your changes to the latest version")
        changed = merged(self.objects[path], call.body)
        if call.query.get("dryRun") != "All":
            self.objects[path] = changed
        return web.json_response(changed)

    def _json_patch(self, path: str, operations: list[Json]) -> web.Response:
        found = copy.deepcopy(self.objects[path])
        try:
            for operation in operations:
                _apply(found, operation)
        except KeyError:
            return status(422, "the server rejected our request due to an error in our request")
        self.objects[path] = found
        return web.json_response(found)


def _apply(found: Json, operation: Json) -> None:
    *parents, key = (part.replace("~1", "/") for part in operation["path"].strip("/").split("/"))
    for parent in parents:
        found = found[parent]
    match operation["op"]:
        case "test" if found[key] != operation["value"]:
            raise KeyError(key)
        case "add" | "replace":
            found[key] = operation["value"]
        case "remove":
            del found[key]


def status(code: int, message: str) -> web.Response:
    """A refusal as the API server puts it."""
    return web.json_response({"kind": "Status", "status": "Failure", "message": message, "code": code}, status=code)
