"""Several controllers that share the scalers of one namespace: who serves what, and who wrote what and when?"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import pairwise
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
        _, text = eventually(lambda: self.controller.get("/metrics"), lambda answer: answer[0] == HTTPStatus.OK)
        return set(re.findall(r'^predictive_scaler_desired_replicas\{.*scaler="([^"]+)"', text, re.MULTILINE))


def view(replica: Replica) -> dict[int, str | None]:
    """Who serves which shard, as one of them sees it."""
    status, text = replica.controller.get("/api/v1/shards")
    if status != HTTPStatus.OK:
        return {}
    return {one["shard"]: one["holder"] for one in json.loads(text)["shards"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """A shard's Lease went from one to another. `seconds`: from the last time that the one wrote it to the other's."""

    lease: str
    old: str
    new: str
    seconds: float


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

    def leader(self) -> Replica:
        """Who serves shard 0, once one does."""
        return eventually(lambda: [one for one in self.all if 0 in one.shards()])[0]

    def requests(self) -> list[AuditEvent]:
        """All that any of them asked of the API server."""
        return self.sandbox.audit_events(f"system:serviceaccount:{self.home}:{ACCOUNT}")

    def handovers(self, since: datetime) -> list[Handover]:
        """Of shards, to whoever wrote the Lease since then, as the API server received what they wrote."""
        found = []
        for lease, written in self._leases("-shard-").items():
            for one, other in pairwise(written):
                if one.credential != other.credential and other.time >= since:
                    old, new = self._by_credential(one.credential), self._by_credential(other.credential)
                    seconds = (other.time - one.time).total_seconds()
                    found.append(Handover(lease=lease, old=old, new=new, seconds=seconds))
        return found

    def slowest_round(self, replica: Replica, since: datetime) -> float:
        """The longest time, in seconds, between two renewals of a replica's own Lease since then; 0 without two."""
        written = [one for each in self._leases("-member-").values() for one in each]
        times = [one.time for one in written if one.credential == replica.credential and one.time >= since]
        return max(((after - before).total_seconds() for before, after in pairwise(times)), default=0.0)

    def _leases(self, kind: str) -> dict[str, list[AuditEvent]]:
        """What was written of Leases of a kind, by their names, in the order in which the API server received it."""
        found: dict[str, list[AuditEvent]] = {}
        for one in sorted(self.requests(), key=lambda event: event.time):
            is_write = one.verb in {"create", "update"} and one.code in {HTTPStatus.OK, HTTPStatus.CREATED}
            if one.resource == "leases" and is_write and kind in one.name:
                found.setdefault(one.name, []).append(one)
        return found

    def _by_credential(self, credential: str) -> str:
        return next(one.name for one in self.all if one.credential == credential)

    def writes(self) -> list[AuditEvent]:
        """All that they changed but Leases, or tried to."""
        return [one for one in self.requests() if one.verb not in {"get", "list", "watch"} and one.resource != "leases"]


@contextlib.contextmanager
def replicas(
    sandbox: Sandbox,
    models: Path,
    namespace: str,
    folder: Path,
    *,
    count: int,
    shards: int,
    leases: Sequence[str] = (),
    relay: str = "",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Replicas]:
    """`count` controllers with Leases of their own, which serve `namespace` and are all ready.

    `leases`: what the names of each one's Leases begin with, where they are no replicas of one another. `relay`: an
    address through which all they ask goes, each one's under its name. `environment`: more variables for all.
    """
    home = f"{namespace}-home"
    kubeconfig = install(sandbox, namespace=home, watched=[namespace])
    made = []
    for number in range(count):
        name = f"replica-{number}"
        own = folder / f"{name}.kubeconfig"
        shutil.copy(kubeconfig if number == 0 else sandbox.service_account_kubeconfig(home, ACCOUNT), own)
        if relay:
            _lead_to(own, f"{relay}/{name}")
        own_environment = {
            f"{SETTINGS}LEASE_NAMESPACE": home,
            f"{SETTINGS}SHARDS": str(shards),
            f"{SETTINGS}INSTANCE": name,
            **(environment or {}),
        }
        own_environment |= {f"{SETTINGS}LEASE_NAME": leases[number]} if leases else {}
        log = sandbox.logs / f"controller-{namespace}-{name}.log"
        controller = Controller(
            kubeconfig=own, models=models, log=log, watched=[namespace], environment=own_environment
        )
        made.append(Replica(name=name, controller=controller, credential=_credential(own)))
    group = Replicas(sandbox=sandbox, home=home, all=tuple(made))
    try:
        group.each(Controller.start)
        yield group
    finally:
        group.each(Controller.thaw)
        group.each(Controller.stop)
        sandbox.kubectl("delete", "namespace", home, "--wait=false")


def _lead_to(kubeconfig: Path, server: str) -> None:
    content = yaml.safe_load(kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = server
    kubeconfig.write_text(yaml.safe_dump(content))


def _credential(kubeconfig: Path) -> str:
    """The identity of the token in it."""
    (user,) = yaml.safe_load(kubeconfig.read_text())["users"]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(user["user"]["token"].split(".")[1] + "=="))
    return f"JTI={claims['jti']}"
