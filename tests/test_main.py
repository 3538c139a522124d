"""What a log line looks like, whatever the time zone of the machine, and where a controller listens."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from aiohttp import web

from controller.__main__ import _formatter, _listening
from controller.settings import PREFIX, Settings, SettingsError
from sandbox.processes import free_port
from tests.servers.loopback import needs_ipv6

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


@pytest.mark.slow
def test_a_controller_that_asks_aws_nothing_does_not_load_its_sdk() -> None:
    """Half a second and some 19 MiB, most of them for nothing."""
    code = "import sys, controller.__main__; print(sorted({'boto3', 'botocore'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def _is_open(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def _at(address: str) -> AbstractAsyncContextManager[None]:
    return _listening(web.Application(), Settings.from_environment({f"{PREFIX}HTTP_ADDRESS": address}))


@pytest.fixture
def no_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a node whose kernel was started without it."""

    class Socket(socket.socket):
        def __init__(self, family: int = -1, *rest: Any, **named: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *rest, **named)

    monkeypatch.setattr(socket, "socket", Socket)


@needs_ipv6
@pytest.mark.parametrize(
    ("host", "open_at"), [("", {"127.0.0.1", "::1"}), ("127.0.0.1", {"127.0.0.1"}), ("[::1]", {"::1"})]
)
async def test_where_it_listens(host: str, open_at: set[str]) -> None:
    port = free_port()
    async with _at(f"{host}:{port}"):
        assert {one for one in ("127.0.0.1", "::1") if await _is_open(one, port)} == open_at


@pytest.mark.usefixtures("no_ipv6")
async def test_every_address_is_those_that_there_are() -> None:
    port = free_port()
    async with _at(f":{port}"):
        assert await _is_open("127.0.0.1", port)


@pytest.mark.usefixtures("no_ipv6")
async def test_an_address_that_the_machine_has_not_is_named() -> None:
    with pytest.raises(
        SettingsError, match=r"HTTP_ADDRESS: cannot listen at \[::1\]:8080: .*name another address or port"
    ):
        await _at("[::1]:8080").__aenter__()


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"HTTP_ADDRESS: cannot listen at :{port}: .*free this one"):
            await _at(f":{port}").__aenter__()
