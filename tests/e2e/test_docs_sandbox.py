"""Do the commands of "Get started: the sandbox" do what the page says, one after the other, as they stand?"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.controller import SETTINGS
from sandbox.processes import free_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "start" / "sandbox.md"
SECONDS = 540  # 30 on an idle machine
ADDRESS = "127.0.0.1:8080"
_FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_AT_THE_END = "kill %1 2>/dev/null; python -m sandbox down; exit $status"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(SECONDS + 60)]


def _blocks() -> list[str]:
    """The commands of the page from the one that starts the sandbox on."""
    once, _, rest = PAGE.read_text(encoding="utf-8").partition("## Start it\n")
    assert "make toolchain" in once
    return _FENCE.findall(rest)


def _environment(state: Path) -> dict[str, str]:
    """That of a user with the virtual environment activated, no cluster, and a state directory of the test's own."""
    foreign = ("KUBECONFIG", f"{SETTINGS}NAMESPACES", f"{SETTINGS}DATA", "AWS_")  # DATA is the sandbox's, no setting
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    return {**kept, "PATH": path, "XDG_STATE_HOME": str(state), "COLUMNS": "110"}


def _controller_address() -> str:
    """What the page says, where nobody listens; else another: a machine of many users is no fault of the page."""
    host, port = ADDRESS.split(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the controller's own, beside what has ended
        try:
            probe.bind((host, int(port)))
        except OSError:
            return f"{host}:{free_port()}"
    return ADDRESS


def test_every_command_works(tmp_path: Path) -> None:
    *blocks, ending = _blocks()
    assert "sandbox down" in ending
    marked = "".join(f"echo '## {place}'\n{block}" for place, block in enumerate(blocks))
    log = tmp_path / "controller.log"
    script = f"trap 'status=$?; {_AT_THE_END}' EXIT\nset -eu -o pipefail\n{marked}".replace("controller.log", str(log))
    assert script.count(ADDRESS) == 2
    address = _controller_address()

    ran = subprocess.run(
        ["bash", "-c", script.replace(ADDRESS, address)],
        cwd=ROOT,
        env=_environment(tmp_path / "state") | ({} if address == ADDRESS else {f"{SETTINGS}HTTP_ADDRESS": address}),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said + (log.read_text(encoding="utf-8")[-4000:] if log.is_file() else "")
    assert re.search(r"^web +Active +\d+ +\d+ .*True +Scaling", ran.stdout, re.MULTILINE), said
    assert re.search(r"^Demand +To be ready for", ran.stdout, re.MULTILINE), said
    assert "failed" not in ran.stdout, said
    assert re.search(r"^ended \d+ processes", ran.stdout, re.MULTILINE), said
