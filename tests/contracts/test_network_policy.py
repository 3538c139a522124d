"""The chart's NetworkPolicy lets in and out whom the values and the guide name, and nobody else."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from manifests import install
from tests.contracts.network_policy import Host, Object, Pod, may, selects
from tests.contracts.specs import documents

pytestmark = pytest.mark.slow

HOME = install.NAME
TEMPLATE = Path("templates/networkpolicy.yaml")
PARTS = (str(TEMPLATE), "templates/deployment.yaml", "templates/tests/probe.yaml")
CLOSED = ("networkPolicy.enabled=true", "networkPolicy.egress.enabled=true", "keda.enabled=true")
FROM_MONITORING = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
TO_PROMETHEUS = [
    {
        "to": [{**FROM_MONITORING[0], "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}],
        "ports": [{"port": 9090, "protocol": "TCP"}],
    },
]
TO_AWS = [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}], "ports": [{"port": 443}]}]
NARROW = (
    *CLOSED,
    f"networkPolicy.http.from={json.dumps(FROM_MONITORING)}",
    f"networkPolicy.egress.rules={json.dumps(TO_PROMETHEUS)}",
)
ONE_PORT = (*NARROW, "networkPolicy.egress.apiServerPorts=[6443]")
AWS_TOO = (
    *ONE_PORT[:3],
    "networkPolicy.egress.apiServerPorts=[6443]",
    f"networkPolicy.egress.rules={json.dumps(TO_AWS)}",
)

HTTP, KEDA = 8080, 9091
CONTROLLER, PEER, HELM_TEST, OTHER_RELEASE = "controller", "peer", "helm test", "another release's controller"
PODS = {
    "Prometheus": Pod(
        namespace="monitoring", labels={"app.kubernetes.io/name": "prometheus"}, ports={"web": ("TCP", 9090)}
    ),
    "Grafana": Pod(namespace="monitoring", labels={"app.kubernetes.io/name": "grafana"}),
    "KEDA": Pod(namespace="keda", labels={"app": "keda-operator"}),
    "a pod of its namespace": Pod(namespace=HOME, labels={"app": "web"}),
    "a pod elsewhere": Pod(namespace="shop", labels={"app": "web"}),
    "DNS": Pod(namespace="kube-system", labels={"k8s-app": "kube-dns"}, ports={"dns": ("UDP", 53)}),
    OTHER_RELEASE: Pod(
        namespace=HOME,
        labels={"app.kubernetes.io/name": "predictive-scaler", "app.kubernetes.io/instance": "other"},
        ports={"http": ("TCP", HTTP)},
    ),
}
HOSTS = {
    "API server": Host("10.0.0.5"),
    "AWS": Host("52.95.110.1"),
    "cloud metadata": Host("169.254.169.254"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Whether `source` may reach that port of `destination` with these values."""

    values: tuple[str, ...]
    source: str
    destination: str
    port: int
    may: bool
    protocol: str = "TCP"

    def __str__(self) -> str:
        """As a test's name."""
        name = {CLOSED: "closed", NARROW: "narrow", ONE_PORT: "one port", AWS_TOO: "aws"}[self.values]
        return f"{name}: {self.source} > {self.destination} {self.protocol}/{self.port}"


def rows(
    values: tuple[str, ...], source: str, destination: str, yes: tuple[int, ...], no: tuple[int, ...] = ()
) -> list[Row]:
    """Of TCP."""
    return [
        Row(values=values, source=source, destination=destination, port=port, may=port in yes) for port in (*yes, *no)
    ]


