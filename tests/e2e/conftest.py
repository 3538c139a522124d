"""One sandbox for all e2e tests of a run, and a namespace of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from sandbox import binaries
from sandbox.cluster import Sandbox

STARTUP_OF_PODS = timedelta(seconds=1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test, because no test's time limit allows for it."""
    is_wanted = any(item.get_closest_marker("e2e") for item in session.items)
    if is_wanted and not session.config.option.collectonly:
        binaries.find_all()


@pytest.fixture(scope="session")
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(startup=STARTUP_OF_PODS) as cluster:
        yield cluster
        cluster.keep_logs = request.session.testsfailed > 0
        if cluster.keep_logs:
            binaries.say(f"the logs of the sandbox stay in {cluster.logs}")


@pytest.fixture
def namespace(sandbox: Sandbox) -> Iterator[str]:
    name = f"e2e-{uuid4().hex[:10]}"
    sandbox.kubectl("create", "namespace", name)
    sandbox.await_namespace(name)
    yield name
    sandbox.kubectl("delete", "namespace", name, "--wait=false")
