"""What several contracts are checked with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.binaries import Search
from sandbox.toolchain import BUNDLES


@pytest.fixture(scope="session")
def helm() -> Path:
    """Helm where it is on the machine already; the e2e tests always have it."""
    return _tool("helm")


@pytest.fixture(scope="session")
def promtool() -> Path:
    """As helm."""
    return _tool("promtool")


def _tool(name: str) -> Path:
    search = Search.from_environment(os.environ)
    bundle = next(bundle for bundle in BUNDLES if name in {tool.name for tool in bundle.tools})
    places = [*search.places, search.cache / bundle.directory_name]
    found = next((place / name for place in places if os.access(place / name, os.X_OK)), None)
    if found is None:
        pytest.skip(f"no {name} here yet; `make toolchain` provides it")
    return found
