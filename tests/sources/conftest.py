"""A Prometheus on loopback and a source that asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.sources.prometheus import PrometheusSource, SourceLimits
from controller.sources.prometheus_api import Limits
from tests.servers.loopback import serve
from tests.servers.prometheus import FakePrometheus
from tests.sources.asking import FakeSecrets
from tests.waiting import PATIENCE

LIMITS = SourceLimits(query=Limits(query_seconds=PATIENCE, max_bytes=100_000), tick_seconds=PATIENCE, page_points=100)


@pytest.fixture
def prometheus() -> FakePrometheus:
    return FakePrometheus()


@pytest.fixture
async def address(prometheus: FakePrometheus) -> AsyncIterator[str]:
    async with serve(prometheus.handle) as address:
        yield address


@pytest.fixture
def secrets() -> FakeSecrets:
    return FakeSecrets()


@pytest.fixture
async def source(address: str, secrets: FakeSecrets) -> AsyncIterator[PrometheusSource]:
    source = PrometheusSource(address=address, secrets=secrets, limits=LIMITS)
    yield source
    await source.close()
