"""How is a controller run on the sandbox? As a process, as the chart's ServiceAccount with the chart's roles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.cluster import Sandbox
from sandbox.processes import free_port

REPOSITORY = Path(__file__).parent.parent
CHART = REPOSITORY / "charts" / "predictive-scaler"
NAMESPACE = "predictive-scaler"
READY_SECONDS = 30.0
STOP_SECONDS = 20.0


class ControllerError(Exception):
    """The controller did not start or has ended; the message quotes its log."""


def install(sandbox: Sandbox) -> Path:
    """Apply the CRD and the chart's RBAC with kubectl; a kubeconfig that acts as the chart's ServiceAccount."""
    sandbox.kubectl("apply", "-f", str(CHART / "crds"))
    sandbox.kubectl("wait", "--for=condition=Established", "-f", str(CHART / "crds"), "--timeout=30s")
    sandbox.kubectl("create", "namespace", NAMESPACE)
    sandbox.await_namespace(NAMESPACE)
    templates = ("serviceaccount", "rbac")
    shown = [argument for name in templates for argument in ("--show-only", f"templates/{name}.yaml")]
    rendered = sandbox.helm("template", "predictive-scaler", str(CHART), "--namespace", NAMESPACE, *shown)
    sandbox.kubectl("apply", "--namespace", NAMESPACE, "-f", "-", stdin=rendered)
    return sandbox.service_account_kubeconfig(NAMESPACE, "predictive-scaler")


class Controller:
    """A running controller; `log` is a file."""

    def __init__(self, *, kubeconfig: Path, models: Path, log: Path) -> None:
        self.log = log
        self.address = f"127.0.0.1:{free_port()}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREDICTIVE_SCALER_")},
            "KUBECONFIG": str(kubeconfig),
            "PREDICTIVE_SCALER_HTTP_ADDRESS": self.address,
            "PREDICTIVE_SCALER_MODELS_DIRS": f"{models}:{REPOSITORY / 'models'}",
        }

    def __enter__(self) -> Self:
        with self.log.open("w") as out:
            command = [sys.executable, "-m", "controller"]
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=out, stderr=out, cwd=REPOSITORY, process_group=0
            )
        try:
            self._await_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def last_decision(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The newest decision about a scaler; None before the first."""
        self._check()
        try:
            with urllib.request.urlopen(
                f"http://{self.address}/api/v1/scalers/{namespace}/{name}", timeout=5
            ) as answer:
                decision: dict[str, Any] | None = json.load(answer)["lastDecision"]
        except (urllib.error.URLError, TimeoutError):
            return None
        return decision

    def _await_ready(self) -> None:
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            self._check()
            try:
                with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=2):
                    return
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.1)
        raise self._error(f"was not ready after {READY_SECONDS:g} s")

    def _check(self) -> None:
        if self._process.poll() is not None:
            raise self._error(f"ended with exit code {self._process.returncode}")

    def _error(self, words: str) -> ControllerError:
        last = "\n".join(self.log.read_text().splitlines()[-10:])
        return ControllerError(f"the controller {words}; its log {self.log} ends with\n{last}")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
