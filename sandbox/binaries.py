"""Where are the sandbox's programs on this machine? Found, cached, downloaded or built, in that order.

Nothing is installed into the system: what is not there already goes into the user's cache, in a directory named
after the version. Must not run a tool for anything but its version.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sandbox import gobuild, releases
from sandbox.toolchain import BUNDLES, Bundle, Release, Tool

Report = Callable[[str], None]
VERSION = re.compile(r"\bv?(\d+)\.(\d+)\.\d+")
VERSION_SECONDS = 10.0


class BinaryError(Exception):
    """A program can be had in none of the ways. The message says which were tried and what to install."""


def say(line: str) -> None:
    """Report on stderr, so that stdout stays free for what a command is asked for."""
    print(f"sandbox: {line}", file=sys.stderr, flush=True)


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Where downloaded and built tools are kept: PREDICTIVE_SCALER_CACHE, or below the user's cache directory."""
    if chosen := environment.get("PREDICTIVE_SCALER_CACHE"):
        return Path(chosen) / "toolchain"
    users = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".cache"
    return Path(users) / "predictive-scaler" / "toolchain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One look for the tools of `bundles`. `places`: directories of programs that are on the machine already."""

    cache: Path
    places: Sequence[Path]
    bundles: Sequence[Bundle] = BUNDLES
    report: Report = say
    answering: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], report: Report = say) -> Self:
        """KUBEBUILDER_ASSETS, then PATH, then the cache."""
        named = [environment.get("KUBEBUILDER_ASSETS", ""), *environment.get("PATH", "").split(os.pathsep)]
        places = [Path(place) for place in named if place]
        return cls(cache=cache_directory(environment), places=places, report=report)

    def all(self) -> dict[str, Path]:
        """Every tool by name. Downloads or builds what is neither installed nor cached. Raises BinaryError."""
        found: dict[str, Path] = {}
        for bundle in self.bundles:
            found |= self.bundle(bundle)
        return found

    def bundle(self, bundle: Bundle) -> dict[str, Path]:
        """The tools of one bundle. Raises BinaryError."""
        ready = {tool.name: path for tool in bundle.tools if (path := self._ready(bundle, tool))}
        if len(ready) == len(bundle.tools):
            return ready
        with self._lock(bundle):
            return {tool.name: path for tool, path in self._provide(bundle)}

    def _ready(self, bundle: Bundle, tool: Tool) -> Path | None:
        for place in self.places:
            if serves(tool, place / tool.name):
                return place / tool.name
        cached = self.cache / bundle.directory_name / tool.name
        return cached if os.access(cached, os.X_OK) else None

    def _provide(self, bundle: Bundle) -> Iterator[tuple[Tool, Path]]:
        directory = self.cache / bundle.directory_name
        self._download(bundle, directory)
        if missing := self._missing(bundle):
            try:
                gobuild.build(bundle, missing, directory, self.report)
            except gobuild.BuildError as error:
                names = ", ".join(tool.name for tool in missing)
                raise BinaryError(f"{names}: not in KUBEBUILDER_ASSETS, PATH or {directory}; {error}") from error
        for tool in bundle.tools:
            yield tool, self._ready(bundle, tool) or directory / tool.name

    def _download(self, bundle: Bundle, directory: Path) -> None:
        wanted = {tool.name for tool in self._missing(bundle)}
        for release in bundle.releases:
            if wanted & set(release.tools) and releases.origin(release.url) in self._answering():
                self._download_one(release, directory)

    def _download_one(self, release: Release, directory: Path) -> None:
        names = ", ".join(release.tools)
        self.report(f"downloading {names} from {releases.origin(release.url)}")
        try:
            releases.fetch(release, directory)
        except releases.ReleaseError as error:
            self.report(f"no release of {names}: {error}")

    def _answering(self) -> set[str]:
        """The release servers within reach; asked once a search."""
        if "origins" not in self.answering:
            published = [release for bundle in self.bundles for release in bundle.releases]
            self.answering["origins"] = releases.reachable(published)
            silent = {releases.origin(release.url) for release in published} - self.answering["origins"]
            if silent:
                self.report(f"no answer from {', '.join(sorted(silent))}: what they publish is built from source")
        return self.answering["origins"]

    def _missing(self, bundle: Bundle) -> list[Tool]:
        return [tool for tool in bundle.tools if self._ready(bundle, tool) is None]

    @contextmanager
    def _lock(self, bundle: Bundle) -> Iterator[None]:
        """Two processes never build the same; the second finds what the first has made."""
        (self.cache / bundle.directory_name).mkdir(parents=True, exist_ok=True)
        with (self.cache / f"{bundle.directory_name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.report(f"waiting for another process that is providing {bundle.name} {bundle.version}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in (self.cache / bundle.directory_name).glob(".*-*"):  # of a process that was killed
                shutil.rmtree(leftover, ignore_errors=True)
            yield


def find_all(report: Report = say) -> dict[str, Path]:
    """Every tool of the sandbox by name. Raises BinaryError."""
    return Search.from_environment(os.environ, report).all()


def serves(tool: Tool, path: Path) -> bool:
    """Whether `path` is that tool in a version that the sandbox can use."""
    version = version_of(tool, path)
    return version is not None and tool.oldest <= version < tool.too_new


def version_of(tool: Tool, path: Path) -> tuple[int, int] | None:
    """(major, minor) that the program at `path` says it is; None when there is none, or it does not say."""
    if not os.access(path, os.X_OK) or path.is_dir():
        return None
    try:
        said = subprocess.run(
            [path, *tool.version_arguments], capture_output=True, text=True, check=False, timeout=VERSION_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = VERSION.search(said.stdout + said.stderr)
    return (int(match[1]), int(match[2])) if match else None
