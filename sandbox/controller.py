"""How is a controller run on the sandbox? As a process, as the chart's ServiceAccount with the chart's roles."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controller.account import Account
from controller.core.decide import Decision
from controller.http_api import MOST
from sandbox.cluster import Sandbox
from sandbox.processes import Process, ProcessError, Program, start_on_free_port, wait_until

REPOSITORY = Path(__file__).parent.parent
CHART = REPOSITORY / "charts" / "predictive-scaler"
CRD = "predictivescalers.predictivescaler.dev"
NAMESPACE = "scaler-system"
ACCOUNT = "predictive-scaler"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"  # as the audit log names it
SETTINGS = "PREDICTIVE_SCALER_"
FOREIGN = (SETTINGS, "AWS_")
"""Variables of whoever runs us that begin so are not meant for a controller."""
READY_SECONDS = 120.0  # two on an idle machine
STOP_SECONDS = 60.0  # one on an idle machine
ANSWER_SECONDS = 5.0


def install(sandbox: Sandbox, *, namespace: str = NAMESPACE, watched: Sequence[str] = ()) -> Path:
    """Apply the CRD and the chart's RBAC with kubectl; a kubeconfig that acts as the chart's ServiceAccount.

    `namespace`: a new one, of the account. `watched`: the only namespaces that it may serve; none means all.
    """
    sandbox.kubectl("apply", "-f", str(CHART / "crds"))
    await_kind(sandbox, CRD)
    sandbox.kubectl("create", "namespace", namespace)
    sandbox.await_namespace(namespace)
    options = ["--namespace", namespace, "--set-json", f"watchNamespaces={json.dumps(list(watched))}"]
    for name in ("serviceaccount", "rbac", "leases"):
        options += ["--show-only", f"templates/{name}.yaml"]
    rendered = sandbox.helm("template", ACCOUNT, str(CHART), *options)
    sandbox.kubectl("apply", "-f", "-", stdin=rendered)
    return sandbox.service_account_kubeconfig(namespace, ACCOUNT)


def await_kind(sandbox: Sandbox, crd: str) -> None:
    """Wait until the API server serves a CRD; `kubectl wait` fails on one too new to have a status."""
    if not wait_until(lambda: _is_served(sandbox.get("crd", crd)), READY_SECONDS):
        raise ProcessError(f"the API server does not serve {crd}; logs: {sandbox.logs}")


def _is_served(crd: dict[str, Any]) -> bool:
    conditions = crd.get("status", {}).get("conditions") or []
    return any((one["type"], one["status"]) == ("Established", "True") for one in conditions)


class Controller:
    """A controller in a process of its own, which ends with us.

    `models`: a directory that comes before that of the shipped ones. `log`: its file, begun anew with every start.
    `watched`: the only namespaces that it serves; none means all. `environment`: more variables, such as AWS's.
    `start()` after `stop()` or `kill()` runs another one, as a Deployment would. All that fails raises ProcessError.
    """

    def __init__(
        self,
        *,
        kubeconfig: Path,
        models: Path,
        log: Path,
        watched: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self.address = ""
        self._kubeconfig = kubeconfig
        self._models = models
        self._watched = watched
        self._environment = dict(environment or {})
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.is_running

    def start(self) -> None:
        """Run it and return when it is ready."""
        self._process, port = start_on_free_port(
            self._program,
            lambda port: answer(f"127.0.0.1:{port}", "/readyz")[0] == HTTPStatus.OK,
            timeout=READY_SECONDS,
        )
        self.address = f"127.0.0.1:{port}"

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self._process is not None:
            self._process.stop(STOP_SECONDS)

    def kill(self) -> None:
        """End it as a lost node would: no handler of its own runs any more."""
        if self._process is not None:
            self._process.stop()

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does, as a machine does that swaps, or whose hypervisor pauses it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if nothing had been."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.is_running:
            os.kill(self._process.pid, number)

    def get(self, path: str) -> tuple[int, str]:
        """Status and text that it answers to GET; status 0 when it does not answer in time."""
        if self._process is not None and not self._process.is_running:
            raise self._process.failure("ended")
        return answer(self.address, path)

    def last_decision(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The newest decision about a scaler; None before the first."""
        status, text = self.get(f"/api/v1/scalers/{namespace}/{name}")
        decision: dict[str, Any] | None = json.loads(text)["lastDecision"] if status == HTTPStatus.OK else None
        return decision

    def decisions(self, namespace: str, name: str) -> list[Decision]:
        """The decisions about a scaler that one answer may hold, the newest, oldest first; at least one."""
        status, text = self.get(f"/api/v1/scalers/{namespace}/{name}/decisions?limit={MOST}")
        accounts = [Account.from_json(raw) for raw in json.loads(text)["items"]] if status == HTTPStatus.OK else []
        made = [account.record.decision for account in accounts if account.record is not None]
        if not made:
            raise ProcessError(f"the controller tells of no decision about {namespace}/{name}: {text}; log: {self.log}")
        return made

    def _program(self, port: int) -> Program:
        """env(1) takes away what is not meant for it."""
        foreign = [part for name in os.environ if name.startswith(FOREIGN) for part in ("-u", name)]
        own = {
            "PYTHONPATH": str(REPOSITORY),
            "KUBECONFIG": str(self._kubeconfig),
            f"{SETTINGS}HTTP_ADDRESS": f"127.0.0.1:{port}",
            f"{SETTINGS}MODELS_DIRS": f"{self._models}:{REPOSITORY / 'models'}",
            f"{SETTINGS}PEER_ADDRESS": f"127.0.0.1:{port}",
            f"{SETTINGS}NAMESPACES": ",".join(self._watched),
            **self._environment,
        }
        given = [f"{name}={value}" for name, value in own.items()]
        argv = (shutil.which("env") or "/usr/bin/env", *foreign, *given, sys.executable, "-m", "controller")
        return Program(name="controller", argv=argv, log=self.log)


def answer(address: str, path: str) -> tuple[int, str]:
    """Status and text that GET gives; status 0 where nothing answers in time."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=ANSWER_SECONDS) as given:
            return given.status, given.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""
