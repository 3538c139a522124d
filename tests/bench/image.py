"""How large is the image, and how soon and in how much memory does it run? `python -m tests.bench.image [PYTHON]`.

The controller's image by the Dockerfile's own steps, and beside it, as the baseline, the same packages with nothing
taken out. Both are started in a root of their own by PYTHON (the image's is 3.13; without an argument, the one that
runs this) against a made-up API server with no scalers: seconds are until /readyz says so, memory is what is resident
then and after a while. The base's own size comes on top: docs/guide/image.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import perf_counter, sleep
from urllib.request import urlopen

import psutil
from aiohttp import web
from rich.console import Console
from rich.table import Table

from controller.spec import PLURAL
from image.contents import size
from sandbox.processes import free_port, wait_until
from tests.image.dockerfile import FILE, Dockerfile, Follower
from tests.image.jail import PYTHON, Jail
from tests.servers.kubeconfig import write_kubeconfig
from tests.test_handlers import DISCOVERY, Server

ROUNDS = 3
IDLE_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
MEGA = 1e6
UNPRUNED = "python3 -m compileall -qq --invalidation-mode unchecked-hash root/opt root/app || true; : python3 -m image"
"""In place of what prunes: the modules are compiled in both; what cannot be is in tests that are taken out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What an image adds to its base, and how it is started."""

    name: str
    root: Path
    environment: Mapping[str, str]
    python: Path

    def argv(self, place: Path, *command: str, **more: str) -> tuple[str, ...]:
        """A command in it."""
        jail = Jail(tree=self.root, place=place, shared=(place.parent / "kubeconfig",), python=self.python)
        return jail.argv(("python", *command), {**self.environment, **more}, "/app")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One start. Memory in bytes."""

    ready_seconds: float
    resident: int
    idle: int


def trees(place: Path, python: Path) -> list[Tree]:
    """With everything, and as the image is."""
    text = FILE.read_text()
    made = []
    for name, said in (("unpruned", text.replace("RUN python3 -m image", f"RUN {UNPRUNED}")), ("image", text)):
        folder = place / name
        folder.mkdir()
        dockerfile = Dockerfile.read(said)
        root = Follower(dockerfile=dockerfile, place=folder, python=python).root("build") / "build/root"
        made.append(Tree(name=name, root=root, environment=dockerfile.environment("controller"), python=python))
    return made


def importing(tree: Tree, place: Path) -> float:
    """Seconds for a process that imports the controller and ends: the median."""
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        subprocess.run(tree.argv(place, "-c", "import controller.__main__"), check=True)
        times.append(perf_counter() - began)
    return statistics.median(times)


def running(tree: Tree, place: Path) -> Run:
    """Start it, wait until it is ready, and let it idle."""
    port = free_port()
    told = {"KUBECONFIG": str(place.parent / "kubeconfig"), "PREDICTIVE_SCALER_HTTP_ADDRESS": f"127.0.0.1:{port}"}
    began = perf_counter()
    with subprocess.Popen(tree.argv(place, "-m", "controller", **told), stderr=subprocess.DEVNULL) as process:
        try:
            if not wait_until(lambda: _is_ready(port), PATIENCE_SECONDS):
                raise TimeoutError(f"{tree.name} was not ready after {PATIENCE_SECONDS:.0f} s")
            seconds = perf_counter() - began
            resident = psutil.Process(process.pid).memory_info().rss
            sleep(IDLE_SECONDS)
            return Run(ready_seconds=seconds, resident=resident, idle=psutil.Process(process.pid).memory_info().rss)
        finally:
            process.kill()


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1.0) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def main(python: Path = PYTHON) -> None:
    """Print a row for each tree."""
    table = Table(title=f"The controller's image without its base, run by {_version(python)}")
    for column in ("tree", "MB", "import, s", "ready, s", "resident when ready, MB", f"after {IDLE_SECONDS:.0f} s, MB"):
        table.add_column(column, justify="right" if column != "tree" else "left")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "root").mkdir()
        for tree in trees(place, python):
            table.add_row(tree.name, *asyncio.run(_row(tree, place / "root")))
    Console().print(table)


async def _row(tree: Tree, place: Path) -> list[str]:
    async with _api_server() as address:
        write_kubeconfig(place.parent / "kubeconfig", address, "token")
        seconds = await asyncio.to_thread(importing, tree, place)
        runs = [await asyncio.to_thread(running, tree, place) for _ in range(ROUNDS)]
    ready = statistics.median(run.ready_seconds for run in runs)
    memory = (statistics.median(run.resident for run in runs), statistics.median(run.idle for run in runs))
    return [
        f"{size(tree.root) / MEGA:.0f}",
        f"{seconds:.2f}",
        f"{ready:.2f}",
        *(f"{each / MEGA:.0f}" for each in memory),
    ]


@contextlib.asynccontextmanager
async def _api_server() -> AsyncIterator[str]:
    """The address of one with no objects in it, whose watches end with it."""
    server, ended = Server(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await ended.wait()
            return response
        if request.path in DISCOVERY or request.path.endswith(PLURAL):
            return await server.answer(request)
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    ended.set()
    await runner.cleanup()


def _version(python: Path) -> str:
    return subprocess.run((python, "--version"), capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main(*(Path(word).resolve() for word in sys.argv[1:]))
