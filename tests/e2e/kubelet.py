"""What would a kubelet run? The container of an installed pod, as a process of this machine, whose nodes run nothing.

Its command, arguments and environment are the pod's own. Where a cluster has a network, there is loopback: each pod has
an address of its own in 127.0.0.0/8, and what it would serve on all of its addresses it serves there. Volumes are
folders. In place of the token in its files it has a kubeconfig of the same ServiceAccount.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from sandbox.cluster import Sandbox
from sandbox.controller import FOREIGN, READY_SECONDS, REPOSITORY, answer
from sandbox.processes import Process, Program, start
from tests.e2e.driving import eventually

ENTRYPOINT = ["python", "-m", "controller"]  # a test of the chart holds the Dockerfile to it
FIRST_ADDRESS = 2
HOOK_SECONDS = 200.0
ROLLOUT = "--timeout=200s"

Object = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Kubelet:
    """Runs the pods of one release. `scratch`: where their volumes lie, and their logs."""

    sandbox: Sandbox
    release: str
    scratch: Path
    running: list[Process] = field(default_factory=list)

    def pods(self, count: int) -> list[Object]:
        """The controllers' pods, once the Deployment has rolled out and there are so many, placed by the scheduler."""
        self.sandbox.kubectl("rollout", "status", f"deployment/{self.release}", "-n", self.release, ROLLOUT)
        selector = f"app.kubernetes.io/name=predictive-scaler,app.kubernetes.io/instance={self.release}"

        def living() -> list[Object]:
            items = self.sandbox.get("pods", "-n", self.release, "-l", selector)["items"]
            return [pod for pod in items if "deletionTimestamp" not in pod["metadata"] and "podIP" in pod["status"]]

        return eventually(living, lambda pods: len(pods) == count)

    def start(self, pod: Object, number: int = 0) -> str:
        """Run its container as the pod with that number, until its readiness probe passes; its address."""
        (container,) = pod["spec"]["containers"]
        (port,) = (one["containerPort"] for one in container["ports"] if one["name"] == "http")
        address = f"127.0.0.{FIRST_ADDRESS + number}"
        log = self.sandbox.logs / f"{pod['metadata']['name']}.log"
        process = start(Program(name="controller", argv=self._argv(pod, address), log=log))
        self.running.append(process)
        path = container["readinessProbe"]["httpGet"]["path"]
        process.wait_ready(lambda: answer(f"{address}:{port}", path)[0] == HTTPStatus.OK, READY_SECONDS)
        return f"{address}:{port}"

    def run_hook(self, pod: Object, hosts: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run its container until it ends, and tell the API server how. `hosts`: addresses by names that it asks."""
        argv = [_replaced(word, hosts) for word in self._argv(pod, "127.0.0.1")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=HOOK_SECONDS, cwd=self.scratch)
        name, phase = pod["metadata"]["name"], "Failed" if done.returncode else "Succeeded"
        patch = f'{{"status": {{"phase": "{phase}"}}}}'
        where = ("-n", self.release, "--subresource=status", "--type=merge")
        self.sandbox.kubectl("patch", "pod", name, *where, "-p", patch)
        return done

    def stop(self) -> None:
        """Ask all that runs to end, and wait."""
        for process in self.running:
            process.stop(grace=20.0)
        self.running.clear()

    def _argv(self, pod: Object, address: str) -> tuple[str, ...]:
        (container,) = pod["spec"]["containers"]
        account = pod["spec"]["serviceAccountName"]
        own = {
            "PYTHONPATH": str(REPOSITORY),
            "KUBECONFIG": str(self.sandbox.service_account_kubeconfig(self.release, account)),
            **self._environment(pod, container, address),
        }
        foreign = [part for name in os.environ if name.startswith(FOREIGN) for part in ("-u", name)]
        words = [*(container.get("command") or ENTRYPOINT), *container.get("args", ())]
        env = shutil.which("env") or "/usr/bin/env"
        given = (f"{name}={value}" for name, value in own.items())
        return (env, "-C", str(REPOSITORY), *foreign, *given, sys.executable, *words[1:])

    def _environment(self, pod: Object, container: Object, address: str) -> dict[str, str]:
        """As kubelet fills it in; each variable may name those before it."""
        folders = {mount["mountPath"]: str(self._folder(pod, mount)) for mount in container.get("volumeMounts", ())}
        found: dict[str, str] = {}
        for variable in container.get("env", ()):
            text = _field(pod, variable, address) if "valueFrom" in variable else variable["value"]
            text = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], text)
            text = f"{address}{text}" if text.startswith(":") else text  # every address, of a machine of its own
            found[variable["name"]] = _replaced(text, folders)
        return found

    def _folder(self, pod: Object, mount: Object) -> Path:
        folder: Path = self.scratch / pod["metadata"]["name"] / mount["name"]
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _field(pod: Object, variable: Object, address: str) -> str:
    known: dict[str, str] = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"]["namespace"],
        "status.podIP": address,
    }
    return known[variable["valueFrom"]["fieldRef"]["fieldPath"]]


def _replaced(text: str, replacements: dict[str, str]) -> str:
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text
