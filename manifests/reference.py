"""What can a PredictiveScaler say? The CRD as a page for people; `python -m manifests` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from manifests.install import ROOT

FILE = ROOT / "docs/reference/predictivescaler.md"
HEAD = """\
# PredictiveScaler

<!-- Written by `make manifests` from the CRD; change the CRD instead. -->

`{group}/{version}`, short name `{short}`. {description}

`kubectl explain {singular}.spec` shows the same on a cluster. To start from:
[manifests/examples](../../manifests/examples).
"""
TABLE = "\n| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n"

Schema = dict[str, Any]


def page(crd: Schema) -> str:
    """The whole page."""
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    head = HEAD.format(
        group=crd["spec"]["group"],
        version=version["name"],
        short=names["shortNames"][0],
        singular=names["singular"],
        description=schema["description"],
    )
    return head + "".join(_section(part, schema["properties"][part]) for part in ("spec", "status")) + _columns(version)


def _section(title: str, schema: Schema) -> str:
    """One table of all fields below `schema`, and its rules."""
    rows = "".join(_row(path, field, is_required) for path, field, is_required in _fields(schema, ""))
    rules = "".join(f"- `{path or title}`: {message}\n" for path, message in _rules(schema, ""))
    return f"\n## {title}\n\n{schema['description']}\n{TABLE}{rows}" + (
        f"\nRefused as well:\n\n{rules}" if rules else ""
    )


def _fields(schema: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    """Every field with its path and whether its object needs it, parents first; a secretKeyRef is shown as one."""
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        yield inner, field, name in required
        if not _is_from_secret(field):
            yield from _fields(field.get("items", field), f"{inner}[]" if "items" in field else inner)


def _rules(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    """The message of every CEL rule with the path that it stands at."""
    yield from ((path, rule["message"]) for rule in schema.get("x-kubernetes-validations", []))
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}" if path else name)


def _row(path: str, field: Schema, is_required: bool) -> str:
    cells = (f"`{path}`", _type(field), _default(field, is_required), _bounds(field), field["description"])
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _is_from_secret(field: Schema) -> bool:
    return list(field.get("properties", {})) == ["secretKeyRef"]


def _type(field: Schema) -> str:
    if _is_from_secret(field):
        return "`secretKeyRef: {name, key}`"
    if "x-kubernetes-int-or-string" in field:
        return "quantity"
    if field.get("format") == "date-time":
        return "time"
    return "list" if field["type"] == "array" else str(field["type"])


def _default(field: Schema, is_required: bool) -> str:
    if is_required:
        return "required"
    return _code(field["default"]) if field.get("default") not in (None, {}) else ""


def _bounds(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(_code(value) for value in field["enum"])
    if "minimum" in field:
        return f"{field['minimum']} to {field['maximum']}" if "maximum" in field else f"at least {field['minimum']}"
    if "maxItems" in field:
        return f"{field.get('minItems', 0)} to {field['maxItems']} items"
    return _code(field["pattern"]) if "pattern" in field else ""


def _code(value: object) -> str:
    """`value` as YAML in one line."""
    dumped = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=1000)
    text = dumped.removesuffix("...\n").strip()
    return f"`{text}`"


def _columns(version: Schema) -> str:
    """The columns of `kubectl get`."""
    rows = "".join(
        f"| {column['name']} | {'wide' if column.get('priority') else 'always'} | {column['description']} |\n"
        for column in version["additionalPrinterColumns"]
    )
    return f"\n## kubectl get\n\n| column | shown | meaning |\n|---|---|---|\n{rows}"