TABLE = [
    # Who gets in by default: everybody to the HTTP port, KEDA alone to its own.
    *rows(CLOSED, "Prometheus", CONTROLLER, (HTTP,), (KEDA, 22)),
    *rows(CLOSED, "a pod elsewhere", CONTROLLER, (HTTP,), (KEDA, 22)),
    *rows(CLOSED, HELM_TEST, CONTROLLER, (HTTP,), (KEDA, 22)),
    *rows(CLOSED, "KEDA", CONTROLLER, (HTTP, KEDA), (22,)),
    *rows(CLOSED, PEER, CONTROLLER, (HTTP,), (KEDA, 22)),
    # The API server's proxy is no pod.
    *rows(CLOSED, "API server", CONTROLLER, (), (HTTP, KEDA)),
    *rows(CLOSED, "AWS", CONTROLLER, (), (HTTP, KEDA)),
    # Who gets in where `networkPolicy.http.from` names one: that one, the release's own, and no other.
    *rows(NARROW, "Prometheus", CONTROLLER, (HTTP,), (KEDA, 22)),
    *rows(NARROW, HELM_TEST, CONTROLLER, (HTTP,), (KEDA, 22)),
    *rows(NARROW, PEER, CONTROLLER, (HTTP,), (KEDA, 22)),
    *rows(NARROW, "KEDA", CONTROLLER, (KEDA,), (HTTP, 22)),
    *rows(NARROW, "a pod elsewhere", CONTROLLER, (), (HTTP, KEDA)),
    *rows(NARROW, "a pod of its namespace", CONTROLLER, (), (HTTP, KEDA)),
    *rows(NARROW, OTHER_RELEASE, CONTROLLER, (), (HTTP, KEDA)),
    # Whom it reaches by default: names, the API server's ports wherever they are, and the other replicas.
    *rows(CLOSED, CONTROLLER, "DNS", (53,), (54, 9153)),
    Row(values=CLOSED, source=CONTROLLER, destination="DNS", port=53, protocol="UDP", may=True),
    Row(values=CLOSED, source=CONTROLLER, destination="DNS", port=54, protocol="UDP", may=False),
    Row(values=CLOSED, source=CONTROLLER, destination="API server", port=6443, protocol="UDP", may=False),
    *rows(CLOSED, CONTROLLER, "API server", (443, 6443), (22, 80)),
    *rows(CLOSED, CONTROLLER, PEER, (HTTP,), (KEDA, 22)),
    *rows(CLOSED, CONTROLLER, OTHER_RELEASE, (), (HTTP, KEDA)),
    *rows(CLOSED, CONTROLLER, "Prometheus", (), (9090,)),
    *rows(CLOSED, CONTROLLER, "a pod elsewhere", (), (80, HTTP)),
    # 443 is one of the API server's ports by default, so that AWS can be reached without a rule.
    *rows(CLOSED, CONTROLLER, "AWS", (443,), (80,)),
    *rows(ONE_PORT, CONTROLLER, "AWS", (), (443,)),
    *rows(ONE_PORT, CONTROLLER, "API server", (6443,), (443,)),
    *rows(AWS_TOO, CONTROLLER, "AWS", (443,), (80,)),
    *rows(AWS_TOO, CONTROLLER, "cloud metadata", (), (80, 443)),
    # A rule for Prometheus is one for its port, and for no neighbour's.
    *rows(NARROW, CONTROLLER, "Prometheus", (9090,), (80,)),
    *rows(NARROW, CONTROLLER, "Grafana", (), (9090,)),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What helm makes of a chart."""

    policies: list[Object]
    ends: dict[str, Pod | Host]

    def agrees(self, row: Row) -> bool:
        """Whether the policy means what the row says."""
        source, destination = self.ends[row.source], self.ends[row.destination]
        return may(self.policies, source, destination, row.port, row.protocol) == row.may


def release(helm: Path, chart: Path, values: tuple[str, ...]) -> Release:
    """With the ports and labels that its own pods have."""
    shown = [f"--show-only={part}" for part in PARTS]
    settings = [f"--set-json={value}" for value in values]
    command = [str(helm), "template", install.NAME, str(chart), f"--namespace={HOME}", *shown, *settings]
    made = {
        one["kind"]: one
        for one in documents(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    }
    own = pod(made["Deployment"]["spec"]["template"])
    ends: dict[str, Pod | Host] = {CONTROLLER: own, PEER: own, HELM_TEST: pod(made["Pod"]), **PODS, **HOSTS}
    return Release(policies=[made["NetworkPolicy"]], ends=ends)


def pod(template: Any) -> Pod:
    ports = [port for one in template["spec"]["containers"] for port in one.get("ports", [])]
    by_name = {port["name"]: (port.get("protocol", "TCP"), port["containerPort"]) for port in ports}
    return Pod(namespace=HOME, labels=template["metadata"]["labels"], ports=by_name)


@pytest.fixture(scope="module")
def releases(helm: Path) -> dict[tuple[str, ...], Release]:
    return {values: release(helm, install.CHART, values) for values in {row.values for row in TABLE}}


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_the_policy_means_what_the_guide_says(releases: dict[tuple[str, ...], Release], row: Row) -> None:
    assert releases[row.values].agrees(row)


WRONG = {
    "keda-renamed": ("kubernetes.io/metadata.name: keda", "kubernetes.io/metadata.name: keda-system"),
    "keda-for-all": ("- ports: [{port: keda}]", "- ports: [{port: keda}]\n    - ports: [{port: keda}]"),
    "a-port-of-no-name": ("- ports: [{port: http}]\n      from", "- ports: [{port: nothing}]\n      from"),
    "every-port-in": ("- ports: [{port: http}]\n      from", "- from"),
    "peers-at-53": ("ports: [{port: http}]\n    {{- with", "ports: [{port: 53}]\n    {{- with"),
    "no-peers-in": ("app.kubernetes.io/instance: {{ $.Release.Name }}", "app.kubernetes.io/instance: other"),
    "dns-at-54": ("{port: 53, protocol: UDP}", "{port: 54, protocol: UDP}"),
    "dns-without-tcp": ("        - {port: 53, protocol: TCP}\n", ""),
    "no-egress": (", Egress{{ end }}", "{{ end }}"),
    "no-pods": ("matchLabels:\n      {{- $own | nindent 6 }}", "matchLabels: {app: other}"),
}
"""A line of the template, and one that would mean something else."""


@pytest.mark.parametrize("name", WRONG)
def test_a_policy_that_is_wrong_is_found(helm: Path, tmp_path: Path, name: str) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(install.CHART, chart)
    right, wrong = WRONG[name]
    text = (chart / TEMPLATE).read_text()
    assert text.count(right) == 1, "no such line any more"
    (chart / TEMPLATE).write_text(text.replace(right, wrong))
    changed = {values: release(helm, chart, values) for values in (CLOSED, NARROW)}
    assert not all(changed[row.values].agrees(row) for row in TABLE if row.values in changed)


A, B = Pod(namespace="a", labels={"app": "x"}, ports={"http": ("TCP", 80)}), Pod(namespace="b", address="10.9.0.1")
OUTSIDE = Host("203.0.113.7")


def policy(**spec: Any) -> Object:
    """Of the pods of namespace a."""
    return {"metadata": {"namespace": "a"}, "spec": {"podSelector": {}, **spec}}


class TestTheEvaluator:
    """What the API's reference says, one case each."""

    def test_without_a_policy_everything_passes(self) -> None:
        assert may([], B, A, 80)

    def test_a_policy_without_rules_lets_nothing_in_and_all_out(self) -> None:
        assert not may([policy()], B, A, 80)
        assert may([policy()], A, B, 80)

    def test_egress_is_isolated_where_the_policy_has_rules_of_it_or_says_so(self) -> None:
        assert not may([policy(egress=[])], A, B, 80)
        assert not may([policy(policyTypes=["Egress"])], A, B, 80)
        assert may([policy(policyTypes=["Egress"])], B, A, 80)

    def test_a_policy_is_of_its_own_namespace_and_the_pods_it_selects(self) -> None:
        assert may([policy()], A, B, 80)
        assert may([policy(podSelector={"matchLabels": {"app": "y"}})], B, A, 80)

    def test_policies_add_up(self) -> None:
        assert may([policy(), policy(ingress=[{}])], B, A, 80)

    def test_both_ends_must_let_it_pass(self) -> None:
        closed = {"metadata": {"namespace": "b"}, "spec": {"podSelector": {}, "egress": []}}
        assert not may([policy(ingress=[{}]), closed], B, A, 80)

    @pytest.mark.parametrize(
        ("peer", "within", "beyond", "outside"),
        [
            ({"podSelector": {}}, True, False, False),
            ({"namespaceSelector": {}}, True, True, False),
            ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "b"}}}, False, True, False),
            ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "x"}}}, True, False, False),
            ({"ipBlock": {"cidr": "203.0.113.0/24"}}, False, False, True),
            ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}}, True, True, False),
        ],
        ids=str,
    )
    def test_peers(self, peer: Object, within: bool, beyond: bool, outside: bool) -> None:
        only = [policy(ingress=[{"from": [peer]}])]
        assert [may(only, one, A, 80) for one in (A, B, OUTSIDE)] == [within, beyond, outside]

    def test_one_of_the_peers_is_enough(self) -> None:
        peers = [{"podSelector": {}}, {"ipBlock": {"cidr": "203.0.113.7/32"}}]
        assert may([policy(ingress=[{"from": peers}])], OUTSIDE, A, 80)

    @pytest.mark.parametrize(
        ("port", "tcp_80", "tcp_85", "udp_80"),
        [
            ({"port": 80}, True, False, False),
            ({"port": "http"}, True, False, False),
            ({"port": "https"}, False, False, False),
            ({"port": 80, "protocol": "UDP"}, False, False, True),
            ({"port": 80, "endPort": 90}, True, True, False),
            ({"protocol": "TCP"}, True, True, False),
        ],
        ids=str,
    )
    def test_ports(self, port: Object, tcp_80: bool, tcp_85: bool, udp_80: bool) -> None:
        only = [policy(ingress=[{"ports": [port]}])]
        asked = ((80, "TCP"), (85, "TCP"), (80, "UDP"))
        assert [may(only, B, A, *one) for one in asked] == [tcp_80, tcp_85, udp_80]

    def test_a_name_is_that_of_the_port_of_the_destination(self) -> None:
        only = [policy(policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}])]
        assert may(only, A, A, 80)
        assert not may(only, A, B, 80)
        assert not may(only, A, OUTSIDE, 80)

    @pytest.mark.parametrize(
        ("expression", "selected"),
        [
            ({"key": "app", "operator": "In", "values": ["x"]}, True),
            ({"key": "app", "operator": "NotIn", "values": ["x"]}, False),
            ({"key": "tier", "operator": "NotIn", "values": ["x"]}, True),
            ({"key": "app", "operator": "Exists"}, True),
            ({"key": "app", "operator": "DoesNotExist"}, False),
        ],
        ids=str,
    )
    def test_expressions(self, expression: Object, selected: bool) -> None:
        assert selects({"matchExpressions": [expression]}, A.labels) is selected

    @pytest.mark.parametrize(
        "wrong",
        [
            {"from": [{"podSelektor": {}}]},
            {"from": [{}]},
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]},
            {"ports": [{"name": "http"}]},
            {"port": 80},
        ],
        ids=str,
    )
    def test_what_no_policy_may_say_is_refused(self, wrong: Object) -> None:
        with pytest.raises(ValueError, match=r"field|alone|who"):
            may([policy(ingress=[wrong])], B, A, 80)
