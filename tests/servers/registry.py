"""What would a registry answer? Manifests and blobs by digest, behind a login or none, blobs perhaps elsewhere.

As the distribution specification 1.1 has it; `sandbox` builds a real one, which the e2e tests push to.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
TITLE = "org.opencontainers.image.title"
TOKEN = "a-token-for-a-minute"
USER = base64.b64encode(b"robot:secret").decode()

Json = dict[str, Any]


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(data: bytes, title: str = "", media: str = "application/octet-stream", **more: Any) -> Json:
    """A descriptor of `data`."""
    annotations = {"annotations": {TITLE: title}} if title else {}
    return {"mediaType": media, "digest": digest_of(data), "size": len(data), **annotations, **more}


def manifest_of(*layers: Json) -> bytes:
    empty = described(b"{}", media="application/vnd.oci.empty.v1+json")
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": layers}).encode()


def index_of(*manifests: Json) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


@dataclass(slots=True, kw_only=True)
class FakeRegistry:
    """`login`: "", "basic" or "bearer". `realm`: where tokens are given. `elsewhere`: where blobs lie, if not here."""

    login: str = ""
    realm: str = ""
    elsewhere: str = ""
    is_anonymous: bool = False
    names_digest: bool = True
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    tokens: list[dict[str, str]] = field(default_factory=list)

    def push(self, reference: str, data: bytes, title: str = "model.onnx") -> str:
        """Have `reference` name an artifact of one file; the manifest's digest."""
        self.blobs[digest_of(data)] = data
        return self.put(reference, manifest_of(described(data, title)))

    def put(self, reference: str, manifest: bytes) -> str:
        digest = digest_of(manifest)
        self.manifests[reference] = self.manifests[digest] = manifest
        return digest

    def methods(self, part: str) -> list[str]:
        return [method for method, path, _ in self.asked if f"/{part}/" in path]

    async def handle(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization")
        if request.path == "/token":
            return self._token(request, authorization)
        self.asked.append((request.method, request.path, authorization))
        if self.login and authorization != self._wanted():
            return web.Response(status=401, headers={"WWW-Authenticate": self._challenge()})
        kind, reference = request.path.rsplit("/", 2)[1:]
        if kind == "blobs" and self.elsewhere:
            return web.Response(status=307, headers={"Location": f"{self.elsewhere}/{reference}"})
        found = (self.manifests if kind == "manifests" else self.blobs).get(reference)
        if found is None:
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, status=404)
        headers = {"Docker-Content-Digest": digest_of(found)} if self.names_digest else {}
        return web.Response(body=b"" if request.method == "HEAD" else found, headers=headers)

    def _wanted(self) -> str:
        return f"Basic {USER}" if self.login == "basic" else f"Bearer {TOKEN}"

    def _challenge(self) -> str:
        if self.login == "basic":
            return 'Basic realm="registry"'
        return f'Bearer realm="{self.realm}",service="registry.test",scope="repository:models/web:pull"'

    def _token(self, request: web.Request, authorization: str | None) -> web.Response:
        self.tokens.append({**request.query, "authorization": authorization or ""})
        if not self.is_anonymous and authorization != f"Basic {USER}":
            return web.Response(status=401)
        return web.json_response({"token": TOKEN, "expires_in": 60})
