"""The plugin through the real kubectl, beside a real controller, as its user meets it: piped, and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import yaml

from client.access import CHART as LABEL
from client.modes import PAUSED_MODE
from sandbox.cluster import CommandError, Sandbox
from sandbox.controller import CHART, REPOSITORY, Controller
from tests.e2e.driving import TRUSTED, Scene, await_decisions, eventually, workload

pytestmark = pytest.mark.e2e

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SECONDS = 120.0
PATIENT = ("--timeout", "60")  # for each check, which on a busy machine may take longer than its 10 s
_MODULES = {"kubectl-predictivescaler": "client.__main__", "kubectl_complete-predictivescaler": "client.completion"}


@pytest.fixture(autouse=True)
def _plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What installing the package would put into PATH."""
    for name, module in _MODULES.items():
        script = tmp_path / name
        code = f"import sys; sys.argv[0] = {name!r}; from {module} import main; main()"
        python = f"PYTHONPATH={shlex.quote(str(REPOSITORY))} exec {shlex.quote(sys.executable)}"
        script.write_text(f'#!/bin/sh\n{python} -c {shlex.quote(code)} "$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def web(scene: Scene, controller: Controller) -> Scene:
    """A forecast of 95 made a Deployment of 1 one of 10, and some decisions were made since."""
    scene.sees(TRUSTED)
    scene.apply(workload(), scene.scaler(forecast={"model": "always-95"}))
    scene.await_replicas(10)
    await_decisions(controller, scene, 2)
    scene.await_condition("Ready", "True", "Scaling")
    return scene


def _on_a_terminal(scene: Scene, columns: int, *arguments: str) -> list[str]:
    """What it prints on a terminal so wide, with its colours."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, columns))
    kubectl = str(scene.sandbox.binaries["kubectl"])
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    started = subprocess.Popen(
        [kubectl, "predictivescaler", *arguments, "-n", scene.namespace],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment, "TERM": "xterm-256color", "KUBECONFIG": str(scene.sandbox.kubeconfig)},
    )
    os.close(slave)
    try:
        said = _read(master, started)
    finally:
        started.kill()
        started.wait()
        os.close(master)
    return said.decode().replace("\r\n", "\n").split("\n")


def _read(master: int, started: subprocess.Popen[bytes]) -> bytes:
    """Until the program ends; reading what nobody holds open any more is an error on Linux."""
    said, deadline = b"", time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.2)[0]:
            try:
                part = os.read(master, 65536)
            except OSError:
                return said
            if not part:
                return said
            said += part
        elif started.poll() is not None:
            return said
    raise AssertionError(f"it did not end within {SECONDS:g} s: {said!r}")


def _plain(lines: list[str]) -> list[str]:
    return [ANSI.sub("", line) for line in lines]


def test_explain_finds_the_controller_and_the_shell_completes_names(web: Scene, controller: Controller) -> None:
    address = ("--controller", f"http://{controller.address}")
    assert web.kubectl("predictivescaler", "explain", "web", *address).startswith(f"{web.namespace}/web, ")
    words = ("__complete", "predictivescaler", "explain", "-n", web.namespace, "w")
    asked = eventually(lambda: web.sandbox.kubectl(*words).splitlines(), lambda lines: lines[0] == "web")
    assert asked[-1] == ":4"  # and nothing but that where the cluster answers too late for a shell that waits


def test_get_lists_what_the_cluster_has(web: Scene) -> None:
    """What needs attention comes first, and on a terminal it fits."""
    web.apply(web.scaler("lost", targetRef={"name": "nothing"}))
    web.await_condition("Ready", "False", "TargetNotFound", name="lost")
    header, first, second = web.kubectl("predictivescaler", "get").splitlines()
    assert header.split()[:4] == ["NAME", "MODE", "TARGET", "NOW/READY/WANT"]
    assert (first.split()[0], "TargetNotFound" in first) == ("lost", True)
    assert second.split()[:3] == ["web", "Active", "deploy/web"]
    current, ready, desired = second.split()[3].split("/")
    assert (current.isdecimal(), desired.isdecimal(), ready == "-" or ready.isdecimal()) == (True, True, True)
    lines = _on_a_terminal(web, 80, "get")
    assert any("\x1b[31mlost" in line for line in lines)
    assert max(map(len, _plain(lines))) <= 80
    assert 'lost: TargetNotFound: Deployment "nothing"' in " ".join(_plain(lines))


def test_forecast_draws_what_the_controller_recorded(web: Scene, controller: Controller) -> None:
    """A chart as wide as the terminal, plain on a pipe; and the status alone where there is no Service."""
    where = ("forecast", "web", "--controller", f"http://{controller.address}")
    lines = _on_a_terminal(web, 140, *where)
    assert any("\x1b[38;5;" in line for line in lines)
    assert max(map(len, _plain(lines))) == 140
    text = eventually(lambda: web.kubectl("predictivescaler", *where), lambda text: "forecast, " in text)
    told = " ".join(text.split())
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert f"load, {TRUSTED} at " in told
    assert "forecast, from its median (the line) to its 0.9 quantile" in told
    known = eventually(  # of a model that looks five seconds ahead, a slow machine may ask too late
        lambda: json.loads(web.kubectl("predictivescaler", *where, "-o", "json")), lambda known: known["forecast"]
    )
    assert (known["from"], {one["load"] for one in known["seen"]}) == ("records", {TRUSTED})
    assert {one["upper"] for one in known["forecast"]["points"]} == {95}
    told_by_status = json.loads(web.kubectl("predictivescaler", "forecast", "web", "-o", "json"))
    assert (told_by_status["from"], told_by_status["targetPerReplica"]) == ("status", 10)


def test_a_paused_scaler_leaves_its_target_alone_until_it_goes_on(web: Scene, controller: Controller) -> None:
    tried = web.kubectl("predictivescaler", "pause", "web", "--dry-run=server")
    assert tried.endswith("web paused (was Active) (server dry run)\n")
    assert web.get("psc/web")["spec"]["mode"] == "Active"
    done = _separately(web, "pause", "web")
    assert done.stdout.endswith("web paused (was Active)\n")
    assert done.stderr.startswith("note: web: spec.mode was set by kubectl apply")
    web.await_condition("Ready", "True", "Paused")
    assert web.get("psc/web")["metadata"]["annotations"][PAUSED_MODE] == "Active"
    with pytest.raises(CommandError, match="experiment is required with mode Experiment"):
        web.kubectl("predictivescaler", "resume", "web", "--mode", "Experiment")
    size = web.replicas()
    web.sees(2000)
    ticks_pass(web, controller)
    assert web.replicas() == size
    assert web.kubectl("predictivescaler", "pause", "--all").endswith("web is paused already (was Active)\n")
    assert web.kubectl("predictivescaler", "resume", "--all").endswith("web goes on in mode Active\n")
    web.await_replicas(50)
    metadata = web.get("psc/web")["metadata"]
    assert PAUSED_MODE not in (metadata.get("annotations") or {})
    writers = {one["manager"] for one in metadata["managedFields"] if "f:mode" in one["fieldsV1"].get("f:spec", {})}
    assert writers == {"kubectl-predictivescaler"}


def ticks_pass(scene: Scene, controller: Controller) -> None:
    """Three of another scaler of the same load, in which this one would have grown."""
    scene.apply(scene.scaler("other", mode="Observe"))
    await_decisions(controller, scene, 3, "other")
    scene.kubectl("delete", "psc", "other")


def _separately(scene: Scene, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With what it says on stderr."""
    return subprocess.run(
        [str(scene.sandbox.binaries["kubectl"]), "predictivescaler", *arguments, "-n", scene.namespace],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
        env={**os.environ, "KUBECONFIG": str(scene.sandbox.kubeconfig)},
    )


def test_doctor_and_grade_take_the_same_flags(web: Scene) -> None:
    where = ("--kubeconfig", str(web.sandbox.kubeconfig), "--context", _context(web.sandbox), "-o", "json")
    web.patch("psc/web", {"spec": {"forecast": {"model": "none"}}})
    found = json.loads(web.kubectl("predictivescaler", "doctor", "web", *where, *PATIENT))
    assert [(one["namespace"], one["name"]) for one in found["scalers"]] == [(web.namespace, "web")]
    past = ("--days", "1", "--every", "15s", "--replicas-query", f"10 + 0 * {web.query}")
    graded = json.loads(eventually(lambda: _graded(web, *where, *past)))
    assert [window["window"] for window in graded["windows"]] == ["1d", "7d", "14d"]


def _graded(web: Scene, *arguments: str) -> str:
    """Empty while the load is younger than the last quarter of a minute that has ended."""
    try:
        return web.kubectl("predictivescaler", "grade", "web", *arguments)
    except CommandError as error:
        if "the load was never recorded" not in error.printed:
            raise
        return ""


def _context(sandbox: Sandbox) -> str:
    return sandbox.kubectl("config", "current-context").strip()


def test_the_chart_s_service_is_the_one_that_is_looked_for(sandbox: Sandbox) -> None:
    rendered = sandbox.helm("template", "any", str(CHART), "--show-only", "templates/service.yaml")
    (service,) = [one for one in yaml.safe_load_all(rendered) if one]
    name, _, value = LABEL.partition("=")
    assert service["metadata"]["labels"][name] == value
    assert service["spec"]["ports"][0]["name"] == "http"
