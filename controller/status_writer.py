"""How do a PredictiveScaler's status and events reach the API server?

It must not know what they say. Facts, seen on kube-apiserver 1.36: the status subresource of a custom resource ignores
a `metadata.uid` in a merge-patch, so a re-created object would get the old one's status; a JSON patch whose first
operation tests the uid is refused (422). So is one that adds below a `status` that is not there yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from controller.kubernetes_api import ApiError, InvalidError, Json, KubernetesApi, NotFoundError
from controller.ports import StatusError
from controller.registry import STATUS_MANAGER
from controller.spec import GROUP, KIND, PLURAL, VERSION

REPORTER = "predictive-scaler"
ACTION = "Scale"
NOTE_BYTES = 1024
"""The API server refuses longer notes, as it does names of more than 253 characters."""

MANAGER_LENGTH = 128
"""And longer names of field managers."""


class KubernetesStatusWriter:
    """A `StatusWriter`. `instance`: who this process is among its replicas, such as the Pod's name.

    `group`: who these replicas are among all controllers; statuses are written in their name, which may be cut.
    """

    def __init__(self, api: KubernetesApi, *, instance: str, group: str) -> None:
        self._api = api
        self._instance = instance
        self._manager = f"{STATUS_MANAGER}{group}"[:MANAGER_LENGTH]
        self.group = self._manager.removeprefix(STATUS_MANAGER)

    async def patch_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> Json:
        """Set every key of `status` as a whole, None removing it; other keys stay. Raises StatusError."""
        path = _path(namespace, name)
        try:
            return await self._write(path, uid, status)
        except NotFoundError as error:
            raise StatusError(f"{KIND} {namespace}/{name} was deleted", gone=True) from error
        except ApiError as error:
            raise StatusError(f"cannot write the status of {KIND} {namespace}/{name}: {error}") from error

    async def emit(
        self, namespace: str, name: str, uid: str, *, type_: str, reason: str, note: str, now: datetime
    ) -> None:
        """Record an Event in the object's namespace; a long note is cut. Raises StatusError."""
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}-", "namespace": namespace},
            "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": type_,
            "reason": reason,
            "action": ACTION,
            "note": _cut(note),
            "regarding": _reference(namespace, name, uid),
            "reportingController": REPORTER,
            "reportingInstance": self._instance,
        }
        try:
            await self._api.post(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", event)
        except ApiError as error:
            raise StatusError(f"cannot record the event {reason} of {KIND} {namespace}/{name}: {error}") from error

    async def _write(self, path: str, uid: str, status: Mapping[str, Any]) -> Json:
        try:
            return await self._patch(path, [_is(uid), *_operations(status)])
        except InvalidError:
            found = await self._api.get(path)
            if found["metadata"]["uid"] != uid:
                raise NotFoundError("another object has its name now") from None
            if "status" in found:
                raise
            first = {"op": "add", "path": "/status", "value": {}}
            return await self._patch(path, [_is(uid), first, *_operations(status)])

    async def _patch(self, path: str, operations: list[Json]) -> Json:
        return await self._api.json_patch(f"{path}/status", operations, self._manager)


def _path(namespace: str, name: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}"


def _is(uid: str) -> Json:
    return {"op": "test", "path": "/metadata/uid", "value": uid}


def _operations(status: Mapping[str, Any]) -> list[Json]:
    """`add` replaces what is there; adding before removing makes a removal succeed also where nothing is."""
    adding = [{"op": "add", "path": f"/status/{key}", "value": value} for key, value in status.items()]
    return adding + [{"op": "remove", "path": f"/status/{key}"} for key, value in status.items() if value is None]


def _reference(namespace: str, name: str, uid: str) -> Json:
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "namespace": namespace, "name": name, "uid": uid}


def _cut(note: str) -> str:
    """`note` within the API server's limit, never ending inside a character."""
    encoded = note.encode()
    if len(encoded) <= NOTE_BYTES:
        return note
    return encoded[: NOTE_BYTES - len("…".encode())].decode(errors="ignore") + "…"
