"""Which commands are there? Each is imported when it is asked for, so that none waits for what only another one needs.

The list shows the first words that each function says of itself, read from its source. Must not do what they do.
"""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

MODULES = {
    "explain": "client.commands.explain",
    "replay": "client.commands.replay",
    "grade": "client.commands.grade",
}
"""Where each is, in the order of the list; the function is called as the command."""


class Commands(TyperGroup):
    """The commands of MODULES."""

    def list_commands(self, _ctx: Any) -> list[str]:  # noqa: ANN401  # click's own types, which typer wraps
        """Of all, also of those that are not imported."""
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401  # as above
        """The command, or no more than its help where it was only named."""
        is_named = cmd_name in MODULES and cmd_name not in self.commands
        return TyperCommand(cmd_name, help=_help(cmd_name)) if is_named else super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401  # as above
        """The command that `args` begin with."""
        if args[0] in MODULES:
            self.commands[args[0]] = _imported(args[0])
        return super().resolve_command(ctx, args)


def _imported(name: str) -> Any:  # noqa: ANN401  # as above
    one = typer.Typer(add_completion=False)
    one.command(name)(getattr(import_module(MODULES[name]), name))
    return typer.main.get_command(one)


def _help(name: str) -> str | None:
    spec = find_spec(MODULES[name])
    if spec is None or spec.origin is None:
        return None
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return ast.get_docstring(node)
    return None
