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
from tests.client.conftest import Invoke

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def _loaded_by(*arguments: str) -> set[str]:
    """Modules that are imported when the command ends."""
    told = "import atexit, sys; atexit.register(lambda: sys.stderr.write(chr(10).join(sys.modules)));"
    code = f"{told} sys.argv[1:] = {list(arguments)!r}; from client.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(ended.stderr.split())


def test_the_list_imports_no_command() -> None:
    assert not _loaded_by("--help") & {"numpy", "aiohttp", *MODULES.values()}


@pytest.mark.parametrize("name", ["get", "forecast", "pause", "resume", "explain", "replay"])
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
    assert scripts["kubectl_complete-predictivescaler"] == "client.completion:main"


@pytest.mark.parametrize("name", [name for name in MODULES if name != "replay"])
async def test_the_common_flags_are_those_of_kubectl(
    name: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told = (await invoke(name, "--help")).out
    flags = {"--namespace": "-n", "--output": "-o", "--kubeconfig": "FILE", "--context": "NAME"}
    if name in {"get", "pause", "resume", "doctor"}:
        flags |= {"--all-namespaces": "-A", "--selector": "-l"}
    for long, short in flags.items():
        (line,) = [one for one in told.splitlines() if one.lstrip("│ ").startswith(f"{long} ")]
        assert f" {short} " in line
    assert "[[" not in told
    assert f"Usage: predictive-scaler {name} [OPTIONS]" in told


@pytest.mark.parametrize(
    ("called", "words"),
    [("/usr/bin/kubectl-predictivescaler", "kubectl predictivescaler"), ("/x/predictive-scaler", "predictive-scaler")],
)
async def test_help_names_what_was_called(
    called: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "--help"])
    with pytest.raises(SystemExit, match="0"):
        command_line.main()
    assert f"Usage: {words} [OPTIONS] COMMAND" in capsys.readouterr().out
