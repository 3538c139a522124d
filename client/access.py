"""How does a person's machine reach the controller? By its address, or through the API server's proxy to its Service.

And where that fails, what does the cluster itself say? Reads only; JSON in the controller's own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from client.errors import ClientError, UnreachableError
from client.resources import Choice, chosen
from controller.kubernetes_api import (
    ApiError,
    ConfigurationError,
    ForbiddenError,
    InvalidError,
    KubernetesApi,
    NotFoundError,
    namespace_of,
)

CHART = "app.kubernetes.io/name=predictive-scaler"  # what the chart labels its Service with
ANSWER_SECONDS = 10.0
_OK, _REFUSED, _FAILED = 200, 400, 500

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where to ask. `controller`: its address; None: through the API server, by its Service in `controller_namespace`.

    `namespace`, `controller_namespace`, `kubeconfig`, `context`: None means what kubectl would take, or any namespace.
    """

    namespace: str | None = None
    controller: str | None = None
    controller_namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None

    def scaler(self, name: str) -> tuple[str, str]:
        """Namespace and name of a PredictiveScaler. Raises ClientError."""
        try:
            return self.home(), name
        except ClientError:
            if self.controller is None:
                raise
            return "default", name

    def home(self) -> str:
        """The namespace that is meant. Raises ClientError."""
        if self.namespace is not None:
            return self.namespace
        try:
            return namespace_of(self.kubeconfig, self.context)
        except ConfigurationError as error:
            raise ClientError(str(error)) from error

    def choice(self, names: Sequence[str] | None, selector: str | None, *, all_namespaces: bool) -> Choice:
        """Which of the cluster are meant. Raises ClientError."""
        if all_namespaces and self.namespace is not None:
            raise ClientError("-A is all namespaces and -n is one of them; leave one away")
        if names and all_namespaces:
            raise ClientError("-A is all namespaces, and a NAME is of one; name its namespace with -n")
        if names and selector is not None:
            raise ClientError("-l chooses by labels, NAMEs by name; leave one away")
        namespace = None if all_namespaces else self.home()
        return Choice(namespace=namespace, names=tuple(names or ()), selector=selector)

    def check(self) -> None:
        """Raises ClientError for an address that is none."""
        if self.controller is not None and not self.controller.startswith(("http://", "https://")):
            raise ClientError(f"--controller: {self.controller!r} is no address such as http://127.0.0.1:8080")

    async def ask(self, path: str, query: Mapping[str, str]) -> Json:
        """What the controller answers to `path`. Raises UnreachableError, or ClientError for what it refuses."""
        self.check()
        if self.controller is not None:
            return await _ask_directly(f"{self.controller.rstrip('/')}{path}", query)
        async with await self.connect() as api:
            return await _ask_by_proxy(api, self.controller_namespace, path, query)

    async def stored(self, namespace: str, name: str) -> Json:
        """The PredictiveScaler as the cluster has it. Raises ClientError."""
        async with await self.connect() as api:
            return (await chosen(api, Choice(namespace=namespace, names=(name,))))[0]

    async def connect(self) -> KubernetesApi:
        """The API server. Raises ClientError."""
        try:
            return await KubernetesApi.connect(kubeconfig=self.kubeconfig, context=self.context)
        except ConfigurationError as error:
            raise ClientError(f"{error}; or give --kubeconfig") from error


async def _ask_directly(url: str, query: Mapping[str, str]) -> Json:
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, params=query) as response:
            answer = await response.json(content_type=None)
            status = response.status
    except TimeoutError as error:
        raise UnreachableError(f"{url} did not answer within {ANSWER_SECONDS:g} s") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise UnreachableError(f"{url} gives no answer that can be read: {error}") from error
    if status == _OK and isinstance(answer, dict):
        return answer
    said = answer.get("error") if isinstance(answer, dict) else None
    kind = ClientError if said and _REFUSED <= status < _FAILED else UnreachableError
    raise kind(str(said or f"{url} answers {status}; is that a controller of this release?"))


async def _ask_by_proxy(api: KubernetesApi, namespace: str | None, path: str, query: Mapping[str, str]) -> Json:
    """Of several controllers, each for its own namespaces, the one that knows the scaler."""
    last: ClientError | None = None
    for where, service in await _services(api, namespace):
        proxy = f"/api/v1/namespaces/{where}/services/{service}:http/proxy"
        try:
            return await api.get(f"{proxy}{path}", query)
        except ForbiddenError as error:
            words = f"you may not get services/proxy in {where}; ask for that right, or name --controller"
            raise UnreachableError(words) from error
        except ApiError as error:
            if not (error.is_relayed and isinstance(error, (NotFoundError, InvalidError))):
                raise UnreachableError(f"the Service {where}/{service} gives no answer: {error}") from error
            last = ClientError(str(error))
    raise last or UnreachableError(
        f"no Service in {namespace or 'any namespace'} is labelled {CHART}; name --controller-namespace or --controller"
    )


async def _services(api: KubernetesApi, namespace: str | None) -> list[tuple[str, str]]:
    scope = "" if namespace is None else f"/namespaces/{quote(namespace)}"
    try:
        listing = await api.list_all(f"/api/v1{scope}/services", {"labelSelector": CHART})
    except ForbiddenError as error:
        where = "of all namespaces; name --controller-namespace" if namespace is None else f"in {namespace}"
        raise UnreachableError(f"you may not list services {where}") from error
    except ApiError as error:
        raise UnreachableError(f"the API server gives no list of services: {error}") from error
    return [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in listing.items]


def decisions_path(namespace: str, name: str) -> str:
    """Where the controller keeps the records of a scaler."""
    return f"/api/v1/scalers/{quote(namespace)}/{quote(name)}/decisions"
