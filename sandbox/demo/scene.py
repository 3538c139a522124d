"""What is played? The numbers of the demo and the objects a user would apply.

A minute of the trace passes in a second, so every duration is a sixtieth of what it would be in production.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sandbox.replay import Replay
from sandbox.traffic import Trace

FACTOR = 60.0
HISTORY = timedelta(days=14)
STARTUP = timedelta(minutes=5)  # an image to pull, a JVM to warm
STEP = timedelta(minutes=5)
SEASON = timedelta(days=1)
HORIZON = timedelta(hours=6)
SCRAPE = timedelta(seconds=30)
PLAYED = timedelta(hours=4, minutes=15)

NAMESPACE = "shop"
NAME = "web"
MODEL = "demo"
QUERY = 'sum(rate(http_requests_total{app="web"}[5s]))'
LEAD = timedelta(seconds=6)  # wall time: the start-up, and a second in which the control plane makes the pods
INTERVAL = timedelta(seconds=1)
TARGET_PER_REPLICA = 4.0  # requests a second: 80 % of what one replica can serve, for both policies
SERVES = 5.0  # requests a second that one replica can serve; the load above it is unserved
QUANTILE = 0.9

_MORNING = {"nasa": "1995-08-30T05:25:00-04:00", "synthetic": "2026-01-28T05:25:00+00:00"}


def replay_of(trace: Trace, wall: datetime) -> Replay:
    """A Wednesday morning begins at `wall`, with two weeks before it."""
    moment = datetime.fromisoformat(_MORNING[trace.name])
    played = trace.between(moment - HISTORY, moment + PLAYED + timedelta(hours=1))
    return Replay(trace=played, moment=moment, wall=wall, factor=FACTOR)


def deployment(replicas: int) -> dict[str, Any]:
    """The workload."""
    labels = {"app": NAME}
    container = {"name": "web", "image": "registry.example/web:1"}  # never pulled: its node is simulated
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def scaler(prometheus: str) -> dict[str, Any]:
    """What the user asks for."""
    rate = {"type": "Percent", "value": 100, "periodSeconds": 1}
    return {
        "apiVersion": "predictivescaler.dev/v1alpha1",
        "kind": "PredictiveScaler",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": 2,
            "maxReplicas": 60,
            "metric": {
                "prometheus": {"address": prometheus, "query": QUERY},
                "targetPerReplica": f"{TARGET_PER_REPLICA:g}",
            },
            "forecast": {"model": MODEL, "quantile": QUANTILE, "leadTime": f"{LEAD.total_seconds():g}s"},
            "intervalSeconds": int(INTERVAL.total_seconds()),
            "behavior": {
                "scaleUp": {"policies": [rate, {"type": "Pods", "value": 4, "periodSeconds": 1}]},
                "scaleDown": {"stabilizationWindowSeconds": 5, "policies": [rate]},
            },
        },
    }
