"""CRDs of other projects: pinned, checked against go.sum, and never without a word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.crds import KEDA, MONITORING, ROLLOUTS, CrdError, Crds
from sandbox.toolchain import MODULES

ALL = pytest.mark.parametrize("pinned", [MONITORING, ROLLOUTS, KEDA], ids=lambda pinned: pinned.name)
GO = """\
#!/bin/sh
echo '{said}'
exit {code}
"""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only program in PATH; the test writes it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "go"


@ALL
def test_go_mod_and_go_sum_pin_what_is_downloaded(pinned: Crds) -> None:
    folder = MODULES / pinned.name
    required = rf"^(require |\t){re.escape(pinned.module)} v{re.escape(pinned.version)}\b"
    assert re.search(required, (folder / "go.mod").read_text(), re.MULTILINE)
    whole = rf"^{re.escape(pinned.module)} v{re.escape(pinned.version)} h1:\S+=$"
    assert re.search(whole, (folder / "go.sum").read_text(), re.MULTILINE)


def test_the_files_lie_where_go_put_the_module(go: Path) -> None:
    go.write_text(GO.format(said='{"Dir": "/modules/operator"}', code=0))
    go.chmod(0o755)
    assert MONITORING.paths()[0] == Path(
        "/modules/operator/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"
    )


def test_what_go_refuses_is_not_used(go: Path) -> None:
    go.write_text(GO.format(said='{"Dir": "/modules/operator", "Error": "checksum mismatch"}', code=1))
    go.chmod(0o755)
    with pytest.raises(CrdError, match=f"^{MONITORING.module} {MONITORING.version}: checksum mismatch$"):
        MONITORING.paths()


def test_without_go_there_are_none(go: Path) -> None:
    assert not go.exists()
    with pytest.raises(CrdError, match="no Go in PATH"):
        MONITORING.paths()
