"""Which specs are good and which are bad? The tables that the fast contract and the e2e test of the CRD both use."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CRD_FILE = HERE.parents[1] / "charts/predictive-scaler/crds/predictivescalers.yaml"
EXAMPLES = sorted(
    file for folder in ("manifests/examples", "training/presets") for file in (HERE.parents[1] / folder).glob("*.yaml")
)

SMALLEST: dict[str, Any] = {
    "targetRef": {"name": "web"},
    "maxReplicas": 10,
    "metric": {"prometheus": {"query": "sum(rate(http_requests_total[1m]))"}, "targetPerReplica": 100},
}


def documents(text: str) -> list[Any]:
    """The documents of a YAML text; libyaml reads the CRD ten times as fast as Python does."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def merged(base: Any, patch: Any) -> Any:
    """`base` with a JSON merge patch applied: null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    kept = {name: value for name, value in base.items() if name not in patch} if isinstance(base, dict) else {}
    base = base if isinstance(base, dict) else {}
    return kept | {name: merged(base.get(name), value) for name, value in patch.items() if value is not None}


def table(name: str) -> list[dict[str, Any]]:
    """The cases of refused.yaml or accepted.yaml, each with its whole spec."""
    (cases,) = documents((HERE / name).read_text())
    return [case | {"spec": merged(SMALLEST, case["spec"])} for case in cases]


def full_specs() -> list[dict[str, Any]]:
    """Specs that together use every field."""
    (specs,) = documents((HERE / "full.yaml").read_text())
    return list(specs)


@cache
def crd() -> dict[str, Any]:
    """The CRD as it is shipped; not to be changed."""
    (document,) = documents(CRD_FILE.read_text())
    return dict(document)


def resource_schema() -> dict[str, Any]:
    """The schema of a whole PredictiveScaler; a copy, so that a test may change it."""
    return copy.deepcopy(crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def spec_schema() -> dict[str, Any]:
    """The schema of `.spec`; a copy."""
    schema: dict[str, Any] = resource_schema()["properties"]["spec"]
    return schema


def strict(schema: Any) -> Any:
    """As a plain JSON Schema that refuses what the API server's strict decoding and own keywords refuse."""
    if isinstance(schema, list):
        return [strict(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: strict(value) for name, value in schema.items()}
    if isinstance(plain.get("properties"), dict):
        plain["additionalProperties"] = False
    if isinstance(plain.get("pattern"), str):  # in Python, $ also matches before a final line break
        plain["pattern"] = plain["pattern"].removesuffix("$") + r"\Z"
    return plain


def nodes(
    schema: dict[str, Any], path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Every schema below `schema` with the path of its value; the first item stands for all items of a list."""
    for name, inner in schema.get("properties", {}).items():
        yield (*path, name), inner
        yield from nodes(inner, (*path, name))
    if "items" in schema:
        yield (*path, 0), schema["items"]
        yield from nodes(schema["items"], (*path, 0))


def dotted(path: tuple[str | int, ...]) -> str:
    """The path as error messages write it, e.g. "spec.behavior.scaleUp.policies[0].value"."""
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def value_at(document: Any, path: tuple[str | int, ...]) -> Any:
    """The value at `path`, or None when there is nothing."""
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError):
            return None
    return document


def with_value(document: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """A copy of `document` with `value` at `path`, whose parent is there."""
    changed = copy.deepcopy(document)
    value_at(changed, path[:-1])[path[-1]] = value
    return changed


def without(document: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    """A copy of `document` without the value at `path`."""
    changed = copy.deepcopy(document)
    del value_at(changed, path[:-1])[path[-1]]
    return changed


def defaulted(schema: dict[str, Any], value: Any) -> Any:
    """`value` with the schema's defaults filled in as the API server does: outside first, then within."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        absent = {
            name: inner["default"]
            for name, inner in properties.items()
            if "default" in inner and value.get(name) is None
        }
        filled = {name: inner for name, inner in value.items() if inner is not None} | absent
        return {name: defaulted(properties[name], inner) for name, inner in filled.items()}
    if isinstance(value, list):
        return [defaulted(schema["items"], item) for item in value]
    return value
