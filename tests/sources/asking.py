"""How do the tests ask? One question with defaults, one moment, and Secrets in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from controller.core.series import Observation
from controller.ports import MetricError, MetricRequest, SecretError
from controller.sources.prometheus import PrometheusSource
from controller.spec import PrometheusMetric

NOW = datetime(2026, 3, 2, 9, 0, 7, tzinfo=UTC)
STEP = timedelta(minutes=1)
CLOSED = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
METRIC = PrometheusMetric(query="load()")
REQUEST = MetricRequest(namespace="web", metric=METRIC, step=STEP, context=5, max_age=timedelta(seconds=90))


def request(query: str = "load()", **changes: object) -> MetricRequest[PrometheusMetric]:
    metric_fields = {"address", "bearer", "basic", "tls"}
    metric = {key: value for key, value in changes.items() if key in metric_fields}
    rest = {key: value for key, value in changes.items() if key not in metric_fields}
    return replace(REQUEST, metric=replace(METRIC, query=query, **metric), **rest)  # type: ignore[arg-type]


async def observed(
    source: PrometheusSource, asked: MetricRequest[PrometheusMetric] = REQUEST, now: datetime = NOW
) -> Observation:
    (answer,) = await source.observe([asked], now)
    assert isinstance(answer, Observation), answer
    return answer


async def refused(
    source: PrometheusSource, asked: MetricRequest[PrometheusMetric] = REQUEST, now: datetime = NOW
) -> MetricError:
    (answer,) = await source.observe([asked], now)
    assert isinstance(answer, MetricError), answer
    return answer


@dataclass(slots=True)
class FakeSecrets:
    """`data`: by (namespace, name). `error` is raised instead."""

    data: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    error: SecretError | None = None
    reads: list[tuple[str, str]] = field(default_factory=list)

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        self.reads.append((namespace, name))
        if self.error:
            raise self.error
        if (namespace, name) not in self.data:
            raise SecretError(f"Secret {namespace}/{name} does not exist")
        return self.data[namespace, name]
