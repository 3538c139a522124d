"""What does the API server hold now? To ask often: kubectl takes a fifth of a second, this a hundredth."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any

from controller.spec import GROUP, PLURAL, VERSION
from sandbox.cluster import Sandbox

ANSWER_SECONDS = 30.0
ROOTS = {
    "psc": (f"{GROUP}/{VERSION}", PLURAL),
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "hpa": ("autoscaling/v2", "horizontalpodautoscalers"),
    "Fleet": ("e2e.example/v1", "fleets"),
    "events": ("events.k8s.io/v1", "events"),
}


class Reader:
    """Reads as an administrator. What is asked for is written as for kubectl: "psc/web", or "events" for all."""

    def __init__(self, sandbox: Sandbox) -> None:
        pair = sandbox.authority.client("e2e-reader", "system:masters")
        self._url = sandbox.api_server_url
        self._trust = ssl.create_default_context(cafile=str(sandbox.authority.bundle))
        self._trust.load_cert_chain(pair.certificate, pair.key)

    def find(self, namespace: str, what: str) -> dict[str, Any] | None:
        """An object or a list; None when it does not exist."""
        kind, slash, name = what.partition("/")
        group, plural = ROOTS[kind]
        url = f"{self._url}/apis/{group}/namespaces/{namespace}/{plural}{slash}{name}"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS, context=self._trust) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != HTTPStatus.NOT_FOUND:
                    raise
            return None
        return found
