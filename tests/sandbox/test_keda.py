"""The real KEDA is pinned, is built only for who asks for it, and says why it is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox import __main__ as command
from sandbox import binaries, keda
from sandbox.toolchain import BUNDLES


def test_go_mod_and_go_sum_pin_the_version_that_names_the_cache() -> None:
    text = (keda.BUNDLE.module / "go.mod").read_text()
    assert re.search(rf"^\s*{re.escape(keda.MODULE)} v{re.escape(keda.VERSION)}\b", text, re.MULTILINE)
    assert f"{keda.MODULE} v{keda.VERSION} h1:" in (keda.BUNDLE.module / "go.sum").read_text()
    assert keda.CRDS.version == keda.BUNDLE.version == keda.VERSION


def test_one_program_is_kedas_own_and_the_other_a_folder_here() -> None:
    text = (keda.BUNDLE.module / "go.mod").read_text()
    operator, adapter = keda.BUNDLE.tools
    assert f"tool {operator.package}\n" in text
    module = re.match(r"module (\S+)\n", text)
    assert module
    assert adapter.package == f"{module[1]}/{adapter.built_name}"
    assert (keda.BUNDLE.module / adapter.built_name / "main.go").exists()


def test_nothing_else_wants_it() -> None:
    assert keda.BUNDLE.name not in {bundle.name for bundle in BUNDLES}


def test_the_command_builds_it_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(binaries.Search, "all", lambda search: {one.name: tmp_path for one in search.bundles})
    assert command.main(["build", "keda"]) == 0
    assert capsys.readouterr().out == f"keda  {tmp_path}\n"


class TestMissing:
    def test_not_built(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PREDICTIVE_SCALER_CACHE", str(tmp_path))
        assert keda.missing() == "KEDA 2.21.0 is not built: `python -m sandbox build keda` does that once"

    def test_built_but_without_go(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self._build(monkeypatch, tmp_path)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "no Go in PATH" in keda.missing()

    def test_all_there(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self._build(monkeypatch, tmp_path)
        (tmp_path / "go").touch(mode=0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert keda.missing() == ""

    def _build(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        monkeypatch.setenv("PREDICTIVE_SCALER_CACHE", str(cache))
        directory = cache / "toolchain" / keda.BUNDLE.directory_name
        directory.mkdir(parents=True)
        for tool in keda.BUNDLE.tools:
            (directory / tool.name).touch(mode=0o755)
