"""What may come next on the command line? `kubectl_complete-predictivescaler`, which kubectl's shell completion calls.

kubectl hands over the words so far, the last of them unfinished, and reads one candidate a line and a directive after a
colon (`kubectl plugin` documents it). Whatever fails gives no candidates: a shell that waits is no place for an error.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Any, get_args, get_type_hints

import typer

from client.__main__ import app
from client.access import Access
from client.commands.listing import MODULES, Commands
from client.errors import ClientError
from client.resources import chosen
from controller.kubernetes_api import ApiError

SECONDS = 3.0  # longer than a shell may hang
_FILES, _NO_FILES = ":0", ":4"  # cobra's directives: the shell completes files, or nothing but what is told
_OF_FILES = ("--file", "--kubeconfig", "--token-file", "--model", "--models-dir")


def main() -> None:
    """Print what fits the words given, then the directive."""
    for line in completed(sys.argv[1:]):
        sys.stdout.write(f"{line}\n")


def completed(words: Sequence[str]) -> list[str]:
    """The answer to kubectl. `words`: all of them, the last one unfinished, perhaps empty."""
    *before, part = words or [""]
    if not before:
        return [*(name for name in MODULES if name.startswith(part)), _NO_FILES]
    if before[0] not in MODULES:
        return [_NO_FILES]
    line = _Line.of(before)
    if line.is_file and (line.pending or not part.startswith("-")):
        return [_FILES]
    return [*sorted(one for one in _candidates(line, part) if one.startswith(part)), _NO_FILES]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What was written after the `command`. `parameters`: of the command.

    `pending`: the names of the option whose value comes next; None where none does.
    """

    command: str
    parameters: list[Any]
    options: dict[str, str]
    names: tuple[str, ...]
    pending: frozenset[str] | None

    @classmethod
    def of(cls, before: Sequence[str]) -> _Line:
        """`before`: a command, and what follows it."""
        parameters = _parameters(before[0])
        by_name = {name: one for one in parameters if one.param_type_name == "option" for name in one.opts}
        options: dict[str, str] = {}
        names: list[str] = []
        pending: frozenset[str] | None = None
        for word in before[1:]:
            if pending is not None:
                options |= dict.fromkeys(pending, word)
                pending = None
            elif word.startswith("-"):
                name, _, value = word.partition("=")
                found = by_name.get(name)
                opts = frozenset(found.opts if found is not None else [name])
                options |= dict.fromkeys(opts, value)
                pending = opts if found is not None and not found.is_flag and "=" not in word else None
            else:
                names.append(word)
        return cls(command=before[0], parameters=parameters, options=options, names=tuple(names), pending=pending)

    @property
    def is_file(self) -> bool:
        """Whether the name of a file comes next."""
        if self.pending is not None:
            return bool(self.pending & set(_OF_FILES))
        return any(one.param_type_name == "argument" and one.metavar == "FILE" for one in self.parameters)

    def access(self) -> Access:
        """As the command would take it."""
        given = self.options.get
        namespace, kubeconfig, context = given("--namespace"), given("--kubeconfig"), given("--context")
        return Access(namespace=namespace, kubeconfig=kubeconfig, context=context)


def _parameters(command: str) -> list[Any]:
    commands = typer.main.get_command(app)
    assert isinstance(commands, Commands)  # noqa: S101  # what `app` is made of
    _, found, _ = commands.resolve_command(typer.Context(commands), [command])
    return list(found.params)


def _candidates(line: _Line, part: str) -> Iterator[str]:
    if line.pending is not None:
        yield from _values(line)
    elif part.startswith("-"):
        yield from (name for one in line.parameters if one.param_type_name == "option" for name in one.opts)
        yield "--help"
    else:
        arguments = [one for one in line.parameters if one.param_type_name == "argument"]
        if any(one.metavar == "NAME" and (one.nargs == -1 or not line.names) for one in arguments):
            yield from _scalers(line)


def _values(line: _Line) -> Iterator[str]:
    """Of an option: its choices, or the namespaces that there are scalers in."""
    pending = line.pending or frozenset()
    if "--namespace" in pending:
        yield from {str(one["metadata"]["namespace"]) for one in _bodies(line, all_namespaces=True)}
        return
    found = next((one for one in line.parameters if pending & set(one.opts)), None)
    if found is not None:
        yield from _choices(line.command, found.name)


def _choices(command: str, parameter: str) -> list[str]:
    """The values of an option that takes one of a few."""
    function = getattr(import_module(MODULES[command]), command)
    kind = get_args(get_type_hints(function, include_extras=True)[parameter])[0]
    kinds = [one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, Enum)]
    return [str(one.value) for kind in kinds for one in kind]


def _scalers(line: _Line) -> Iterator[str]:
    names = (str(one["metadata"]["name"]) for one in _bodies(line, all_namespaces=False))
    yield from (name for name in names if name not in line.names)


def _bodies(line: _Line, *, all_namespaces: bool) -> list[dict[str, Any]]:
    access = (
        line.access()
        if not all_namespaces
        else Access(kubeconfig=line.options.get("--kubeconfig"), context=line.options.get("--context"))
    )
    try:
        return asyncio.run(_read(access, all_namespaces=all_namespaces))
    except (ClientError, ApiError, TimeoutError):
        return []


async def _read(access: Access, *, all_namespaces: bool) -> list[dict[str, Any]]:
    async with asyncio.timeout(SECONDS), await access.connect() as api:
        return await chosen(api, access.choice(None, None, all_namespaces=all_namespaces))
