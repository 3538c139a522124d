"""A Kubernetes cluster on loopback for as long as a `with` block lasts.

    with Sandbox(startup=timedelta(seconds=2)) as sandbox:
        sandbox.kubectl("apply", "-f", "-", stdin=manifest)

Any number may run side by side: ports are free ones and every file lies in a directory of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from sandbox import binaries, controlplane, kwok
from sandbox.audit import AuditEvent, read_events
from sandbox.aws.process import AwsServer
from sandbox.certificates import Authority
from sandbox.controlplane import Layout
from sandbox.processes import (
    Identity,
    Process,
    ProcessError,
    Program,
    free_port,
    start,
    start_on_free_port,
    wait_until,
)
from sandbox.prometheus import Login, Prometheus, Scrape, Tls

DIRECTORY_PREFIX = "predictive-scaler-sandbox-"
OWNER = "owner.json"
READY_SECONDS = 120.0  # three for the API server on an idle machine
COMMAND_SECONDS = 240.0
TOKEN_DURATION = "24h"  # noqa: S105 - a duration


class CommandError(Exception):
    """kubectl or helm failed. The message has the command, what it printed, and where the logs are."""

    def __init__(self, command: tuple[str, ...], printed: str, logs: Path) -> None:
        super().__init__(f"`{' '.join(command)}` failed: {printed.strip()}\nlogs of the control plane: {logs}")
        self.printed = printed


class Sandbox:
    """A control plane with simulated nodes: etcd, API server, controllers, scheduler, kwok.

    `startup`: time from scheduled to Ready of a pod, unless its annotation `kwok.STARTUP_ANNOTATION` says otherwise.
    `directory`: a new one for its files, else a temporary one.
    `register`: its processes go on when this interpreter ends, and are written down there.
    `keep_logs`: leave the logs behind also after a good end; a block that raises always leaves them.
    `timings`: seconds from the start until each part was ready.
    """

    def __init__(
        self,
        *,
        startup: timedelta = timedelta(seconds=1),
        nodes: int = 3,
        directory: Path | None = None,
        register: Path | None = None,
        report: Callable[[str], None] = binaries.say,
    ) -> None:
        self.startup = startup
        self.nodes = nodes
        self.keep_logs = False
        self.timings: dict[str, float] = {}
        self.processes: list[Process] = []
        self.api_server_url = ""
        self._directory = directory
        self._register = register
        self._report = report
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException as error:
            self.stop(keep_logs=isinstance(error, Exception))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(keep_logs=self.keep_logs or isinstance(error, Exception))

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.layout.kubeconfig("admin")

    @property
    def logs(self) -> Path:
        """The directory with a log for each program, and the audit log."""
        return self.layout.logs

    def start(self) -> None:
        """Bring everything up and return when pods can be made. Raises ProcessError, binaries.BinaryError."""
        self.binaries = binaries.find_all(report=self._report)
        self.layout = Layout(root=self._make_directory())
        self._began = time.monotonic()
        self.authority = Authority.create(self.layout.certificates, _now())
        self._start_api()
        self._start_controllers()
        self._wait_usable()

    def stop(self, *, keep_logs: bool = False) -> None:
        """End every process and remove every file; `keep_logs` leaves the logs."""
        self._cleanup.close()
        for process in reversed(self.processes):
            process.stop()
        self.processes.clear()
        if hasattr(self, "layout"):
            remove_directory(self.layout, keep_logs=keep_logs)

    def kubectl(self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
        """Run kubectl as the administrator, or as `kubeconfig` says; what it printed. Raises CommandError."""
        return self._command("kubectl", arguments, stdin, kubeconfig)

    def helm(self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
        """Run helm as the administrator, or as `kubeconfig` says; what it printed. Raises CommandError."""
        return self._command("helm", arguments, stdin, kubeconfig)

    def get(self, *arguments: str) -> Any:  # noqa: ANN401 - JSON of whatever kind was asked for
        """`kubectl get ... -o json`, decoded."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """`kubectl apply` of objects given as dictionaries."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(items))

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with which a program acts as that ServiceAccount, which must exist."""
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration", TOKEN_DURATION).strip()
        return controlplane.token_kubeconfig(self.layout, self.api_server_url, namespace, name, token)

    def audit_events(self, user: str | None = None) -> list[AuditEvent]:
        """Requests so far in the order of their answers; those of `user` ("system:serviceaccount:NS:NAME") if given."""
        return list(read_events(self.layout.audit_log, user))

    def prometheus(
        self,
        name: str = "prometheus",
        *,
        scrapes: Sequence[Scrape] = (),
        history: Sequence[Path] = (),
        rules: Sequence[Path] = (),
        login: Login | None = None,
        tls: Tls | None = None,
    ) -> Prometheus:
        """A new Prometheus, started, that ends with the sandbox at the latest. Raises ProcessError.

        `name`: what its directory and log begin with.
        """
        directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.layout.root))
        server = Prometheus(
            directory=directory,
            log=self.layout.log(directory.name),
            binaries=self.binaries,
            register=self._register,
            scrapes=scrapes,
            history=history,
            rules=rules,
            login=login,
            tls=tls,
        )
        return self._cleanup.enter_context(server)

    def aws(self, **settings: object) -> AwsServer:
        """A new AWS endpoint, started, that ends with the sandbox at the latest. Raises ProcessError.

        `settings`: those of `sandbox.aws.settings` that differ.
        """
        log = self.layout.log(f"aws-{uuid4().hex[:8]}")
        server = AwsServer(log=log, register=self._register, settings=settings)
        return self._cleanup.enter_context(server)

    def _start_api(self) -> None:
        etcd, etcd_port = self._serve(
            "etcd",
            lambda port: controlplane.etcd(self.binaries["etcd"], self.layout, port, free_port()),
            lambda port: _answers(f"http://127.0.0.1:{port}/health", None),
        )
        trust = ssl.create_default_context(cafile=str(self.authority.bundle))
        _, port = self._serve(
            "kube-apiserver",
            lambda port: controlplane.api_server(
                self.binaries["kube-apiserver"], self.layout, self.authority, port, etcd_port
            ),
            lambda port: etcd.is_running and _answers(f"https://127.0.0.1:{port}/readyz", trust),
        )
        self.api_server_url = f"https://127.0.0.1:{port}"

    def _start_controllers(self) -> None:
        self._identity("admin", "system:masters")
        manager = self._identity("system:kube-controller-manager")
        scheduler = self._identity("system:kube-scheduler")
        fake_kubelets = self._identity("kwok", "system:masters")  # it acts for every node and every pod
        found, layout = self.binaries, self.layout
        self._run(controlplane.controller_manager(found["kube-controller-manager"], layout, manager))
        self._run(controlplane.scheduler(found["kube-scheduler"], layout, scheduler))
        self._run(controlplane.kwok(found["kwok"], layout, fake_kubelets, kwok.stages(self.startup)))

    def _wait_usable(self) -> None:
        self.apply(*(kwok.node(f"node-{number}") for number in range(self.nodes)))
        self.await_namespace("default")
        self._mark("usable")
        for process in self.processes:
            if not process.is_running:
                raise process.failure("ended early")

    def await_namespace(self, namespace: str) -> None:
        """Wait until pods can be made in `namespace`: until its default ServiceAccount exists."""
        if not wait_until(lambda: self._has_default_account(namespace), READY_SECONDS):
            raise ProcessError(f"namespace {namespace} got no default ServiceAccount; logs: {self.logs}")

    def _has_default_account(self, namespace: str) -> bool:
        return bool(self.kubectl("get", "serviceaccount", "default", "-n", namespace, "--ignore-not-found"))

    def _serve(
        self, name: str, build: Callable[[int], Program], is_ready: Callable[[int], bool]
    ) -> tuple[Process, int]:
        process, port = start_on_free_port(build, is_ready, timeout=READY_SECONDS, register=self._register)
        self.processes.append(process)
        self._mark(name)
        return process, port

    def _run(self, program: Program) -> None:
        self.processes.append(start(program, register=self._register))

    def _identity(self, user: str, *groups: str) -> Path:
        return controlplane.certificate_kubeconfig(self.layout, self.api_server_url, self.authority, user, *groups)

    def _command(self, tool: str, arguments: tuple[str, ...], stdin: str | None, kubeconfig: Path | None) -> str:
        done = subprocess.run(
            [str(self.binaries[tool]), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
            env={**os.environ, "KUBECONFIG": str(kubeconfig or self.kubeconfig), "HOME": str(self.layout.root)},
        )
        if done.returncode:
            raise CommandError((tool, *arguments), done.stderr or done.stdout, self.logs)
        return done.stdout

    def _mark(self, what: str) -> None:
        self.timings[what] = time.monotonic() - self._began
        self._report(f"{what} after {self.timings[what]:.1f} s")

    def _make_directory(self) -> Path:
        if self._directory is not None:
            self._directory.mkdir(parents=True)
            return self._directory
        sweep(Path(tempfile.gettempdir()))
        directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        owner = Identity.of(os.getpid())
        (directory / OWNER).write_text(json.dumps(asdict(owner) if owner else None), encoding="utf-8")
        return directory


def remove_directory(layout: Layout, *, keep_logs: bool) -> None:
    """Remove a sandbox's files; the logs stay if asked, and then no sweep touches them any more."""
    if not keep_logs:
        shutil.rmtree(layout.root, ignore_errors=True)
        return
    for entry in layout.root.iterdir():
        if entry == layout.logs:
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink()


def sweep(parent: Path) -> None:
    """Remove what sandboxes left whose owner was killed: their processes are gone, only their files remain."""
    for owner in parent.glob(f"{DIRECTORY_PREFIX}*/{OWNER}"):
        try:
            is_orphan = not Identity(**json.loads(owner.read_text(encoding="utf-8"))).is_running
        except (OSError, ValueError, TypeError):  # somebody else's, or only half written
            continue
        if is_orphan:
            shutil.rmtree(owner.parent, ignore_errors=True)


def _answers(url: str, trust: ssl.SSLContext | None) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5, context=trust) as answer:  # noqa: S310 - our own loopback URL
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP OK
    except (OSError, urllib.error.URLError):
        return False


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - certificates are judged by the real time
