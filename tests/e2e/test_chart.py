"""What helm and kubectl make of the chart on a real API server, and what its ServiceAccount may do there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controller.spec import GROUP
from manifests import install
from sandbox.cluster import Sandbox
from sandbox.controller import await_kind
from sandbox.crds import MONITORING
from tests.contracts import specs
from tests.contracts.specs import documents
from tests.e2e.driving import eventually

pytestmark = pytest.mark.e2e

RELEASE = "chart-test"
VALUES_FILES = sorted((specs.HERE / "values").glob("*.yaml"))
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

Object = dict[str, Any]


@pytest.fixture(scope="module")
def release(sandbox: Sandbox, account: Path) -> Iterator[str]:
    """The namespace of a release of the chart with its defaults; `account` has applied the CRD."""
    given = ("--namespace", RELEASE, "--create-namespace", "--set=crds.install=false")
    sandbox.helm("install", RELEASE, str(install.CHART), *given)
    yield RELEASE
    sandbox.helm("uninstall", RELEASE, "--namespace", RELEASE)
    sandbox.kubectl("delete", "namespace", RELEASE, "--wait=false")


@pytest.fixture(scope="module")
def kinds(sandbox: Sandbox) -> None:
    """The Prometheus Operator's kinds, as it publishes them."""
    for path in MONITORING.paths():
        sandbox.kubectl("apply", "--server-side", "-f", str(path))
        await_kind(sandbox, documents(path.read_text())[0]["metadata"]["name"])


def may(sandbox: Sandbox, verb: str, what: str) -> bool:
    """Whether the release's ServiceAccount may do that to `what`, written as "resource.group/subresource"."""
    whole, _, subresource = what.partition("/")
    resource, _, group = whole.partition(".")
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": "shop"}
    return reviewed(sandbox, f"system:serviceaccount:{RELEASE}:{RELEASE}", attributes)


def reviewed(sandbox: Sandbox, user: str, attributes: Object) -> bool:
    spec = {"user": user, "resourceAttributes": attributes}
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
        ("get", "horizontalpodautoscalers.autoscaling"),
        ("patch", "horizontalpodautoscalers.autoscaling"),
        ("get", "deployments.apps"),
        ("get", "statefulsets.apps"),
        ("create", "events.events.k8s.io"),
        ("list", "pods"),
        ("get", "secrets"),
    ],
)
def test_the_controller_may(sandbox: Sandbox, release: str, verb: str, what: str) -> None:
    eventually(lambda: may(sandbox, verb, what))  # the API server hears of a role a moment after it has stored it


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("patch", "predictivescalers.predictivescaler.dev"),
        ("update", "predictivescalers.predictivescaler.dev/status"),
        ("patch", "deployments.apps"),
        ("update", "deployments.apps/scale"),
        ("list", "secrets"),
        ("get", "pods"),
        ("watch", "pods"),
        ("update", "horizontalpodautoscalers.autoscaling"),
        ("list", "deployments.apps"),
        ("list", "events.events.k8s.io"),
        ("list", "customresourcedefinitions.apiextensions.k8s.io"),
        ("list", "namespaces"),
    ],
)
def test_the_controller_may_not(sandbox: Sandbox, release: str, verb: str, what: str) -> None:
    assert not may(sandbox, verb, what)


@pytest.mark.parametrize("values", VALUES_FILES, ids=lambda file: file.stem)
def test_the_api_server_takes_all_of_it(sandbox: Sandbox, kinds: None, namespace: str, values: Path) -> None:
    """Every field is known, to the Prometheus Operator's kinds as well, and every value is one that is allowed."""
    objects = [found for found in rendered(sandbox, namespace, values) if found["kind"] != "Pod"]  # it needs an account
    for found in objects:  # in namespaces that there are
        found["metadata"]["namespace"] = namespace
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    applied = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-")
    names = sandbox.kubectl("apply", *applied, stdin=text).split()
    assert len(names) == len(objects)


@pytest.mark.parametrize("values", VALUES_FILES, ids=lambda file: file.stem)
def test_pods_are_admitted_where_pods_are_restricted(sandbox: Sandbox, namespace: str, values: Path) -> None:
    sandbox.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    specs = [spec for found in rendered(sandbox, namespace, values) if (spec := pod_spec(found))]
    for number, spec in enumerate(specs):
        own = {"serviceAccountName": "default", "restartPolicy": "Never"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}, "spec": spec | own}
        created = ("create", "--dry-run=server", "-n", namespace, "-o", "name", "-f", "-")
        assert sandbox.kubectl(*created, stdin=json.dumps(pod)).strip() == f"pod/pod-{number}"
    assert len(specs) == (4 if values.stem == "everything" else 2)


def rendered(sandbox: Sandbox, namespace: str, values: Path) -> list[Object]:
    text = sandbox.helm("template", RELEASE, str(install.CHART), f"--values={values}", f"--namespace={namespace}")
    return [found for found in documents(text) if found]


def pod_spec(found: Object) -> Object | None:
    """That of a Pod, or of the pods that a workload makes."""
    spec = found.get("spec", {})
    if found["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    if found["kind"] in {"Deployment", "Job", "CronJob"}:
        spec = spec["template"]["spec"]
        return dict(spec)
    return dict(spec) if found["kind"] == "Pod" else None


def test_one_namespace_is_served_without_any_cluster_wide_right(sandbox: Sandbox, namespace: str) -> None:
    given = ("--set=crds.install=false", f"--set=watchNamespaces={{{namespace}}}", f"--namespace={namespace}")
    text = sandbox.helm("template", RELEASE, str(install.CHART), "--skip-tests", *given)
    assert "kind: ClusterRole" not in text
    sandbox.kubectl("create", "--dry-run=server", "-f", "-", stdin=text)


@pytest.mark.parametrize("role", ["edit", "admin", "view"])
def test_who_edits_a_namespace_edits_its_scalers(sandbox: Sandbox, release: str, namespace: str, role: str) -> None:
    sandbox.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}er", "-n", namespace)
    eventually(lambda: can(sandbox, namespace, f"{role}er", "list", "predictivescalers"))
    for verb in ("create", "patch", "delete"):
        may_edit = partial(can, sandbox, namespace, f"{role}er", verb, "predictivescalers")
        if role == "view":
            assert not may_edit()
        else:  # a role is made of others one after the other
            eventually(may_edit)
    assert not can(sandbox, namespace, f"{role}er", "patch", "predictivescalers", "status")


def can(sandbox: Sandbox, namespace: str, user: str, verb: str, resource: str, subresource: str = "") -> bool:
    """Whether `user` may do that to resources of our group."""
    attributes = {"verb": verb, "group": GROUP, "resource": resource, "subresource": subresource}
    return reviewed(sandbox, user, attributes | {"namespace": namespace})


def test_the_install_manifest_is_accepted(sandbox: Sandbox) -> None:
    sandbox.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": install.NAME}})  # a dry run makes none
    sandbox.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(install.FILE))
    sandbox.kubectl("delete", "namespace", install.NAME, "--wait=false")
