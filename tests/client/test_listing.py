"""Are commands listed and found without importing what they need, under the names that people and kubectl call?"""

from __future__ import annotations

import inspect
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import typer

from client import __main__ as command_line
from client.commands.listing import MODULES, Commands

ROOT = Path(__file__).parents[2]


def _loaded_by(*arguments: str) -> set[str]:
    """Modules that are imported when the command ends."""
    told = "import atexit, sys; atexit.register(lambda: sys.stderr.write(chr(10).join(sys.modules)));"
    code = f"{told} sys.argv[1:] = {list(arguments)!r}; from client.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(ended.stderr.split())


def test_the_list_imports_no_command() -> None:
    assert not _loaded_by("--help") & {"numpy", "aiohttp", *MODULES.values()}


@pytest.mark.parametrize("name", ["explain", "replay"])
def test_a_command_imports_neither_training_nor_what_the_controller_runs_on(name: str) -> None:
    loaded = _loaded_by(name, "--help")
    assert MODULES[name] in loaded
    assert {module for module in loaded if module.split(".")[0] == "training"} == {"training", "training.command_group"}
    assert not loaded & {"kopf", "onnxruntime", "onnx", "pandas", "polars", "prometheus_client"}


def test_what_is_replayed_offline_needs_no_network() -> None:
    assert not _loaded_by("replay", "--help") & {"aiohttp", "kubernetes"}


@pytest.mark.parametrize("name", list(MODULES))
def test_a_command_is_listed_with_its_own_words(name: str) -> None:
    commands = typer.main.get_command(command_line.app)
    assert isinstance(commands, Commands)
    context = typer.Context(commands)
    listed = commands.get_command(context, name)
    found_as, found, rest = commands.resolve_command(context, [name, "x"])
    function = getattr(import_module(MODULES[name]), name)

    assert listed.help == inspect.getdoc(function) == inspect.cleandoc(found.help)
    assert (found_as, found.name, rest) == (name, name, ["x"])


def test_kubectl_finds_it_as_a_plugin() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts["kubectl-predictivescaler"] == scripts["predictive-scaler"] == "client.__main__:main"
