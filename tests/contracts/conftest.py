"""What several contracts are checked with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from manifests import install
from sandbox.binaries import Search


@pytest.fixture(scope="session")
def helm() -> Path:
    """Helm where it is on the machine already; the e2e tests always have it."""
    search = Search.from_environment(os.environ)
    places = [*search.places, search.cache / install.HELM.directory_name]
    found = next((place / "helm" for place in places if os.access(place / "helm", os.X_OK)), None)
    if found is None:
        pytest.skip("no helm here yet; `make toolchain` provides it")
    return found
