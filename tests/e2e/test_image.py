"""What the Dockerfile makes of this repository, made without an engine: is it all there, is it small, does it run?

The tree is what the Dockerfile's own steps leave (tests/image/dockerfile.py), with this machine's Python in place of
the base's; what it runs in containers is run in a root of its own (tests/image/jail.py). AWS is a server on loopback.
"""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import distributions
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import grpc
import psutil
import pytest

from image.contents import LIBRARY, SBOM, faults, size
from sandbox.aws.process import AwsServer
from sandbox.cluster import Sandbox
from sandbox.processes import Process, Program, free_port, start_on_free_port
from tests.e2e.driving import PER_REPLICA, Scene, workload
from tests.image.dockerfile import BASE_LIBRARY, FILE, ROOT, Dockerfile, Follower
from tests.image.jail import Jail

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # the first one makes the image: on a busy machine minutes

MEGA = 1e6
MOST_BYTES = 175 * MEGA  # with the base's 60 MB below the 250 that were promised; docs/guide/image.md
LATEST_SECONDS = 90.0  # thirty times what was promised: a machine with other work must not fail here
MOST_RESIDENT = 250 * MEGA  # as above; docs/benchmarks.md has what it really is
CONTROLLER = "controller"

Start = Callable[[str], "Started"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The image's program, running."""

    process: Process
    kind: str
    address: str
    keda: str
    seconds: float


@pytest.fixture(scope="module")
def dockerfile() -> Dockerfile:
    return Dockerfile.read(FILE.read_text())


@pytest.fixture(scope="module")
def tree(dockerfile: Dockerfile, aws_server: AwsServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the controller's image adds to its base. On the way there smoke.py passed, asking AWS."""
    follower = Follower(
        dockerfile=dockerfile,
        place=tmp_path_factory.mktemp("image"),
        given={"REVISION": "0" * 40, "CREATED": "2026-01-05T00:00:00Z"},
        contained=aws_server.environment(),
    )
    return follower.root(CONTROLLER)


@pytest.fixture
def start(dockerfile: Dockerfile, tree: Path, sandbox: Sandbox, account: Path, tmp_path: Path) -> Iterator[Start]:
    """Runs the image's entrypoint for one namespace, as the chart's ServiceAccount."""
    started: list[Process] = []
    place = tmp_path / "root"
    place.mkdir()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(account.read_text())  # for everyone to read, as a Secret's volume is with the chart's fsGroup
    jail = Jail(tree=tree, place=place, shared=(kubeconfig,))
    entrypoint = dockerfile.stages[CONTROLLER].last("ENTRYPOINT").words
    keda = f"127.0.0.1:{free_port()}"

    def run(namespace: str) -> Started:
        def program(port: int) -> Program:
            told = {
                "KUBECONFIG": str(kubeconfig),
                "PREDICTIVE_SCALER_HTTP_ADDRESS": f"127.0.0.1:{port}",
                "PREDICTIVE_SCALER_KEDA_ADDRESS": keda,
                "PREDICTIVE_SCALER_NAMESPACES": namespace,
            }
            argv = jail.argv(entrypoint, dockerfile.environment(CONTROLLER) | told, "/app")
            return Program(name="image", argv=argv, log=sandbox.logs / "image.log")

        began = time.monotonic()
        process, port = start_on_free_port(program, _is_ready, timeout=LATEST_SECONDS)
        seconds = time.monotonic() - began
        started.append(process)
        return Started(process=process, kind=jail.kind, address=f"127.0.0.1:{port}", keda=keda, seconds=seconds)

    yield run
    for process in started:
        process.stop(10.0)


def test_it_holds_what_runs_and_nothing_else(tree: Path) -> None:
    assert faults(tree) == []
    assert sorted(path.name for path in tree.iterdir()) == ["app", "opt", "usr"]
    assert sorted(path.name for path in (tree / "app").iterdir()) == ["LICENSE", "controller", "models"]
    assert sorted(path.name for path in (tree / "opt").iterdir()) == ["predictive-scaler"]


def test_its_packages_are_those_of_the_lock_file_and_of_the_bill_of_materials(tree: Path) -> None:
    lock = re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / "requirements-controller.lock").read_text(), re.MULTILINE)
    installed = {(_key(one.name), one.version) for one in distributions(path=[str(tree / LIBRARY)])}
    bill = json.loads((tree / SBOM).read_text())
    told = {(_key(part["name"]), part["version"]) for part in bill["components"] if part["type"] == "library"}

    assert installed == {(_key(name), version) for name, version in lock}
    assert told == installed
    assert bill["metadata"]["component"]["version"] == "0.1.0"


def test_no_file_may_be_written_by_the_user_it_runs_as(tree: Path) -> None:
    """Neither by others nor by a group; all belong to who builds it, in a container root."""
    loose = [path for path in tree.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o7022]
    assert loose == []
    assert all(stat.S_IMODE(path.stat().st_mode) in {0o755, 0o644} for path in tree.rglob("*") if not path.is_symlink())


def test_it_brings_the_standard_library_of_its_base_compiled(tree: Path) -> None:
    """And as it lies in the tree, its size counts."""
    compiled = {path.name.partition(".")[0] for path in (tree / BASE_LIBRARY).glob("python3.*/**/*.pyc")}
    assert {"ssl", "dataclasses", "base_events"} <= compiled


def test_it_is_small(tree: Path) -> None:
    assert size(tree) < MOST_BYTES


def test_its_program_scales_a_workload(
    scene: Scene, tree: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """kopf's watch, the API server, Prometheus and a shipped model, all with what pruning has left."""
    running = start(scene.namespace)
    resident = psutil.Process(running.process.pid).memory_info().rss
    with capsys.disabled():
        words = f"{size(tree) / MEGA:.0f} MB, ready after {running.seconds:.1f} s, {resident / MEGA:.0f} MB resident"
        print(f"\nthe image's program, {running.kind}: {words}")  # noqa: T201  # told, and held to generous bounds only
    assert resident < MOST_RESIDENT

    with grpc.insecure_channel(running.keda) as channel:
        grpc.channel_ready_future(channel).result(timeout=LATEST_SECONDS)

    scene.sees(4.5 * PER_REPLICA)
    scene.apply(workload(), scene.scaler(forecast={"model": "default", "leadTime": "1m"}))
    scene.await_replicas(5)
    scene.await_condition("Ready", "True", "Scaling")


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1.0) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (URLError, OSError):
        return False


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
