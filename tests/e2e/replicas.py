"""Several controllers that share the scalers of one namespace: who serves what, and who wrote what and when?"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from sandbox.audit import AuditEvent
from sandbox.cluster import Sandbox
from sandbox.controller import ACCOUNT, SETTINGS, Controller, install
from tests.e2e.driving import eventually


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One of them. `credential`: how the audit log tells it from the others, which have the same account."""

    name: str
    controller: Controller
    credential: str

    def shards(self) -> list[int]:
        """Which it says that it serves."""
        return [shard for shard, holder in view(self).items() if holder == self.name]

    def told(self) -> set[str]:
        """The scalers of which it exposes metrics, which are those that it has ticked and goes on to."""
        status, text = self.controller.get("/metrics")
        assert status == HTTPStatus.OK
        return set(re.findall(r'^predictive_scaler_desired_replicas\{.*scaler="([^"]+)"', text, re.MULTILINE))


def view(replica: Replica) -> dict[int, str | None]:
    """Who serves which shard, as one of them sees it."""
    status, text = replica.controller.get("/api/v1/shards")
    if status != HTTPStatus.OK:
        return {}
    return {one["shard"]: one["holder"] for one in json.loads(text)["shards"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """All of them, and the sandbox whose log tells what they did."""

    sandbox: Sandbox
    home: str
    all: tuple[Replica, ...]

    def named(self, name: str) -> Replica:
        """The one of that name."""
        return next(one for one in self.all if one.name == name)

    def each(self, do: Callable[[Controller], None], replicas: Sequence[Replica] | None = None) -> None:
        """Do something with several at the same time."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda one: do(one.controller), self.all if replicas is None else replicas))

    def leader(self, among: Sequence[Replica] | None = None, seconds: float = 30.0) -> Replica:
        """Who serves shard 0, once one of `among` does."""
        asked = self.all if among is None else among
        found = eventually(lambda: [one for one in asked if 0 in one.shards()], seconds=seconds)
        return found[0]

    def requests(self) -> list[AuditEvent]:
        """All that any of them asked of the API server."""
        return self.sandbox.audit_events(f"system:serviceaccount:{self.home}:{ACCOUNT}")

    def writes(self) -> list[AuditEvent]:
        """All that they changed but Leases, or tried to."""
        return [one for one in self.requests() if one.verb not in {"get", "list", "watch"} and one.resource != "leases"]


@contextlib.contextmanager
def replicas(
    sandbox: Sandbox, models: Path, namespace: str, folder: Path, *, count: int, shards: int
) -> Iterator[Replicas]:
    """`count` controllers with Leases of their own, which serve `namespace` and are all ready."""
    home = f"{namespace}-home"
    kubeconfig = install(sandbox, namespace=home, watched=[namespace])
    made = []
    for number in range(count):
        name = f"replica-{number}"
        own = folder / f"{name}.kubeconfig"
        shutil.copy(kubeconfig if number == 0 else sandbox.service_account_kubeconfig(home, ACCOUNT), own)
        environment = {
            f"{SETTINGS}LEASE_NAMESPACE": home,
            f"{SETTINGS}SHARDS": str(shards),
            f"{SETTINGS}INSTANCE": name,
        }
        log = sandbox.logs / f"controller-{namespace}-{name}.log"
        controller = Controller(kubeconfig=own, models=models, log=log, watched=[namespace], environment=environment)
        made.append(Replica(name=name, controller=controller, credential=_credential(own)))
    group = Replicas(sandbox=sandbox, home=home, all=tuple(made))
    try:
        group.each(Controller.start)
        yield group
    finally:
        group.each(Controller.thaw)
        group.each(Controller.stop)
        sandbox.kubectl("delete", "namespace", home, "--wait=false")


def _credential(kubeconfig: Path) -> str:
    """The identity of the token in it."""
    (user,) = yaml.safe_load(kubeconfig.read_text())["users"]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(user["user"]["token"].split(".")[1] + "=="))
    return f"JTI={claims['jti']}"
