"""Which PredictiveScalers are meant? Some of the cluster, or those of a YAML file, with the line of a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import yaml

from client.errors import ClientError
from controller.fields import SpecError
from controller.kubernetes_api import ApiError, ForbiddenError, InvalidError, KubernetesApi, NotFoundError
from controller.registry import Scaler
from controller.spec import GROUP, KIND, PLURAL, VERSION, ScalerSpec, parse

_PART = re.compile(r"[^.\[\]]+")
_NAMELESS = "(without a name)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One PredictiveScaler. `where`: of a file, FILE:LINE of what is wrong with it, or of its beginning; else empty."""

    scaler: Scaler
    where: str = ""

    @property
    def is_stored(self) -> bool:
        """Whether the cluster has it."""
        return not self.where


async def listed(api: KubernetesApi, namespace: str | None) -> list[dict[str, Any]]:
    """All of a namespace, or of the cluster (None), as the API server gives them. Raises ApiError."""
    return (await api.list_all(path_of(namespace))).items


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which of the cluster. `namespace`: None for all. `names`: none for all that have the labels of `selector`."""

    namespace: str | None
    names: tuple[str, ...] = ()
    selector: str | None = None

    @property
    def words(self) -> str:
        """As one says it."""
        where = "any namespace" if self.namespace is None else f"namespace {self.namespace}"
        return where if self.selector is None else f"{where} with the labels {self.selector}"


async def chosen(api: KubernetesApi, choice: Choice) -> list[dict[str, Any]]:
    """As the API server gives them, by namespace and name. Raises ClientError."""
    if choice.names:
        namespace = choice.namespace or ""
        return [await _body(api, namespace, name) for name in dict.fromkeys(choice.names)]
    query = {} if choice.selector is None else {"labelSelector": choice.selector}
    try:
        bodies = (await api.list_all(path_of(choice.namespace), query)).items
    except ApiError as error:
        raise _unlisted(choice, error) from error
    return sorted(bodies, key=lambda one: (one["metadata"].get("namespace", ""), one["metadata"]["name"]))


async def all_of(api: KubernetesApi, choice: Choice) -> list[Resource]:
    """The same, read. Raises ClientError."""
    return [Resource(scaler=_scaler(body, choice.namespace or "")) for body in await chosen(api, choice)]


def _unlisted(choice: Choice, error: ApiError) -> ClientError:
    match error:
        case ForbiddenError() if choice.namespace is None:
            return ClientError("you may not list the PredictiveScalers of all namespaces; name one with -n")
        case InvalidError() if choice.selector is not None:
            return ClientError(f"-l: {choice.selector!r} is no selector such as team=shop,tier!=test: {error}")
        case NotFoundError():
            return ClientError(_UNSERVED)
    return ClientError(f"the PredictiveScalers of {choice.words} cannot be listed: {error}")


_UNSERVED = (
    "this cluster knows no PredictiveScalers; install the chart, which brings the kind, or name another --context"
)


async def _body(api: KubernetesApi, namespace: str, name: str) -> dict[str, Any]:
    """One, as the API server gives it. Raises ClientError."""
    try:
        return await api.get(f"{path_of(namespace)}/{quote(name)}")
    except NotFoundError as error:
        words = _UNSERVED if error.is_relayed else f"there is no PredictiveScaler {namespace}/{name}"
        raise ClientError(words) from error
    except ApiError as error:
        raise ClientError(f"the PredictiveScaler {namespace}/{name} cannot be read: {error}") from error


def written(text: str, where: str, namespace: str) -> list[Resource]:
    """Those of a text of YAML; `namespace`: where one names none. Raises ClientError."""
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        bodies = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise ClientError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    pairs = zip(nodes, bodies, strict=True)
    found = [
        _resource(node, body, where, namespace)
        for node, body in pairs
        if isinstance(body, Mapping) and body.get("kind") == KIND
    ]
    if not found:
        raise ClientError(f"{where} holds no {KIND}")
    return found


def _resource(node: yaml.Node, body: Mapping[str, Any], where: str, namespace: str) -> Resource:
    scaler = _scaler(body, namespace)
    path = scaler.spec.field if isinstance(scaler.spec, SpecError) else ""
    return Resource(scaler=scaler, where=f"{where}:{_line(node, _PART.findall(path))}")


def _scaler(body: Mapping[str, Any], namespace: str) -> Scaler:
    """Also of what the cluster never saw: without a uid, and perhaps without a name."""
    metadata = _object(body.get("metadata"))
    return Scaler(
        namespace=str(metadata.get("namespace") or namespace),
        name=str(metadata.get("name") or _NAMELESS),
        uid=str(metadata.get("uid") or metadata.get("name") or ""),
        generation=int(metadata.get("generation", 1)),
        created=str(metadata.get("creationTimestamp", "")),
        spec=_spec(body, metadata),
        status=_object(body.get("status")),
    )


def _spec(body: Mapping[str, Any], metadata: Mapping[str, Any]) -> ScalerSpec | SpecError:
    version = f"{GROUP}/{VERSION}"
    if body.get("apiVersion", version) != version:
        return SpecError("apiVersion", f"must be {version}, not {body['apiVersion']!r}")
    if not metadata.get("name"):
        return SpecError("metadata.name", "is required")
    try:
        return parse(body.get("spec") or {})
    except SpecError as error:
        return error


def _line(node: yaml.Node, path: list[str]) -> int:
    """Of the deepest part of `path` that is there, counted from 1."""
    line = node.start_mark.line + 1
    for part in path:
        found = next((pair for pair in _children(node) if pair[0] == part), None)
        if found is None:
            break
        _, line, node = found
    return line


def _children(node: yaml.Node) -> Iterator[tuple[str, int, yaml.Node]]:
    """Name, line and value; of a list, the place for a name."""
    if isinstance(node, yaml.MappingNode):
        yield from ((str(key.value), key.start_mark.line + 1, value) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from ((str(place), value.start_mark.line + 1, value) for place, value in enumerate(node.value))


def _object(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def path_of(namespace: str | None) -> str:
    """Where the API server has those of a namespace, or of the cluster (None)."""
    scope = "" if namespace is None else f"/namespaces/{quote(namespace)}"
    return f"/apis/{GROUP}/{VERSION}{scope}/{PLURAL}"
