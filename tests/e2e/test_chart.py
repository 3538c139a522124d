"""What helm and kubectl make of the chart on a real API server, and what its ServiceAccount may do there."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from manifests import install
from sandbox.cluster import Sandbox

pytestmark = pytest.mark.e2e

RELEASE = "chart-test"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@pytest.fixture(scope="module")
def release(sandbox: Sandbox) -> Iterator[str]:
    """The namespace of a release of the chart with its defaults."""
    sandbox.helm("install", RELEASE, str(install.CHART), "--namespace", RELEASE, "--create-namespace")
    yield RELEASE
    sandbox.helm("uninstall", RELEASE, "--namespace", RELEASE)
    sandbox.kubectl("delete", "namespace", RELEASE, "--wait=false")


def may(sandbox: Sandbox, verb: str, what: str) -> bool:
    """Whether the release's ServiceAccount may do that to `what`, written as "resource.group/subresource"."""
    whole, _, subresource = what.partition("/")
    resource, _, group = whole.partition(".")
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": "shop"}
    spec = {"user": f"system:serviceaccount:{RELEASE}:{RELEASE}", "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    answer = sandbox.kubectl("create", "--raw", REVIEWS, "-f", "-", stdin=json.dumps(review))
    return bool(json.loads(answer)["status"]["allowed"])


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("watch", "predictivescalers.predictivescaler.dev"),
        ("patch", "predictivescalers.predictivescaler.dev/status"),
        ("get", "deployments.apps/scale"),
        ("patch", "statefulsets.apps/scale"),
        ("list", "horizontalpodautoscalers.autoscaling"),
        ("create", "events.events.k8s.io"),
        ("list", "pods"),
        ("get", "secrets"),
    ],
)
def test_the_controller_may(sandbox: Sandbox, release: str, verb: str, what: str) -> None:
    assert may(sandbox, verb, what)


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("patch", "predictivescalers.predictivescaler.dev"),
        ("update", "predictivescalers.predictivescaler.dev/status"),
        ("get", "deployments.apps"),
        ("patch", "deployments.apps"),
        ("update", "deployments.apps/scale"),
        ("list", "secrets"),
        ("get", "pods"),
        ("watch", "pods"),
        ("patch", "horizontalpodautoscalers.autoscaling"),
        ("list", "events.events.k8s.io"),
        ("list", "customresourcedefinitions.apiextensions.k8s.io"),
        ("list", "namespaces"),
    ],
)
def test_the_controller_may_not(sandbox: Sandbox, release: str, verb: str, what: str) -> None:
    assert not may(sandbox, verb, what)


def test_the_pod_is_admitted_where_pods_are_restricted(sandbox: Sandbox, release: str, namespace: str) -> None:
    sandbox.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    template = sandbox.get("deployment", RELEASE, "-n", release)["spec"]["template"]
    spec = template["spec"] | {"serviceAccountName": "default", "serviceAccount": "default"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}
    created = ("create", "--dry-run=server", "-n", namespace, "-o", "name", "-f", "-")
    assert sandbox.kubectl(*created, stdin=json.dumps(pod)).strip() == "pod/probe"


def test_one_namespace_is_served_without_any_cluster_wide_right(sandbox: Sandbox, namespace: str) -> None:
    rendered = sandbox.helm("template", RELEASE, str(install.CHART), f"--set=watchNamespaces={{{namespace}}}")
    assert "kind: ClusterRole" not in rendered
    sandbox.kubectl("create", "--dry-run=server", "-f", "-", stdin=rendered)


def test_the_install_manifest_is_accepted(sandbox: Sandbox) -> None:
    sandbox.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": install.NAME}})  # a dry run makes none
    sandbox.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(install.FILE))
    sandbox.kubectl("delete", "namespace", install.NAME, "--wait=false")
