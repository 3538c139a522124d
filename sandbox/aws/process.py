"""How is the AWS endpoint run, reached and told what to do? As a process that ends with us.

with AwsServer(log=directory / "aws.log") as aws:
    boto3.client("cloudwatch", region_name="eu-central-1", endpoint_url=aws.url)
    aws.fail(operation="GetMetricData", code="Throttling", times=3)
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.aws.settings import ENVIRONMENT, SettingError
from sandbox.processes import Process, ProcessError, Program, lost_its_port, start, start_on_free_port

REPOSITORY = Path(__file__).parents[2]
READY_SECONDS = 60.0
ANSWER_SECONDS = 30.0
ACCESS_KEY = "sandbox"


class AwsServer:
    """The endpoint in a process of its own. `stop()` and `start()` again keep the address, and lose all resources.

    `settings`: those of `sandbox.aws.settings` that differ from the start on. `register`: as in `processes.start`.
    """

    def __init__(
        self, *, log: Path, register: Path | None = None, settings: Mapping[str, object] | None = None
    ) -> None:
        self.log = log
        self._register = register
        self._settings = dict(settings or {})
        self._process: Process | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL has to be."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def process(self) -> Process | None:
        """The process of the last start."""
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.is_running

    def environment(self) -> dict[str, str]:
        """What a program needs to take this for AWS, and to find no other credentials than made-up ones."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def start(self) -> None:
        """Run it and return when it answers. Raises ProcessError."""
        if self._port:
            self._start_again()
        else:
            self._process, self._port = start_on_free_port(
                self._program, _is_ready, timeout=READY_SECONDS, register=self._register
            )

    def stop(self) -> None:
        """End it, as a region ends that cannot be reached."""
        if self._process is not None:
            self._process.stop()

    def reset(self) -> None:
        """Everything as at the start, without one: resources, settings, faults, calls."""
        self._ask("reset")
        self.change(**self._settings)

    def change(self, **settings: object) -> dict[str, Any]:
        """Change settings of `sandbox.aws.settings`; all as they are then. Raises SettingError."""
        given = {name: one.isoformat() if isinstance(one, datetime) else one for name, one in settings.items()}
        found: dict[str, Any] = self._ask("settings", given)
        return found

    def fail(self, **fault: object) -> None:
        """Have calls fail from now on, in place of all faults before: the fields of `sandbox.aws.faults.Fault`."""
        self._ask("faults", [fault])

    def heal(self) -> None:
        """Have no call fail any more."""
        self._ask("faults", [])

    def authorize(self, *, is_on: bool) -> None:
        """Check signatures and IAM policies from now on, or let everybody do everything."""
        self._ask("authorization", is_on)

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        """The calls since the last reset, oldest first, as in `sandbox.aws.faults.Call`; of one operation if given."""
        found: list[dict[str, Any]] = self._ask("calls")
        return [call for call in found if operation in {None, call["operation"]}]

    def _start_again(self) -> None:
        self._process = start(self._program(self._port), register=self._register)
        try:
            self._process.wait_ready(lambda: _is_ready(self._port), READY_SECONDS)
        except ProcessError:
            self._process.stop()
            if lost_its_port(self._process):
                raise self._process.failure("found its port taken by another program") from None
            raise

    def _program(self, port: int) -> Program:
        environment = {f"{ENVIRONMENT}{name.upper()}": str(value) for name, value in self._settings.items()}
        environment |= {
            "PYTHONPATH": str(REPOSITORY),
            "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
        }  # 1291 images: 0.4 s each reset
        argv = (sys.executable, "-m", "sandbox.aws", "--port", str(port))
        return Program(name="aws", argv=argv, log=self.log, env=environment)

    def _ask(self, what: str, given: object = None) -> Any:  # noqa: ANN401 - JSON
        url = f"{self.url}/sandbox/{what}"
        try:
            given_text = json.dumps(given).encode()
            with urllib.request.urlopen(url, given_text, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - our own URL
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != HTTPStatus.BAD_REQUEST:
                    raise
                raise SettingError(error.read().decode()) from None


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/sandbox/settings", timeout=1) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False
