"""A real Prometheus on loopback, with history from before it was started. Needs no cluster.

    with Prometheus(directory=tmp_path, binaries=binaries.find_all(), history=[openmetrics_file]) as prometheus:
        prometheus.query("sum(rate(http_requests_total[5m]))")

`stop()` and `start()` take it away and bring it back: same address, same data.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from sandbox.certificates import KeyPair
from sandbox.processes import Process, ProcessError, Program, start, start_on_free_port

READY_SECONDS = 120.0  # one on an idle machine
STOP_SECONDS = 20.0  # writing out what is in memory takes a moment
ANSWER_SECONDS = 30.0
RETENTION = "10y"  # a trace may lie long ago
BLOCK_SPAN = "--max-block-duration=24h"  # promtool reads the whole file once a block: 2.9 s, not 43 s, for two weeks


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """One thing to scrape: `address` is host:port; `labels` may set `instance`, and then it stands instead of it."""

    job: str
    address: str
    interval: timedelta
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Basic authentication; `bcrypt`: the hash of `password` that Prometheus reads."""

    user: str
    password: str
    bcrypt: str


READER = Login(  # for tests: nothing here makes bcrypt hashes
    user="reader",
    password="prometheus-password",  # noqa: S106 - guards nothing
    bcrypt="$2b$05$abcdefghijklmnopqrstuusvvZoG0.EMyeWpzPreT0jNyPeueCTAq",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What the server shows, and the authority with which clients check it."""

    server: KeyPair
    trust: Path


class Prometheus:
    """One server.

    `history`: OpenMetrics files, read by promtool before the first start. `rules`: files of alerts and recordings,
    evaluated every second. `register`: as for `processes.start`.
    """

    def __init__(
        self,
        *,
        directory: Path,
        binaries: Mapping[str, Path],
        scrapes: Sequence[Scrape] = (),
        history: Sequence[Path] = (),
        rules: Sequence[Path] = (),
        login: Login | None = None,
        tls: Tls | None = None,
        features: Sequence[str] = (),
        log: Path | None = None,
        register: Path | None = None,
    ) -> None:
        self.directory = directory
        self.log = log or directory / "prometheus.log"
        self.process: Process | None = None
        self.port = 0
        self._binaries = binaries
        self._scrapes = scrapes
        self._history = history
        self._rules = rules
        self._login = login
        self._tls = tls
        self._features = features
        self._register = register

    def __enter__(self) -> Self:
        self._write_configuration()
        for file in self._history:
            self._load(file)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(grace=0.0)

    @property
    def url(self) -> str:
        """Its address; the same after `stop()` and `start()`."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.is_running

    def start(self) -> None:
        """Run it and return when it answers. Raises ProcessError."""
        if self.port:
            self.process = start(self._program(self.port), register=self._register)
            self.process.wait_ready(lambda: self._is_ready(self.port), READY_SECONDS)
        else:
            self.process, self.port = start_on_free_port(
                self._program, self._is_ready, timeout=READY_SECONDS, register=self._register
            )

    def stop(self, grace: float = STOP_SECONDS) -> None:
        """End it; `grace` 0 kills it."""
        if self.process is not None:
            self.process.stop(grace)

    def scrape(self, *scrapes: Scrape) -> None:
        """From now on scrape exactly these."""
        self._scrapes = scrapes
        self._write_configuration()
        if self.process is not None and self.process.is_running:
            os.kill(self.process.pid, signal.SIGHUP)

    def query(self, expression: str, at: datetime | None = None) -> list[dict[str, Any]]:
        """The vector that an instant query yields, as in Prometheus's JSON; evaluated `at` or now."""
        time = {"time": str(at.timestamp())} if at else {}
        return self._query("query", {"query": expression, **time})

    def query_range(self, expression: str, start: datetime, end: datetime, step: timedelta) -> list[dict[str, Any]]:
        """The matrix that a range query yields, as in Prometheus's JSON."""
        span = {"start": str(start.timestamp()), "end": str(end.timestamp()), "step": str(step.total_seconds())}
        return self._query("query_range", {"query": expression, **span})

    def rules(self) -> list[dict[str, Any]]:
        """Every rule that it evaluates with its health and last error, as in Prometheus's JSON."""
        with self._open(self.port, "/api/v1/rules") as answer:
            groups: list[dict[str, Any]] = json.load(answer)["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _query(self, kind: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        with self._open(self.port, f"/api/v1/{kind}?{urllib.parse.urlencode(parameters)}") as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result

    def _open(self, port: int, path: str) -> Any:  # noqa: ANN401 - urllib promises no type
        request = urllib.request.Request(f"{'https' if self._tls else 'http'}://127.0.0.1:{port}{path}")  # noqa: S310 - loopback
        if self._login:
            secret = base64.b64encode(f"{self._login.user}:{self._login.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {secret}")
        trust = ssl.create_default_context(cafile=str(self._tls.trust)) if self._tls else None
        return urllib.request.urlopen(request, timeout=ANSWER_SECONDS, context=trust)  # noqa: S310 - loopback

    def _is_ready(self, port: int) -> bool:
        try:
            with self._open(port, "/-/ready"):
                return True
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            return False

    def _program(self, port: int) -> Program:
        argv = [
            str(self._binaries["prometheus"]),
            f"--config.file={self.directory / 'prometheus.yaml'}",
            f"--web.config.file={self.directory / 'web.yaml'}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--storage.tsdb.retention.time={RETENTION}",
        ]
        if self._features:
            argv.append(f"--enable-feature={','.join(self._features)}")
        return Program(name="prometheus", argv=tuple(argv), log=self.log)

    def _load(self, file: Path) -> None:
        command = [str(self._binaries["promtool"]), "tsdb", "create-blocks-from", "openmetrics", "--quiet", BLOCK_SPAN]
        done = subprocess.run(
            [*command, str(file), str(self.directory / "data")],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ProcessError(f"promtool could not load {file}: {done.stderr.strip() or done.stdout.strip()}")

    def _write_configuration(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        scrapes = [_scrape_config(scrape) for scrape in self._scrapes]
        often = {"evaluation_interval": "1s"} if self._rules else {}
        content = {"global": often, "rule_files": [str(file) for file in self._rules], "scrape_configs": scrapes}
        _write_yaml(self.directory / "prometheus.yaml", content)
        _write_yaml(self.directory / "web.yaml", self._web_config())

    def _web_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if self._login:
            config["basic_auth_users"] = {self._login.user: self._login.bcrypt}
        if self._tls:
            server = self._tls.server
            config["tls_server_config"] = {"cert_file": str(server.certificate), "key_file": str(server.key)}
        return config


def _scrape_config(scrape: Scrape) -> dict[str, Any]:
    interval = f"{scrape.interval // timedelta(milliseconds=1)}ms"
    return {
        "job_name": scrape.job,
        "scrape_interval": interval,
        "scrape_timeout": interval,
        "static_configs": [{"targets": [scrape.address], "labels": dict(scrape.labels)}],
    }


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")
