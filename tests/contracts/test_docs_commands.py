"""Are the commands and specs in the pages ones that the programs take?

What can be run as a whole is run elsewhere: `test_docs_own_model.py`, `tests/e2e/test_docs_sandbox.py`. Here every
command line is held against the program that it calls, every `helm install` is rendered, every spec is parsed.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
import yaml
from typer.exceptions import TyperException

from client.__main__ import app as client_app
from controller.spec import parse
from manifests import install
from training.__main__ import app as training_app

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "README.md", *(ROOT / "docs").rglob("*.md")))
_FENCE = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<-?'?YAML'?\n(.*?)^YAML$", re.MULTILINE | re.DOTALL)
_LANGUAGES = {"", "sh", "console"}
_PROGRAMS = {
    "predictive-scaler": client_app,
    "kubectl predictivescaler": client_app,
    "predictive-scaler-train": training_app,
}
_AFTER = {"|", ">", "<", ">>", "&&", "||", "&", ";", "2>&1"}


def _fences(page: Path, languages: set[str]) -> Iterator[str]:
    for _, language, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        if language in languages:
            yield text


def _lines(page: Path) -> Iterator[str]:
    """Every line of a shell, continued lines as one; a transcript's prompt is taken away."""
    for text in _fences(page, _LANGUAGES):
        for line in _HEREDOC.sub("", text).replace("\\\n", " ").splitlines():
            yield line.strip().removeprefix("$ ")


def _called(name: str) -> list[tuple[str, str]]:
    """(page, command line) of each call of the program `name`, which may have variables before it."""
    call = re.compile(rf"(?:[A-Z_]+=\S+ +)*{re.escape(name)} (?P<rest>.*)")
    return [
        (str(page.relative_to(ROOT)), found["rest"])
        for page in PAGES
        for line in _lines(page)
        if (found := call.fullmatch(line))
    ]


def _words(line: str) -> list[str]:
    """The program's own words: up to what the shell does with its output."""
    words = shlex.split(line, comments=True)
    end = next((place for place, word in enumerate(words) if word in _AFTER), len(words))
    return words[:end]


def _parsed(program: str, words: list[str]) -> None:
    """As the program itself reads its words, up to what it does with them; raises what it refuses."""
    group = typer.main.get_group(_PROGRAMS[program])
    name, command, rest = group.resolve_command(group.make_context(program, words[:1], resilient_parsing=True), words)
    if command is None:
        raise typer.BadParameter(f"{words[0]} is no command")
    command.make_context(name, rest)


_CALLS = [(program, *call) for program in _PROGRAMS for call in _called(program)]


def test_there_are_calls() -> None:
    assert {program for program, _, _ in _CALLS} == set(_PROGRAMS)
    assert len(_CALLS) > 25


@pytest.mark.parametrize(("program", "page", "line"), _CALLS)
def test_the_program_takes_it(program: str, page: str, line: str) -> None:
    _parsed(program, _words(line))


@pytest.mark.parametrize("line", ["forecast-all web", "explain web --in JSON", "explain web -q"])
def test_a_call_that_the_program_would_refuse_is_seen(line: str) -> None:
    with pytest.raises(TyperException):
        _parsed("predictive-scaler", _words(line))


@pytest.mark.parametrize("page", sorted({page for _, page, _ in _CALLS if page.startswith("docs/start/")}))
def test_who_starts_there_is_told_how_to_get_the_program_before_it_is_called(page: str) -> None:
    told = [
        line
        for line in _lines(ROOT / page)
        if re.match(r"pipx install '\.\[client\]'|make toolchain|predictive-", line)
    ]
    assert not told[0].startswith("predictive-")


_FILES = [
    (str(page.relative_to(ROOT)), name)
    for page in PAGES
    for line in _lines(page)
    for name in re.findall(r"(?:file://|[ =])((?:charts|manifests)/[\w./-]+)", line)
]


def test_there_are_files() -> None:
    assert {"manifests/aws/policy-cloudwatch.json", "charts/predictive-scaler"} <= {name for _, name in _FILES}


@pytest.mark.parametrize(("page", "name"), _FILES)
def test_a_file_of_the_checkout_is_there(page: str, name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize(("page", "line"), _called("make"))
def test_make_has_the_target(page: str, line: str) -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert _words(line)[0] in targets


@pytest.mark.parametrize(("page", "line"), _called("python -m"))
def test_python_has_the_module(page: str, line: str) -> None:
    assert importlib.util.find_spec(_words(line)[0]) is not None


_HELM = [call for verb in ("install", "upgrade") for call in _called(f"helm {verb} predictive-scaler")]
_OF_THE_RELEASE = {"--reuse-values", "--reset-then-reuse-values", "--take-ownership"}
"""Flags about what is installed already, which rendering does not know."""


@pytest.mark.parametrize(("page", "line"), _HELM)
def test_the_chart_takes_it(page: str, line: str, helm: Path) -> None:
    chart, *options = (word for word in _words(line) if word not in _OF_THE_RELEASE)
    command = [str(helm), "template", "predictive-scaler", str(ROOT / chart), *options]
    rendered = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert rendered.returncode == 0, rendered.stderr
    assert "kind: Deployment" in rendered.stdout


def _scalers(page: Path) -> Iterator[dict[str, Any]]:
    texts = [*_fences(page, {"yaml"}), *(text for fence in _fences(page, {"sh"}) for text in _HEREDOC.findall(fence))]
    for text in texts:
        for document in yaml.safe_load_all(text.replace("$prometheus", "http://prometheus:9090")):
            if isinstance(document, dict) and document.get("kind") == "PredictiveScaler":
                yield document


_SPECS = [(str(page.relative_to(ROOT)), scaler) for page in PAGES for scaler in _scalers(page)]


def test_there_are_specs() -> None:
    assert {"README.md", "docs/index.md", "docs/start/sandbox.md", "docs/start/kind.md"} <= {page for page, _ in _SPECS}


@pytest.mark.parametrize(("page", "scaler"), _SPECS)
def test_a_spec_is_one(page: str, scaler: dict[str, Any]) -> None:
    assert parse(scaler["spec"]).target.name


@pytest.mark.parametrize("page", ["docs/start/kind.md", "docs/start/eks.md", "README.md"])
def test_the_image_has_the_tag_that_the_chart_asks_for(page: str) -> None:
    version = yaml.safe_load((install.CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    built = re.findall(r"docker build .*?predictive-scaler:(\S+) \.", (ROOT / page).read_text(encoding="utf-8"))
    assert built == [version]
