"""How does the real KEDA run in the sandbox? Its operator and its metrics adapter as processes, on loopback.

Only for who asks for it: it is built from its Go modules by `python -m sandbox build keda`, and no other command wants
it. Its CustomResourceDefinitions come from the module in Go's cache, so none of KEDA's files is kept here.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox import binaries, crds
from sandbox.aggregation import GROUP, external_metrics
from sandbox.aggregation import VERSION as API_VERSION
from sandbox.certificates import KeyPair
from sandbox.cluster import Sandbox
from sandbox.processes import Process, ProcessError, Program, start_on_free_port, wait_until
from sandbox.toolchain import Bundle, Tool

VERSION, MODULE = crds.KEDA.version, crds.KEDA.module
OPERATOR, ADAPTER = "keda-operator", "keda-adapter"
NAMESPACE = "keda"
SERVICE = "keda-metrics"
READY_SECONDS = 60.0

BUNDLE = Bundle(
    name="keda",
    version=VERSION,
    tools=(
        Tool(name=OPERATOR, package=f"{MODULE}/cmd/operator", oldest=(2, 21), too_new=(2, 22)),
        Tool(
            name=ADAPTER, package="predictivescaler.dev/sandbox/toolchain/keda/adapter", oldest=(2, 21), too_new=(2, 22)
        ),
    ),
    releases=(),  # there are only images
    usual_build=20,
    stamps={f"{MODULE}/version.Version": VERSION},
)
CRDS = replace(
    crds.KEDA,
    files=tuple(
        f"{name}.yaml"
        for name in (
            "eventing.keda.sh_cloudeventsources",
            "eventing.keda.sh_clustercloudeventsources",
            "keda.sh_clustertriggerauthentications",
            "keda.sh_scaledjobs",
            "keda.sh_scaledobjects",
            "keda.sh_triggerauthentications",
        )
    ),
)
"""All that the operator watches."""


def search(report: Callable[[str], None] = binaries.say) -> binaries.Search:
    """For KEDA's two programs, which tell nobody their version: only those that were built here."""
    return binaries.Search(cache=binaries.cache_directory(os.environ), places=(), bundles=(BUNDLE,), report=report)


def missing() -> str:
    """Why the real KEDA cannot be run here, and the cure; empty when it can."""
    directory = binaries.cache_directory(os.environ) / BUNDLE.directory_name
    if not all(os.access(directory / tool.name, os.X_OK) for tool in BUNDLE.tools):
        return f"KEDA {VERSION} is not built: `python -m sandbox build keda` does that once"
    return "" if shutil.which("go") else "the CRDs of KEDA come from Go's module cache, and there is no Go in PATH"


@contextmanager
def running(sandbox: Sandbox) -> Iterator[None]:
    """KEDA, asked by the cluster's HPAs as long as the block lasts. Raises ProcessError, CrdError, BinaryError.

    Both programs act as administrators: what is tried here is KEDA with our scaler, not KEDA's own roles. The cluster
    should end with the block: it would go on asking for an API that is gone.
    """
    found = search().all()
    sandbox.kubectl("apply", "--server-side", *(part for path in CRDS.paths() for part in ("-f", str(path))))
    sandbox.kubectl("create", "namespace", NAMESPACE)
    processes: list[Process] = []
    try:
        operator = _start_operator(sandbox, found[OPERATOR], processes)
        sandbox.apply(*_registration(_start_adapter(sandbox, found[ADAPTER], operator, processes)))
        _await_api(sandbox, processes)
        yield
    finally:
        for process in reversed(processes):
            process.stop(grace=5.0)


def _certificates(sandbox: Sandbox, name: str, pair: KeyPair) -> Path:
    """A directory as KEDA's programs want it."""
    directory = sandbox.layout.certificates / name
    directory.mkdir()
    shutil.copy(pair.certificate, directory / "tls.crt")
    shutil.copy(pair.key, directory / "tls.key")
    shutil.copy(sandbox.authority.bundle, directory / "ca.crt")
    return directory


def _start_operator(sandbox: Sandbox, binary: Path, processes: list[Process]) -> int:
    """The port of its metrics service, for the adapter."""
    certificates = _certificates(sandbox, "keda-operator-tls", sandbox.authority.server("keda-operator"))

    def program(port: int) -> Program:
        return _program(
            sandbox,
            binary,
            metrics_service_bind_address=f"127.0.0.1:{port}",
            metrics_bind_address="127.0.0.1:0",
            health_probe_bind_address="127.0.0.1:0",
            cert_dir=certificates,
        )

    return _serving(program, processes)


def _start_adapter(sandbox: Sandbox, binary: Path, operator: int, processes: list[Process]) -> int:
    """The port of the metrics API, for the API server. To the operator it shows a client's certificate."""
    serving = sandbox.authority.server("keda-adapter")
    certificates = _certificates(sandbox, "keda-adapter-tls", sandbox.authority.client("keda-adapter-client"))

    def program(port: int) -> Program:
        return _program(
            sandbox,
            binary,
            secure_port=port,
            bind_address="127.0.0.1",
            tls_cert_file=serving.certificate,
            tls_private_key_file=serving.key,
            cert_dir=certificates,
            metrics_service_address=f"localhost:{operator}",
            authentication_kubeconfig=sandbox.kubeconfig,
            authorization_kubeconfig=sandbox.kubeconfig,
            lister_kubeconfig=sandbox.kubeconfig,
        )

    return _serving(program, processes)


def _serving(program: Callable[[int], Program], processes: list[Process]) -> int:
    process, port = start_on_free_port(program, _is_open, timeout=READY_SECONDS)
    processes.append(process)
    return port


def _program(sandbox: Sandbox, binary: Path, **flags: object) -> Program:
    arguments = tuple(f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items())
    environment = {
        "KUBECONFIG": str(sandbox.kubeconfig),
        "POD_NAMESPACE": NAMESPACE,
        "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
        "WATCH_NAMESPACE": "",
    }
    return Program(
        name=binary.name, argv=(str(binary), *arguments), log=sandbox.layout.log(binary.name), env=environment
    )


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _registration(port: int) -> Iterator[dict[str, Any]]:
    """The adapter as the external metrics API, reached on this machine, and that HPAs may ask it."""
    yield from external_metrics(NAMESPACE, SERVICE, port)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": SERVICE}
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": SERVICE},
        "rules": [{"apiGroups": [GROUP], "resources": ["*"], "verbs": ["get", "list"]}],
    }
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": SERVICE},
        "roleRef": role,
        "subjects": [{"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system"}],
    }


def _await_api(sandbox: Sandbox, processes: list[Process]) -> None:
    def is_available() -> bool:
        for process in processes:
            if not process.is_running:
                raise process.failure("ended early")
        return any((one["type"], one["status"]) == ("Available", "True") for one in conditions())

    def conditions() -> list[dict[str, str]]:
        found: list[dict[str, str]] = (
            sandbox.get("apiservice", f"{API_VERSION}.{GROUP}").get("status", {}).get("conditions", [])
        )
        return found

    if not wait_until(is_available, READY_SECONDS):
        raise ProcessError(f"KEDA's metrics API is not available: {conditions()}; logs: {sandbox.logs}")
