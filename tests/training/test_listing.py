"""Are commands listed and found without importing what they need, and is what they refuse still told?"""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from training import __main__ as command_line
from training.commands.listing import MODULES, Commands

pytestmark = pytest.mark.slow

_OF_LEARNING = {
    *("jax", "lightgbm", "matplotlib", "onnx", "onnxruntime", "optax", "pandas", "scipy", "sklearn", "statsmodels"),
    *("aiohttp", "icalendar", "training.job", "training.families"),
}


def _loaded_by(*arguments: str) -> set[str]:
    """Modules that are imported when the command ends."""
    told = "import atexit, sys; atexit.register(lambda: sys.stderr.write(chr(10).join(sys.modules)));"
    code = f"{told} sys.argv[1:] = {list(arguments)!r}; from training.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ended.stderr.split())


def test_making_steps_imports_nothing_that_learns() -> None:
    loaded = _loaded_by("ingest", "--help")

    assert {"numpy", "training.commands.ingest"} <= loaded
    assert not loaded & _OF_LEARNING


def test_the_list_imports_no_command() -> None:
    loaded = _loaded_by("--help")

    assert "training.commands.listing" in loaded
    assert not loaded & {"numpy", "client", *MODULES.values()}


@pytest.mark.parametrize("name", list(MODULES))
def test_a_command_is_listed_with_its_own_words(name: str) -> None:
    commands = typer.main.get_command(command_line.app)
    assert isinstance(commands, Commands)
    context = typer.Context(commands)
    listed = commands.get_command(context, name)
    found_as, found, rest = commands.resolve_command(context, [name, "--out", "x"])
    function = getattr(import_module(MODULES[name]), name.replace("-", "_"))

    assert listed.help == inspect.getdoc(function) == inspect.cleandoc(found.help)
    assert (found_as, found.name, rest) == (name, name, ["--out", "x"])


def test_all_are_listed_in_order(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["predictive-scaler-train", "--help"])
    with pytest.raises(SystemExit):
        command_line.main()
    words = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("│ ")]

    assert [word for word in words if word in MODULES] == list(MODULES)


def test_what_is_refused_is_an_error_of_its_module() -> None:
    modules = [import_module(module) for module in command_line._MENDABLE]
    found = command_line.mendable()

    assert len(found) == len(modules)
    assert all(issubclass(error, Exception) for error in found)
