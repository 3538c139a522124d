"""How is a model read from a registry? Manifest, then the one layer that is the file, each by its digest.

As the OCI distribution specification 1.1 has it: GET /v2/NAME/manifests/REFERENCE, GET /v2/NAME/blobs/DIGEST, a 401
answered by Basic credentials or by a token from the `realm` that it names. A registry on this machine speaks http.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp

from controller.places.cache import Part
from controller.places.https import receive
from controller.places.logins import HUB, HUB_HOST, Logins
from controller.places.place import OciPlace
from controller.places.web import Web, body, is_loopback, is_ok
from controller.ports import ModelError

MANIFEST_BYTES = 4 * 2**20
TOKEN_BYTES = 2**20
TITLE = "org.opencontainers.image.title"
_REFERENCE_TYPE = "vnd.docker.reference.type"  # an attestation beside an image, not an image
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_ACCEPT = {"Accept": ", ".join(_MANIFESTS + _INDEXES)}
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}

Json = Mapping[str, Any]


class Oci:
    """A fetcher of OciPlace."""

    def __init__(self, web: Web, logins: Logins) -> None:
        self._web = web
        self._logins = logins

    async def fetch(self, place: OciPlace, known: str, part: Part) -> str | None:
        """Write the file into `part`; its manifest's digest. None where that is `known`. Raises ModelError."""
        pull = _Pull(self._web, self._logins, place)
        if known and place.digest is None and await pull.announced() == known:
            return None
        digest, manifest = await pull.manifest(place.digest or place.tag)
        if digest == known:
            return None
        if _is_index(manifest):
            _, manifest = await pull.manifest(_only_manifest(place, manifest))
        await pull.layer(_only_layer(place, manifest), part)
        return digest


