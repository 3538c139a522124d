"""A release is used when it is what was published, and never else."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from sandbox.processes import free_port
from sandbox.releases import ReleaseError, fetch, origin, reachable
from sandbox.toolchain import Checksums, Release
from tests.sandbox.release_server import serving
from tests.waiting import PATIENCE

PROGRAM = b"#!/bin/sh\necho tool v1.2.3\n"


@pytest.fixture(autouse=True)
def _on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def archive(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def plain_release(address: str) -> Release:
    url = f"{address}/{{slashed}}/tool"
    return Release(tools=("tool",), url=url, checksum_url=f"{url}.sha256", checksums=Checksums.DIGEST)


def archive_release(address: str) -> Release:
    return Release(
        tools=("tool",),
        url=f"{address}/tool-{{system}}.tar.gz",
        checksum_url=f"{address}/SHA256SUMS",
        checksums=Checksums.LISTING,
        members={"tool": "tool-{dotted}/bin/tool"},
    )


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def test_a_program_that_matches_its_checksum_becomes_executable(tmp_path: Path) -> None:
    files = {"/linux/amd64/tool": PROGRAM, "/linux/amd64/tool.sha256": digest(PROGRAM)}
    with serving(files) as address:
        found = fetch(plain_release(address), tmp_path)
    assert (found["tool"].read_bytes(), found["tool"].stat().st_mode & 0o111) == (PROGRAM, 0o111)


def test_a_program_is_taken_out_of_its_archive(tmp_path: Path) -> None:
    packed = archive("tool-linux.amd64/bin/tool", PROGRAM)
    listing = digest(b"other") + b"  tool-linux-arm64.tar.gz\n" + digest(packed) + b"  tool-linux-amd64.tar.gz\n"
    with serving({"/tool-linux-amd64.tar.gz": packed, "/SHA256SUMS": listing}) as address:
        found = fetch(archive_release(address), tmp_path)
    assert found["tool"].read_bytes() == PROGRAM


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"/linux/amd64/tool": PROGRAM, "/linux/amd64/tool.sha256": digest(b"else")}, "not used"),
        ({"/linux/amd64/tool": PROGRAM}, "404"),
        ({"/linux/amd64/tool": PROGRAM, "/linux/amd64/tool.sha256": b"gone"}, "0 checksums"),
        ({"/linux/amd64/tool.sha256": digest(PROGRAM)}, "404"),
    ],
    ids=["another checksum", "no checksum", "no digest in it", "no release"],
)
def test_what_cannot_be_verified_leaves_nothing(tmp_path: Path, files: dict[str, bytes], complaint: str) -> None:
    with serving(files) as address, pytest.raises(ReleaseError, match=complaint):
        fetch(plain_release(address), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_without_the_program_is_refused(tmp_path: Path) -> None:
    packed = archive("README", b"hello")
    listing = digest(packed) + b" *tool-linux-amd64.tar.gz\n"
    with (
        serving({"/tool-linux-amd64.tar.gz": packed, "/SHA256SUMS": listing}) as address,
        pytest.raises(ReleaseError, match="bin/tool"),
    ):
        fetch(archive_release(address), tmp_path)


def test_only_servers_that_answer_are_reachable() -> None:
    with serving({}) as address:
        silent = f"http://127.0.0.1:{free_port()}"
        assert reachable([plain_release(address), plain_release(silent)], PATIENCE) == {address}


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin("https://example.org:8443/a/b?c") == "https://example.org:8443"
