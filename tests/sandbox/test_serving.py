"""Whoever asks gets what was answered to just that request, until the block ends."""

from __future__ import annotations

import contextlib
import socket
import ssl
import urllib.error
import urllib.request
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import pytest

from sandbox.certificates import Authority
from sandbox.serving import Answer, Request, Serving


def echo(request: Request) -> Answer:
    """What was asked; refused for who does not say who it is."""
    status = HTTPStatus.OK if request.headers.get("X-Who") == "me" else HTTPStatus.UNAUTHORIZED
    return Answer(body=f"{request.path} {request.body.decode()}".encode(), kind="text/plain", status=status)


def asked(
    serving: Serving, path: str, body: bytes | None = None, who: str = "me", trust: ssl.SSLContext | None = None
) -> tuple[int, str, str]:
    scheme = "http" if trust is None else "https"
    request = urllib.request.Request(f"{scheme}://{serving.address}{path}", data=body, headers={"X-Who": who})
    try:
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers["Content-Type"], refusal.read().decode()


@pytest.mark.parametrize(("body", "wanted"), [(None, "/a?b=c "), (b"d", "/a?b=c d")], ids=["get", "post"])
def test_the_answer_is_that_to_the_request(body: bytes | None, wanted: str) -> None:
    with Serving(echo) as serving:
        assert asked(serving, "/a?b=c", body) == (200, "text/plain", wanted)
        assert asked(serving, "/a?b=c", body, who="you") == (401, "text/plain", wanted)


def test_nobody_answers_once_the_block_has_ended() -> None:
    with Serving(echo) as serving:
        pass
    with pytest.raises(urllib.error.URLError, match="refused"):
        asked(serving, "/")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path, datetime.now(UTC))


@pytest.fixture
def tls(authority: Authority) -> ssl.SSLContext:
    context, pair = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), authority.server("localhost")
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def test_over_tls_who_connects_and_says_nothing_holds_up_nobody(tls: ssl.SSLContext, authority: Authority) -> None:
    trust = ssl.create_default_context(cafile=str(authority.bundle))
    with Serving(echo, tls=tls) as serving, socket.create_connection(("127.0.0.1", serving.port)):
        assert asked(serving, "/a", b"d", trust=trust) == (200, "text/plain", "/a d")


def test_who_knows_no_tls_is_not_worth_a_word(tls: ssl.SSLContext, capfd: pytest.CaptureFixture[str]) -> None:
    with Serving(echo, tls=tls) as serving, socket.create_connection(("127.0.0.1", serving.port)) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):  # as it may hang up on what it has not read
            while client.recv(1024):
                continue
    assert capfd.readouterr().err == ""
