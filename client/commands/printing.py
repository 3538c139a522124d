"""How are objects printed for programs? As kubectl prints them: JSON, YAML or names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import typer
import yaml

from controller.spec import GROUP, KIND, VERSION

Json = Mapping[str, Any]


class Form(StrEnum):
    """For programs."""

    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def reference(body: Json) -> str:
    """What kubectl calls an object."""
    return f"{KIND.lower()}.{GROUP}/{body['metadata']['name']}"


def print_objects(bodies: Sequence[Json], form: Form, *, is_list: bool) -> None:
    """`is_list`: as a List, also where there is one object or none."""
    if form is Form.NAME:
        for body in bodies:
            typer.echo(reference(body))
        return
    shown = [_plain(body) for body in bodies]
    whole = {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": shown} if is_list else shown[0]
    if form is Form.JSON:
        typer.echo(json.dumps(whole, indent=4, ensure_ascii=False))
    else:
        typer.echo(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True), nl=False)


def _plain(body: Json) -> dict[str, Any]:
    """Without what only the API server reads, as kubectl leaves it out."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, **body, "metadata": metadata}
