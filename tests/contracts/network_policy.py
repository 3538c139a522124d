"""May X reach port P of Y? By what networking.k8s.io/v1 says of NetworkPolicies, without a network.

A pod that no policy selects for a direction is open in it; else what the rules of any of these allow passes, and
nothing more. A connection passes if both its ends let it. Of answers nothing is said: they always pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that every namespace has."""

Object = Mapping[str, Any]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """`ports`: (protocol, number) by the name of the container's port; `address`: as an ipBlock sees it."""

    namespace: str
    labels: Labels = field(default_factory=dict)
    ports: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    address: str = "10.244.0.9"

    @property
    def namespace_labels(self) -> Labels:
        """Those of its namespace."""
        return {NAMESPACE_NAME: self.namespace}


@dataclass(frozen=True, slots=True)
class Host:
    """What is no pod: a node, the API server, something outside the cluster."""

    address: str


End = Pod | Host


def may(policies: Sequence[Object], source: End, destination: End, port: int, protocol: str = "TCP") -> bool:
    """Whether `source` reaches that port of `destination`. Raises ValueError for what a policy must not say."""

    def at(rule: Object) -> bool:
        return _at(rule, destination, port, protocol)

    out = _lets(policies, source, "Egress", lambda rule, home: at(rule) and _among(rule.get("to"), destination, home))
    return out and _lets(
        policies, destination, "Ingress", lambda rule, home: at(rule) and _among(rule.get("from"), source, home)
    )


def _lets(policies: Sequence[Object], own: End, direction: str, passes: Callable[[Object, str], bool]) -> bool:
    """Whether the policies of one end let it through. `passes`: of a rule and its policy's namespace."""
    if isinstance(own, Host):
        return True
    isolating = [one for one in policies if _isolates(one, own, direction)]
    rules = [(rule, _home(one)) for one in isolating for rule in one["spec"].get(direction.lower()) or []]
    return not isolating or any(passes(*rule) for rule in rules)


def _isolates(policy: Object, pod: Pod, direction: str) -> bool:
    spec = policy["spec"]
    implied = ["Ingress", "Egress"] if "egress" in spec else ["Ingress"]
    of_it = pod.namespace == _home(policy) and selects(spec["podSelector"], pod.labels)
    return of_it and direction in spec.get("policyTypes", implied)


def _home(policy: Object) -> str:
    return str(policy["metadata"]["namespace"])


def _at(rule: Object, destination: End, port: int, protocol: str) -> bool:
    """Without ports a rule is about all of them."""
    _known(rule, {"ports", "from", "to"})
    ports = rule.get("ports")
    return not ports or any(_is(one, destination, port, protocol) for one in ports)


def _is(one: Object, destination: End, port: int, protocol: str) -> bool:
    _known(one, {"port", "endPort", "protocol"})
    asked = one.get("port")
    if one.get("protocol", "TCP") != protocol:
        return False
    if isinstance(asked, str):
        return isinstance(destination, Pod) and destination.ports.get(asked) == (protocol, port)
    return asked is None or asked <= port <= one.get("endPort", asked)


def _among(peers: Sequence[Object] | None, end: End, home: str) -> bool:
    """Without peers a rule is about everybody."""
    return not peers or any(_matches(peer, end, home) for peer in peers)


def _matches(peer: Object, end: End, home: str) -> bool:
    _known(peer, {"podSelector", "namespaceSelector", "ipBlock"})
    if "ipBlock" in peer:
        if len(peer) > 1:
            raise ValueError("ipBlock stands alone")
        return _inside(peer["ipBlock"], end.address)
    if not peer:
        raise ValueError("a peer says who it is")
    if isinstance(end, Host):
        return False
    spaces = peer.get("namespaceSelector")
    there = end.namespace == home if spaces is None else selects(spaces, end.namespace_labels)
    return there and selects(peer.get("podSelector", {}), end.labels)


def _inside(block: Object, address: str) -> bool:
    _known(block, {"cidr", "except"})
    here = ip_address(address)
    return here in ip_network(block["cidr"]) and not any(here in ip_network(one) for one in block.get("except", []))


def selects(selector: Object, labels: Labels) -> bool:
    """An empty selector selects everything."""
    _known(selector, {"matchLabels", "matchExpressions"})
    alike = all(labels.get(name) == value for name, value in (selector.get("matchLabels") or {}).items())
    return alike and all(_holds(one, labels) for one in selector.get("matchExpressions") or [])


def _holds(expression: Object, labels: Labels) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"no operator {expression['operator']}")


def _known(given: Object, fields: set[str]) -> None:
    if unknown := set(given) - fields:
        raise ValueError(f"no such field here: {', '.join(sorted(unknown))}")
