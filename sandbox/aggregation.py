"""How does the API server come to ask a program on this machine for external metrics? By what is registered with it."""

from __future__ import annotations

from typing import Any

GROUP = "external.metrics.k8s.io"
VERSION = "v1beta1"


def external_metrics(namespace: str, service: str, port: int) -> list[dict[str, Any]]:
    """A Service and an APIService that lead to a TLS server on this machine, whose certificate is not looked at."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": service, "namespace": namespace},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{VERSION}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "version": VERSION,
                "service": {"name": service, "namespace": namespace, "port": port},
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]
