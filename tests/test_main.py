"""What a log line looks like, whatever the time zone of the machine."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from controller.__main__ import _formatter
from controller.settings import Settings

RECORD = logging.makeLogRecord(
    {"msg": "scaled", "name": "controller.report", "levelname": "INFO", "scaler": "shop/web"}
)
RECORD.created, RECORD.msecs = 1_772_452_800.25, 250.0


def test_a_json_line_holds_when_where_and_what() -> None:
    line = json.loads(_formatter(Settings(log_format="json")).format(RECORD))
    assert line == {
        "time": "2026-03-02T12:00:00.250Z",
        "level": "INFO",
        "logger": "controller.report",
        "message": "scaled",
        "scaler": "shop/web",
    }


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_times_are_utc_wherever_the_machine_stands() -> None:
    line = _formatter(Settings(log_format="text")).format(RECORD)
    assert line == "2026-03-02T12:00:00.250Z INFO    controller.report: scaled"


def test_a_controller_that_asks_aws_nothing_does_not_load_its_sdk() -> None:
    """Half a second and some 19 MiB, most of them for nothing."""
    code = "import sys, controller.__main__; print(sorted({'boto3', 'botocore'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
