"""Whoever asks gets what was answered to just that request, until the block ends."""

from __future__ import annotations

import urllib.error
import urllib.request
from http import HTTPStatus

import pytest

from sandbox.serving import Answer, Request, Serving


def echo(request: Request) -> Answer:
    """What was asked; refused for who does not say who it is."""
    status = HTTPStatus.OK if request.headers.get("X-Who") == "me" else HTTPStatus.UNAUTHORIZED
    return Answer(body=f"{request.path} {request.body.decode()}".encode(), kind="text/plain", status=status)


def asked(serving: Serving, path: str, body: bytes | None = None, who: str = "me") -> tuple[int, str, str]:
    request = urllib.request.Request(f"http://{serving.address}{path}", data=body, headers={"X-Who": who})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
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
