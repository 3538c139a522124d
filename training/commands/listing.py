"""Which commands are there? Each is imported when it is asked for: what learns takes seconds to import.

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
    "ingest": "training.commands.ingest",
    "fit": "training.commands.fit",
    "fit-fleet": "training.commands.fleet",
    "retrain": "training.commands.retrain",
    "backtest": "training.commands.backtest",
    "simulate": "training.commands.simulate",
    "recommend": "training.commands.recommend",
    "benchmark": "training.commands.benchmark",
    "shipped": "training.commands.shipped",
}
"""Where each is, in the order of the list; the function is called as the command."""


class Commands(TyperGroup):
    """`fit --fleet FILE` is `fit-fleet --fleet FILE`: many series take other options than one does."""

    def list_commands(self, _ctx: Any) -> list[str]:  # noqa: ANN401  # click's own types, which typer wraps
        """Of all, also of those that are not imported."""
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401  # as above
        """The command, or no more than its help where it was only named."""
        is_named = cmd_name in MODULES and cmd_name not in self.commands
        return TyperCommand(cmd_name, help=_help(cmd_name)) if is_named else super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401  # as above
        """The command that `args` begin with."""
        is_fleet = args[0] == "fit" and any(one == "--fleet" or one.startswith("--fleet=") for one in args)
        name = "fit-fleet" if is_fleet else args[0]
        if name in MODULES:
            self.commands[name] = _imported(name)
        return super().resolve_command(ctx, [name, *args[1:]])


def _imported(name: str) -> Any:  # noqa: ANN401  # as above
    one = typer.Typer(add_completion=False)
    one.command(name)(getattr(import_module(MODULES[name]), _function(name)))
    return typer.main.get_command(one)


def _function(name: str) -> str:
    return name.replace("-", "_")


def _help(name: str) -> str | None:
    spec = find_spec(MODULES[name])
    if spec is None or spec.origin is None:
        return None
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == _function(name):
            return ast.get_docstring(node)
    return None
