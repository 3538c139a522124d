"""How are commands listed and found so that each is imported only when it is asked for?

The list shows the first words that each function says of itself, read from its source. Must import no command to list
it, nor anything that learns: the client's command line stands on this file as well.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup


class CommandGroup(TyperGroup):
    """The commands of `modules`: where each is, in the order of the list.

    The function is called as the command, with _ for -.
    """

    modules: ClassVar[Mapping[str, str]]

    def called(self, args: Sequence[str]) -> str:
        """The name of the command that `args` mean; at least one of them."""
        return args[0]

    def list_commands(self, _ctx: Any) -> list[str]:  # noqa: ANN401  # click's own types, which typer wraps
        """Of all, also of those that are not imported."""
        return list(self.modules)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401  # as above
        """The command, or no more than its help where it was only named."""
        is_named = cmd_name in self.modules and cmd_name not in self.commands
        if is_named:
            return TyperCommand(cmd_name, help=_help(self.modules[cmd_name], cmd_name))
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401  # as above
        """The command that `args` begin with."""
        name = self.called(args)
        if name in self.modules:
            self.commands[name] = _imported(self.modules[name], name)
        return super().resolve_command(ctx, [name, *args[1:]])


def _imported(module: str, name: str) -> Any:  # noqa: ANN401  # as above
    one = typer.Typer(add_completion=False)
    one.command(name)(getattr(import_module(module), _function(name)))
    return typer.main.get_command(one)


def _function(name: str) -> str:
    return name.replace("-", "_")


def _help(module: str, name: str) -> str | None:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return None
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == _function(name):
            return ast.get_docstring(node)
    return None
