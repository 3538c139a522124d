"""What can the controller's process be told? Its settings as a page for people; `python -m manifests` writes it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

from controller import settings
from manifests.chart_page import escaped
from manifests.install import ROOT

FILE = ROOT / "docs/reference/settings.md"
HEAD = """\
# Settings of the controller

<!-- Written by `make manifests` from controller/settings.py; change that instead. -->

The process `python -m controller` reads these variables of its environment. The chart sets them from
[its values](chart.md); `env` there adds others. A variable with the prefix `{prefix}` that is none of these, or
has a value that cannot be meant, ends the process with a sentence that says so. What concerns one workload is in
its [PredictiveScaler](predictivescaler.md).

| variable | default | meaning |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    defaults = {field.name: _default(field.default) for field in fields(settings.Settings)}
    rows = (_row(name, defaults[name], meaning) for name, meaning in _meanings())
    return HEAD.format(prefix=settings.PREFIX) + "".join(rows)


def _row(name: str, default: str, meaning: str) -> str:
    cells = (f"`{settings.PREFIX}{name.upper()}`", f"`{default}`" if default else "", meaning)
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |\n"


def _meanings() -> Iterator[tuple[str, str]]:
    """Each field with the text under it, in the order of the file. Raises ValueError for one without."""
    (module,) = ast.parse(inspect.getsource(settings.Settings)).body
    body = module.body if isinstance(module, ast.ClassDef) else []
    for place, statement in enumerate(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id, _text_under(body, place, statement.target.id)


def _text_under(body: list[ast.stmt], place: int, name: str) -> str:
    match body[place + 1 : place + 2]:
        case [ast.Expr(value=ast.Constant(value=str(text)))]:
            return " ".join(text.split())
        case _:
            raise ValueError(f"controller/settings.py says nothing under {name}; write a text there")


def _default(value: object) -> str:
    """As it would stand in the environment."""
    if value is MISSING or value is None:
        return ""
    if isinstance(value, tuple):
        return (":" if any(isinstance(part, Path) for part in value) else ",").join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
