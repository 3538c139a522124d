"""Can the official release of a tool be had from here, and is it what was published?

The checksum comes from the file published beside the release: that guards against a damaged or swapped download, not
against a publisher's server that lies about both. Nothing is kept that does not match. Gives up within seconds where
there is no network. Must not decide whether a download is wanted.
"""

from __future__ import annotations

import hashlib
import http.client
import platform
import re
import shutil
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.toolchain import Checksums, Release

PROBE_SECONDS = 3.0
STALL_SECONDS = 15.0
CHUNK_BYTES = 1 << 20
SHA256 = re.compile(r"\b[0-9a-f]{64}\b")
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class ReleaseError(Exception):
    """A release cannot be used: not reachable, not published for this machine, or not what its checksum says."""


def reachable(releases: Iterable[Release], patience: float = PROBE_SECONDS) -> set[str]:
    """Which of the releases' hosts answer at all within `patience` seconds, name look-up included."""
    origins = {origin(release.url) for release in releases}
    answered: set[str] = set()
    # Threads, because a name look-up without a network knows no timeout; daemons, because nobody waits for the late.
    probes = [threading.Thread(target=_probe, args=(each, answered, patience), daemon=True) for each in origins]
    for probe in probes:
        probe.start()
    deadline = time.monotonic() + patience
    for probe in probes:
        probe.join(max(0.0, deadline - time.monotonic()))
    return set(answered)


def origin(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def fetch(release: Release, directory: Path) -> dict[str, Path]:
    """Download, verify and unpack `release` into `directory`; where each of its tools lies. Raises ReleaseError."""
    url, checksum_url = _for_this_machine(release.url), _for_this_machine(release.checksum_url)
    try:
        expected = _published_digest(checksum_url, url.rsplit("/", 1)[-1], release.checksums)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".download-") as work:
            archive = Path(work) / "file"
            actual = _download(url, archive)
            if actual != expected:
                raise ReleaseError(f"{url} has sha256 {actual}, but {checksum_url} says {expected}: not used")
            return {tool: _install(release, tool, archive, directory) for tool in release.tools}
    except (OSError, http.client.HTTPException, tarfile.TarError, KeyError) as error:
        raise ReleaseError(f"{url}: {error}") from error


def _probe(address: str, answered: set[str], patience: float) -> None:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=patience):  # noqa: S310 - from toolchain.py
            answered.add(address)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        answered.add(address)
    except (OSError, http.client.HTTPException):
        return


def _for_this_machine(template: str) -> str:
    machine = MACHINES.get(platform.machine())
    if platform.system() != "Linux" or machine is None:
        raise ReleaseError(f"no release is known for {platform.system()} on {platform.machine()}")
    parts = ("linux", machine)
    return template.format(system="-".join(parts), dotted=".".join(parts), slashed="/".join(parts))


def _published_digest(url: str, file_name: str, checksums: Checksums) -> str:
    with urllib.request.urlopen(url, timeout=STALL_SECONDS) as answer:  # noqa: S310 - from toolchain.py
        lines = answer.read(CHUNK_BYTES).decode("utf-8", errors="replace").splitlines()
    if checksums is Checksums.LISTING:
        lines = [line for line in lines if line.split()[1:] in ([file_name], [f"*{file_name}"])]
    digests = [match.group() for line in lines if (match := SHA256.search(line))]
    if len(digests) != 1:
        raise ReleaseError(f"{url} has {len(digests)} checksums for {file_name}, not one")
    return digests[0]


def _download(url: str, target: Path) -> str:
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=STALL_SECONDS) as answer, target.open("wb") as file:  # noqa: S310 - from toolchain.py
        while chunk := answer.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _install(release: Release, tool: str, archive: Path, directory: Path) -> Path:
    unpacked = archive.with_name(f"unpacked-{tool}")
    if release.members:
        with tarfile.open(archive) as tar, unpacked.open("wb") as file:
            member = tar.extractfile(_for_this_machine(release.members[tool]))
            if member is None:
                raise ReleaseError(f"{release.url}: {release.members[tool]} is not a file")
            shutil.copyfileobj(member, file)
    else:
        archive.rename(unpacked)
    unpacked.chmod(0o755)
    return unpacked.replace(directory / tool)
