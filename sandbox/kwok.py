"""How do nodes and pods behave where no machine runs them? Stages for kwok, and the nodes themselves.

Text and objects only. A pod runs as soon as it is scheduled and is Ready after its start-up time; a deleted pod is
gone at once. Must not start or talk to anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import yaml

STARTUP_ANNOTATION = "sandbox.predictivescaler.dev/startup"  # on a pod: a Go duration such as "750ms"

CAPACITY = {"cpu": "10k", "memory": "100Ti", "ephemeral-storage": "100Ti", "pods": "100k"}

# kwok plays pods only on nodes for which it has a stage.
_NODE_READY = """\
{{ $now := Now }}
conditions:
- type: Ready
  status: "True"
  reason: Simulated
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
"""

_RUNNING = """\
{{ $now := Now }}
phase: Running
startTime: {{ $now | Quote }}
podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
conditions:
- {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "False", reason: StartingUp, lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "False", reason: StartingUp, lastTransitionTime: {{ $now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  restartCount: 0
  started: true
  ready: false
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
"""

_READY = """\
{{ $now := Now }}
conditions:
- {type: ContainersReady, status: "True", reason: "", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "True", reason: "", lastTransitionTime: {{ $now | Quote }}}
containerStatuses:
{{ range .status.containerStatuses }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  restartCount: 0
  started: true
  ready: true
  state: {running: {startedAt: {{ .state.running.startedAt | Quote }}}}
{{ end }}
"""

_ALIVE = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
_READY_CONDITION = '.status.conditions.[] | select( .type == "Ready" ) | .status'


def stages(startup: timedelta) -> str:
    """Configuration for kwok: pods become Ready `startup` after they are scheduled, unless they say otherwise."""
    delay = {
        "durationMilliseconds": round(startup / timedelta(milliseconds=1)),
        "durationFrom": {"expressionFrom": f'.metadata.annotations["{STARTUP_ANNOTATION}"]'},
    }
    running = {"key": ".status.phase", "operator": "In", "values": ["Running"]}
    unready = {"key": _READY_CONDITION, "operator": "NotIn", "values": ["True"]}
    pending = {"key": ".status.phase", "operator": "In", "values": ["Pending"]}
    return yaml.safe_dump_all(
        [
            _stage("node-ready", [unready], {"statusTemplate": _NODE_READY}, kind="Node"),
            _stage("pod-run", [_ALIVE, pending], {"statusTemplate": _RUNNING}),
            _stage("pod-ready", [_ALIVE, running, unready], {"statusTemplate": _READY}, delay=delay),
            _stage(
                "pod-delete",
                [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}],
                {"delete": True},
            ),
        ]
    )


def node(name: str) -> dict[str, Any]:
    """A node that holds any workload that a test may ask for."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "status": {"capacity": CAPACITY, "allocatable": CAPACITY},
    }


def _stage(
    name: str,
    selector: list[dict[str, Any]],
    following: Mapping[str, Any],
    *,
    delay: Mapping[str, Any] | None = None,
    kind: str = "Pod",
) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": selector},
            **({"delay": delay} if delay else {}),
            "next": following,
        },
    }
