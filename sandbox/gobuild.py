"""How is a bundle of tools built from its pinned Go modules?

go.sum in `toolchain/` holds the checksum of every module. Must not decide whether a build is wanted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox.processes import tail
from sandbox.toolchain import Bundle, Tool

OLDEST_GO = (1, 21)  # from there on `go` fetches the toolchain that go.mod asks for by itself
NEWS_SECONDS = 60.0


class BuildError(Exception):
    """A bundle cannot be built. The message has the cure, or the end of the build's log and where it lies."""


def build(bundle: Bundle, tools: Sequence[Tool], directory: Path, report: Callable[[str], None]) -> None:
    """Build `tools` into `directory`; a tool appears there whole or not at all. Raises BuildError."""
    command = _command(bundle, _go(bundle))
    names = ", ".join(tool.name for tool in tools)
    report(f"building {names} {bundle.version} from Go modules (usually {bundle.usual_build:g} minutes, once)")
    began = time.monotonic()
    log = directory.parent / f"{bundle.directory_name}.build.log"
    with tempfile.TemporaryDirectory(dir=directory, prefix=".build-") as work:
        _run([*command, "-o", f"{work}/", *(tool.package for tool in tools)], bundle, log, report)
        for tool in tools:
            (Path(work) / tool.built_name).replace(directory / tool.name)
    report(f"built {names} in {time.monotonic() - began:.0f} s")


def _go(bundle: Bundle) -> str:
    wanted = re.search(r"^go (\d+\.\d+)", (bundle.module / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    cure = f"install Go {wanted.group(1) if wanted else ''} or newer from https://go.dev/dl/ and put it into PATH"
    go = shutil.which("go")
    if go is None:
        raise BuildError(f"{bundle.name} {bundle.version} has to be built, and there is no Go: {cure}")
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"go(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST_GO:
        raise BuildError(f"{bundle.name} {bundle.version} cannot be built with {said.strip() or go}: {cure}")
    return go


def _command(bundle: Bundle, go: str) -> list[str]:
    stamps = "".join(f" -X {variable}={value}" for variable, value in bundle.stamps.items())
    tags = ["-tags", bundle.go_tags] if bundle.go_tags else []
    return [go, "build", "-mod=readonly", "-trimpath", "-ldflags", f"-s -w{stamps}", *tags]


def _run(command: list[str], bundle: Bundle, log: Path, report: Callable[[str], None]) -> None:
    environment = {**os.environ, "GOWORK": "off", "GOFLAGS": ""}
    with log.open("wb") as output:
        build = subprocess.Popen(
            command,
            cwd=bundle.module,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            _await(build, bundle, report)
        finally:
            build.kill()
            build.wait()
    if build.returncode:
        raise BuildError(f"building {bundle.name} {bundle.version} failed; the end of {log}:\n{tail(log)}")


def _await(build: subprocess.Popen[bytes], bundle: Bundle, report: Callable[[str], None]) -> None:
    began = time.monotonic()
    while True:
        try:
            build.wait(timeout=NEWS_SECONDS)
        except subprocess.TimeoutExpired:
            report(f"  still building {bundle.name}, {time.monotonic() - began:.0f} s so far")
        else:
            return
