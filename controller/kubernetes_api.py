"""How does this process talk to the Kubernetes API server? JSON in, JSON out, and errors by what they mean.

The only file that knows the Kubernetes client. It takes the client's configuration and transport, and no typed
API of it: `import kubernetes.aio.config` costs 1 MiB beside kopf, a CoreV1Api 126 MiB. It must not know
what the objects mean, nor try again what failed (a refused token, renewed once, is the exception): the next tick does.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode
from urllib.request import getproxies

import aiohttp
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import (
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)

from controller.fence import REFUSED, Left
from controller.ports import SecretError

FIELD_MANAGER = "predictive-scaler"
CONNECTIONS = 100
CALL_SECONDS = 10.0
PAGE = 500
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

Json = dict[str, Any]


class ApiError(Exception):
    """The API server did not do what was asked. The message is its own, or says what became of the connection.

    `is_relayed`: it is a Service's, to which the API server's proxy led.
    """

    def __init__(self, message: str, *, is_relayed: bool = False) -> None:
        super().__init__(message)
        self.is_relayed = is_relayed


class NotFoundError(ApiError):
    """404: no such object, or no such kind."""


class ForbiddenError(ApiError):
    """403: this ServiceAccount may not do that."""


class UnauthorizedError(ApiError):
    """401: the credentials were refused, also after they were read again."""


class ConflictError(ApiError):
    """409: somebody changed the object since it was read, or it exists already."""


class GoneError(ApiError):
    """410: the list or watch is too old to be continued; start it again."""


class InvalidError(ApiError):
    """Any other 4xx: the request itself is wrong and will be wrong again."""


class UnavailableError(ApiError):
    """429, 5xx, or no connection: the next try may succeed."""


class TimedOutError(UnavailableError):
    """No answer in time."""


class FencedError(UnavailableError):
    """Nothing was sent: this process may not write now."""


class ConfigurationError(Exception):
    """There is no usable way to find the API server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All pages of a list, and the resource version that the first page was read at."""

    items: list[Json]
    resource_version: str


class KubernetesApi:
    """A client for raw paths, such as `/apis/apps/v1/namespaces/web/deployments/api/scale`.

    Every method raises ApiError, or rather the one of its kinds that fits. `reload` reads the credentials again;
    it is called when the API server refuses those in `configuration`, and the call is then made once more.
    `fence`: for how long writes may be sent at this moment; asked before each, which gets no more time than that.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        reload: Callable[[], Awaitable[object]] | None = None,
        call_seconds: float = CALL_SECONDS,
        fence: Left = lambda: math.inf,
    ) -> None:
        self._configuration = configuration
        self._transport = RESTClientObject(configuration)
        self._reload = reload
        self._renewing = asyncio.Lock()
        self._call_seconds = call_seconds
        self._fence = fence

    @classmethod
    async def connect(
        cls,
        *,
        call_seconds: float = CALL_SECONDS,
        kubeconfig: str | None = None,
        context: str | None = None,
        fence: Left = lambda: math.inf,
    ) -> Self:
        """A client for $KUBECONFIG, else for the cluster this Pod runs in, else for ~/.kube/config.

        `kubeconfig`, `context`: instead of these, the file and of it the context, as kubectl takes them.
        In a cluster the token is read again every minute. Raises ConfigurationError.
        """
        has_proxy = bool(getproxies())  # looking for one at every request costs a thread's turn
        session = {"trust_env": has_proxy}
        configuration = Configuration(connection_pool_maxsize=CONNECTIONS, client_session_kwargs=session)
        try:
            reload = await _load(configuration, kubeconfig, context)
        except (ConfigException, OSError) as error:
            raise ConfigurationError(
                f"no way to the API server: {error}; set KUBECONFIG or run in a cluster"
            ) from error
        return cls(configuration, reload=reload, call_seconds=call_seconds, fence=fence)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """The object at `path`."""
        return await self._call("GET", path, query)

    async def list_all(self, path: str, query: Mapping[str, str] | None = None, *, page: int = PAGE) -> Listing:
        """All objects under `path`, read `page` at a time; begun once more if the list grew too old meanwhile."""
        try:
            return await self._listing(path, query, page)
        except GoneError:
            return await self._listing(path, query, page)

    async def pages(
        self, path: str, query: Mapping[str, str] | None = None, *, page: int = PAGE
    ) -> AsyncIterator[Json]:
        """The lists of at most `page` objects that together are all under `path`; one is held at a time."""
        wanted = {**(query or {}), "limit": str(page)}
        answer = await self.get(path, wanted)
        yield answer
        while token := answer["metadata"].get("continue"):
            answer = await self.get(path, wanted | {"continue": token})
            yield answer

    async def merge_patch(self, path: str, body: Json, query: Mapping[str, str] | None = None) -> Json:
        """The object after merging `body` into it (RFC 7386: null removes, lists are replaced).

        `query`: such as {"dryRun": "All"}, or another field manager.
        """
        return await self._call("PATCH", path, {"fieldManager": FIELD_MANAGER} | dict(query or {}), body, MERGE_PATCH)

    async def apply(self, path: str, body: Json) -> Json:
        """The object after server-side apply of `body`, whose fields are then ours, whoever had them before.

        `body` names apiVersion, kind and metadata.name; what it held the last time and holds no more is removed. With
        metadata.resourceVersion it is refused with ConflictError when the object has changed since.
        """
        return await self._call("PATCH", path, {"fieldManager": FIELD_MANAGER, "force": "true"}, body, APPLY_PATCH)

    async def json_patch(self, path: str, operations: list[Json], manager: str = FIELD_MANAGER) -> Json:
        """The object after all `operations` (RFC 6902), or InvalidError if one of them, such as a test, failed."""
        return await self._call("PATCH", path, {"fieldManager": manager}, operations, JSON_PATCH)

    async def post(self, path: str, body: Json) -> Json:
        """The object created from `body`."""
        return await self._call("POST", path, {"fieldManager": FIELD_MANAGER}, body)

    async def put(self, path: str, body: Json) -> Json:
        """The object, replaced by `body`; ConflictError when it is no more at the version that `body` names."""
        return await self._call("PUT", path, {"fieldManager": FIELD_MANAGER}, body)

    async def delete(self, path: str, *, version: str) -> None:
        """Delete the object if it is still at this resource version, else ConflictError."""
        await self._call("DELETE", path, None, {"preconditions": {"resourceVersion": version}})

    async def read_secret(self, namespace: str, name: str) -> dict[str, bytes]:
        """All keys of a Secret. Raises SecretError."""
        try:
            secret = await self.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except ApiError as error:
            raise _secret_error(namespace, name, error) from error
        try:
            return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
        except binascii.Error as error:
            raise SecretError(f"Secret {namespace}/{name} holds data that is not base64") from error

    async def _listing(self, path: str, query: Mapping[str, str] | None, page: int) -> Listing:
        answers = [answer async for answer in self.pages(path, query, page=page)]
        return Listing(
            items=[item for answer in answers for item in answer["items"]],
            resource_version=answers[0]["metadata"]["resourceVersion"],
        )

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Json:
        url = f"{self._configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        authorization = await self._authorization()
        try:
            return await self._send(method, url, body, content_type, authorization)
        except UnauthorizedError:
            if not await self._renewed(authorization):
                raise
        return await self._send(method, url, body, content_type, await self._authorization())

    async def _send(self, method: str, url: str, body: object, content_type: str, authorization: str | None) -> Json:
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": FIELD_MANAGER}
        if authorization:
            headers["Authorization"] = authorization
        seconds = self._call_seconds if method == "GET" else self._seconds_to_write()
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            response = await self._transport.request(method, url, headers, body, _request_timeout=timeout)
            content = await response.read()
        except TimeoutError as error:
            raise TimedOutError(f"the API server did not answer within {seconds:.3g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"no connection to the API server: {error}") from error
        return _parsed(response.status, content)

    def _seconds_to_write(self) -> float:
        left = self._fence()
        if left <= 0.0:
            raise FencedError(REFUSED)
        return min(self._call_seconds, left)

    async def _authorization(self) -> str | None:
        """The Authorization header now; in a cluster this reads the token file again when it is a minute old."""
        token: str | None = await self._configuration.get_api_key_with_prefix("BearerToken")
        return token

    async def _renewed(self, refused: str | None) -> bool:
        """Whether there are credentials other than those that were `refused`; many callers renew them once."""
        if self._reload is None:
            return False
        async with self._renewing:
            if await self._authorization() == refused:
                await self._reload()
            return await self._authorization() != refused


def namespace_of(kubeconfig: str | None = None, context: str | None = None) -> str:
    """The namespace that kubectl would take: the context's, else "default". Raises ConfigurationError."""
    try:
        contexts, current = list_kube_config_contexts(_kubeconfig(_named(kubeconfig)))
    except (ConfigException, OSError) as error:
        raise ConfigurationError(f"no kubeconfig to take the namespace from: {error}; name --namespace") from error
    found = next((one for one in contexts if one["name"] == context), current) if context else current
    return str((found or {}).get("context", {}).get("namespace") or "default")


def _named(kubeconfig: str | None) -> str:
    return kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


async def _load(
    configuration: Configuration, kubeconfig: str | None, context: str | None
) -> Callable[[], Awaitable[object]] | None:
    """Fill `configuration`; gives what reads the credentials again where the client does not do so by itself."""
    is_named = kubeconfig or context or os.environ.get("KUBECONFIG")
    if not is_named and "KUBERNETES_SERVICE_HOST" in os.environ:
        load_incluster_config(configuration)
        return None
    path = _kubeconfig(_named(kubeconfig))

    async def reload() -> None:
        await load_kube_config(path, context=context, client_configuration=configuration, persist_config=False)

    await reload()
    return reload


def _kubeconfig(path: str) -> str:
    """`path`, which may be several joined by colons, provided that one of them exists."""
    if not any(Path(part).is_file() for part in path.split(os.pathsep)):
        raise ConfigException(f"{path} does not exist")
    return path


_SUCCESS = range(200, 300)
_REFUSAL = range(400, 500)


def _parsed(status: int, content: bytes) -> Json:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if status not in _SUCCESS:
        raise _error(status, answer, content)
    if not isinstance(answer, dict):
        raise UnavailableError(f"the API server answered {status} with something other than a JSON object")
    return answer


_KINDS: dict[int, type[ApiError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    429: UnavailableError,
}


def _error(status: int, answer: object, content: bytes) -> ApiError:
    said = answer.get("message") or answer.get("error") if isinstance(answer, dict) else None  # "error": our own API's
    words = str(said or content[:200].decode(errors="replace").strip() or f"HTTP {status}")
    is_own = isinstance(answer, dict) and answer.get("kind") == "Status"
    return _KINDS.get(status, InvalidError if status in _REFUSAL else UnavailableError)(words, is_relayed=not is_own)


def _secret_error(namespace: str, name: str, error: ApiError) -> SecretError:
    secret = f"Secret {namespace}/{name}"
    match error:
        case NotFoundError():
            return SecretError(f"{secret} does not exist; create it, or correct the name in spec.metric.prometheus")
        case ForbiddenError():
            return SecretError(f"{secret} may not be read; grant the controller get on secrets in {namespace}")
        case _:
            return SecretError(f"{secret} could not be read: {error}", is_transient=True)