class _Pull:
    """The requests of one fetch; a token serves them all."""

    def __init__(self, web: Web, logins: Logins, place: OciPlace) -> None:
        self._web = web
        self._logins = logins
        self._place = place
        self._authorization: str | None = None

    async def announced(self) -> str:
        """The digest that the registry gives a tag now, or empty: HEAD is not counted as a pull where pulls are."""
        async with self._get(f"manifests/{self._place.tag}", method="HEAD") as response:
            return response.headers.get("Docker-Content-Digest", "") if is_ok(response) else ""

    async def manifest(self, reference: str) -> tuple[str, Json]:
        """Its digest and what it says. What is named by a digest must have it."""
        async with self._get(f"manifests/{reference}") as response:
            _check(self._place, response, f"manifest {reference}")
            data = await body(response, MANIFEST_BYTES)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if _DIGEST.fullmatch(reference) and digest != reference:
            raise ModelError("digest", f"the manifest has the digest {digest}, not {reference}")
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ModelError("download", f"{self._place.registry} did not answer as a registry does")
        return digest, found

    async def layer(self, layer: Json, part: Part) -> None:
        """Write the file of a manifest's layer."""
        digest, size = layer["digest"], layer["size"]
        part.expect(size)
        async with self._get(f"blobs/{digest}") as response:
            _check(self._place, response, f"file {digest}")
            await receive(response, part)
        if f"sha256:{part.digest}" != digest or part.size != size:
            raise ModelError("digest", f"the file has the digest sha256:{part.digest}, the manifest says {digest}")

    @asynccontextmanager
    async def _get(self, path: str, *, method: str = "GET") -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, after logging in where the registry asks for that."""
        url = f"{_address(self._place.registry)}/v2/{self._place.repository}/{path}"
        async with self._web.get(url, self._headers(), method=method) as response:
            challenge = response.headers.get("WWW-Authenticate", "")
            if response.status != HTTPStatus.UNAUTHORIZED or not challenge or self._authorization:
                yield response
                return
        self._authorization = await self._answer(challenge)
        async with self._web.get(url, self._headers(), method=method) as response:
            yield response

    def _headers(self) -> dict[str, str]:
        return _ACCEPT | ({"Authorization": self._authorization} if self._authorization else {})

    async def _answer(self, challenge: str) -> str:
        """The Authorization that a `WWW-Authenticate` asks for."""
        basic = self._logins.basic(self._place.registry)
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "bearer":
            return f"Bearer {await self._token(dict(_CHALLENGE.findall(rest)), basic)}"
        if basic is None:
            raise ModelError("download", _unknown(self._place, HTTPStatus.UNAUTHORIZED))
        return basic

    async def _token(self, asked: Mapping[str, str], basic: str | None) -> str:
        realm = asked.get("realm", "")
        is_https = realm.startswith("https://")
        if not is_https and not _is_here(self._place.registry, realm):
            raise ModelError("download", f"{self._place.registry} has tokens given by {realm!r}, which is not https://")
        scope = asked.get("scope") or f"repository:{self._place.repository}:pull"
        query = urlencode({"service": asked.get("service", ""), "scope": scope}, quote_via=quote)
        headers = {"Authorization": basic} if basic else {}
        async with self._web.get(f"{realm}{'&' if '?' in realm else '?'}{query}", headers) as response:
            if response.status in _REFUSED:
                raise ModelError("download", _unknown(self._place, response.status))
            _check(self._place, response, "token")
            try:
                found = json.loads(await body(response, TOKEN_BYTES))
                return str(found.get("token") or found["access_token"])
            except (ValueError, KeyError, AttributeError) as error:
                raise ModelError("download", f"{urlsplit(realm).netloc} gave no token") from error


def _address(registry: str) -> str:
    host = HUB_HOST if registry == HUB else registry
    return f"{'http' if is_loopback(_name(host)) else 'https'}://{host}"


def _is_here(registry: str, realm: str) -> bool:
    return is_loopback(_name(registry)) and is_loopback(urlsplit(realm).hostname or "")


def _name(registry: str) -> str:
    return registry.partition(":")[0]


def _check(place: OciPlace, response: aiohttp.ClientResponse, what: str) -> None:
    if is_ok(response):
        return
    if response.status in _REFUSED:
        raise ModelError("download", _unknown(place, response.status))
    if response.status == HTTPStatus.NOT_FOUND:
        raise ModelError(
            "download", f"{place.registry} has no {what} of {place.repository}; correct forecast.model, or push"
        )
    raise ModelError("download", f"{place.registry} answered {response.status} for the {what}; tried again later")


def _unknown(place: OciPlace, status: int) -> str:
    cure = "give the controller a login that may pull (the chart's models.registrySecret)"
    return f"{place.registry} answered {status} for {place.repository}; {cure}"


def _is_index(manifest: Json) -> bool:
    return manifest.get("mediaType") in _INDEXES or "manifests" in manifest


def _only_manifest(place: OciPlace, index: Json) -> str:
    found = [one for one in _described(index.get("manifests")) if _REFERENCE_TYPE not in one.get("annotations", {})]
    if len(found) != 1:
        raise ModelError(
            "download", f"{place.repository} has {len(found)} manifests under one name; name one by @sha256:"
        )
    return str(found[0]["digest"])


def _only_layer(place: OciPlace, manifest: Json) -> Json:
    """The layer that is titled as a model, or the only one."""
    layers = _described(manifest.get("layers"))
    titled = [one for one in layers if str(one.get("annotations", {}).get(TITLE, "")).endswith(".onnx")]
    found = titled or layers
    if len(found) != 1:
        cure = "push one .onnx file, as `oras push REGISTRY/NAME:TAG model.onnx` does"
        raise ModelError("download", f"{place.repository} holds {len(found)} files that could be the model; {cure}")
    return found[0]


def _described(given: object) -> Sequence[Json]:
    """The content descriptors of a list, each with a sha256 and a size."""
    candidates = given if isinstance(given, list) else []
    return [one for one in candidates if isinstance(one, dict) and _is_described(one)]


def _is_described(one: Json) -> bool:
    annotations = one.get("annotations", {})
    is_sized = isinstance(one.get("size"), int) and one["size"] >= 0
    return is_sized and isinstance(annotations, dict) and bool(_DIGEST.fullmatch(str(one.get("digest"))))
