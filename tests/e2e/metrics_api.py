"""What does a HorizontalPodAutoscaler of the sandbox see? One external metric for each namespace, set by a test.

The API server sends its own controllers here, as it sends them to a metrics adapter in a cluster.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sandbox.aggregation import GROUP, VERSION, external_metrics
from sandbox.certificates import Authority
from sandbox.cluster import Sandbox

METRIC = "requests"
_ROOT = f"/apis/{GROUP}/{VERSION}"
_NAMESPACE = "kube-system"
_SERVICE = "e2e-metrics"


class MetricsApi:
    """`values`: by namespace; one that is not there is an error, as of an adapter that lost its source."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def answer(self, path: str) -> dict[str, Any] | None:
        """What is told at a path; None where nothing is."""
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
    api = MetricsApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = api.answer(self.path.partition("?")[0])
            content = json.dumps(found or {"kind": "Status", "status": "Failure", "code": 404}).encode()
            self.send_response(HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the base class
            """Not into the tests' output."""

    pair = Authority.create(directory, datetime.now(UTC)).server("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    registration = external_metrics(_NAMESPACE, _SERVICE, server.server_port)
    try:
        sandbox.apply(*registration)
        yield api
    finally:
        for one in registration:
            place = ("-n", _NAMESPACE) if one["kind"] == "Service" else ()
            sandbox.kubectl("delete", one["kind"], one["metadata"]["name"], "--ignore-not-found", *place)
        server.shutdown()
        server.server_close()
