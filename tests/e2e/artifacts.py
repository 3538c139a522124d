"""How does a model get into a registry? A real one on loopback, and the three calls of a push.

`crane registry serve` keeps what is pushed in memory: one that was stopped has nothing any more.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urljoin

from sandbox.processes import Process, Program, start, start_on_free_port
from tests.servers.registry import MANIFEST, described, digest_of, manifest_of

READY_SECONDS = 60.0
ANSWER_SECONDS = 30.0


class Registry:
    """A registry in a process of its own, which ends with us."""

    def __init__(self, crane: Path, log: Path) -> None:
        self._crane = crane
        self._log = log
        self._process: Process | None = None
        self._port = 0

    @property
    def host(self) -> str:
        """The same after another start."""
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Run it, the first time on a free port, and return when it answers."""
        if self._port:
            self._process = start(self._program(self._port))
            self._process.wait_ready(lambda: _answers(self._port), READY_SECONDS)
        else:
            self._process, self._port = start_on_free_port(self._program, _answers, timeout=READY_SECONDS)

    def stop(self) -> None:
        """End it, and all that was pushed."""
        if self._process is not None:
            self._process.stop()

    def push(self, repository: str, tag: str, data: bytes) -> str:
        """Have `tag` name an artifact of one file, as `oras push` makes it; the manifest's digest."""
        layer = described(data, "model.onnx")
        manifest = manifest_of(layer)
        for blob in (data, b"{}"):
            self._upload(repository, blob)
        self._send("PUT", f"{self._at(repository)}/manifests/{tag}", manifest, MANIFEST)
        return digest_of(manifest)

    def _upload(self, repository: str, blob: bytes) -> None:
        begun = f"{self._at(repository)}/blobs/uploads/"
        location = urljoin(begun, self._send("POST", begun, b"")["Location"])
        self._send("PUT", f"{location}?{urlencode({'digest': digest_of(blob)})}", blob, "application/octet-stream")

    def _send(self, method: str, url: str, data: bytes, kind: str = "") -> dict[str, str]:
        request = urllib.request.Request(url, data, {"Content-Type": kind} if kind else {}, method=method)
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            return dict(answer.headers)

    def _at(self, repository: str) -> str:
        return f"http://{self.host}/v2/{repository}"

    def _program(self, port: int) -> Program:
        argv = (str(self._crane), "registry", "serve", "--address", f"127.0.0.1:{port}")
        return Program(name="registry", argv=argv, log=self._log)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=ANSWER_SECONDS) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (urllib.error.URLError, OSError):
        return False
