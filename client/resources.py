"""Which PredictiveScalers are meant? One or all of a namespace, or those of a YAML file, with the line of a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import yaml

from client.errors import ClientError
from controller.fields import SpecError
from controller.kubernetes_api import ApiError, KubernetesApi, NotFoundError
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


async def named(api: KubernetesApi, namespace: str, name: str) -> Resource:
    """As the cluster has it. Raises ClientError."""
    try:
        return Resource(scaler=_scaler(await api.get(f"{_path(namespace)}/{quote(name)}"), namespace))
    except NotFoundError as error:
        raise ClientError(f"there is no PredictiveScaler {namespace}/{name}") from error
    except ApiError as error:
        raise ClientError(f"the PredictiveScaler {namespace}/{name} cannot be read: {error}") from error


async def listed(api: KubernetesApi, namespace: str) -> list[dict[str, Any]]:
    """All of a namespace, as the API server gives them. Raises ApiError."""
    return (await api.list_all(_path(namespace))).items


async def all_in(api: KubernetesApi, namespace: str) -> list[Resource]:
    """All of a namespace, by name. Raises ClientError."""
    try:
        bodies = await listed(api, namespace)
    except ApiError as error:
        raise ClientError(f"the PredictiveScalers of {namespace} cannot be listed: {error}") from error
    return sorted((Resource(scaler=_scaler(body, namespace)) for body in bodies), key=lambda one: one.scaler.name)


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


def _path(namespace: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{quote(namespace)}/{PLURAL}"
