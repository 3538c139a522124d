"""What does a HorizontalPodAutoscaler of the sandbox see? One external metric for each namespace, set by a test.

The API server sends its own controllers here, as it sends them to a metrics adapter in a cluster.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from sandbox.aggregation import GROUP, VERSION, external_metrics
from sandbox.certificates import Authority
from sandbox.cluster import Sandbox
from sandbox.serving import Answer, Request, Serving

METRIC = "requests"
_ROOT = f"/apis/{GROUP}/{VERSION}"
_NAMESPACE = "kube-system"
_SERVICE = "e2e-metrics"
_NOTHING = {"kind": "Status", "status": "Failure", "code": 404}


class MetricsApi:
    """`values`: by namespace; one that is not there is an error, as of an adapter that lost its source."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def answer(self, request: Request) -> Answer:
        """As an API server does: a Status where nothing is told."""
        found = self._told(request.path.partition("?")[0])
        if found is None:
            return Answer(body=json.dumps(_NOTHING).encode(), status=HTTPStatus.NOT_FOUND)
        return Answer(body=json.dumps(found).encode())

    def _told(self, path: str) -> dict[str, Any] | None:
        if path == _ROOT:
            resource = {"name": METRIC, "namespaced": True, "kind": "ExternalMetricValueList", "verbs": ["get"]}
            return {"kind": "APIResourceList", "groupVersion": f"{GROUP}/{VERSION}", "resources": [resource]}
        namespace, _, metric = path.removeprefix(f"{_ROOT}/namespaces/").partition("/")
        if metric != METRIC or namespace not in self.values:
            return None
        item = {
            "metricName": METRIC,
            "metricLabels": {},
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "value": f"{self.values[namespace]:g}",
        }
        return {"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": [item]}


@contextmanager
def serving(sandbox: Sandbox, directory: Path) -> Iterator[MetricsApi]:
    """Serve, registered with the API server until the end."""
    pair = Authority.create(directory, datetime.now(UTC)).server("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    api = MetricsApi()
    with Serving(api.answer, tls=context) as server:
        registration = external_metrics(_NAMESPACE, _SERVICE, server.port)
        try:
            sandbox.apply(*registration)
            yield api
        finally:
            for one in registration:
                place = ("-n", _NAMESPACE) if one["kind"] == "Service" else ()
                sandbox.kubectl("delete", one["kind"], one["metadata"]["name"], "--ignore-not-found", *place)
