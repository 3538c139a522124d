"""Which fixtures may every test ask for? The API server on loopback."""

from __future__ import annotations

from tests.servers.fixtures import api, kubeconfig, server

__all__ = ["api", "kubeconfig", "server"]
