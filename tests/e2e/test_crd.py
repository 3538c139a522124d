"""The API server's own word on the CRD: what it refuses, what it fills in, and how it explains itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.spec import GROUP, KIND, PLURAL, VERSION, parse
from sandbox.cluster import CommandError, Sandbox
from sandbox.controller import await_kind
from tests.contracts.specs import CRD_FILE, SMALLEST, crd, full_specs, merged, table
from tests.e2e.driving import eventually

pytestmark = pytest.mark.e2e

CRD_NAME = crd()["metadata"]["name"]
DRY_RUN = f"/apis/{GROUP}/{VERSION}/namespaces/default/{PLURAL}?dryRun=All&fieldValidation=Strict"


@pytest.fixture(scope="session", autouse=True)
def crd_applied(sandbox: Sandbox) -> None:
    sandbox.kubectl("apply", "--server-side", "-f", str(CRD_FILE))
    await_kind(sandbox, CRD_NAME)


def scaler(spec: dict[str, Any], name: str = "web") -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": {"name": name}, "spec": spec}


def stored_spec(sandbox: Sandbox, spec: dict[str, Any]) -> dict[str, Any]:
    """The spec as it would be stored, sent as a user does: kubectl makes 10 of 10.0, for one thing."""
    printed = sandbox.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(scaler(spec)))
    answer: dict[str, Any] = json.loads(printed)["spec"]
    return answer


@pytest.mark.parametrize("case", table("refused.yaml"), ids=lambda case: case["name"])
def test_bad_specs_are_refused_with_the_field_and_the_reason(sandbox: Sandbox, case: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as refused:  # --raw: the API server alone has the word, and in half the time
        sandbox.kubectl("create", "--raw", DRY_RUN, "-f", "-", stdin=json.dumps(scaler(case["spec"])))
    assert case["field"] in refused.value.printed
    assert case["says"] in refused.value.printed


@pytest.mark.parametrize(
    "spec",
    [
        *(pytest.param(case["spec"], id=case["name"]) for case in table("accepted.yaml")),
        *(pytest.param(spec, id=f"full-{number}") for number, spec in enumerate(full_specs())),
    ],
)
def test_good_specs_mean_the_same_before_and_after_the_api_server(sandbox: Sandbox, spec: dict[str, Any]) -> None:
    assert parse(stored_spec(sandbox, spec)) == parse(spec)


def test_a_stored_default_is_no_obstacle_to_the_other_choice(sandbox: Sandbox, namespace: str) -> None:
    """kubectl apply merges over what is stored: were hold a default, replicas could never be added later."""
    for spec in (SMALLEST, merged(SMALLEST, {"fallback": {"replicas": 5}})):
        sandbox.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(scaler(spec)))
    assert sandbox.get("psc/web", "-n", namespace)["spec"]["fallback"] == {"after": "10m", "replicas": 5}


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("psc.spec", "What to scale, by which load, and within which rules."),
        ("psc.spec.forecast.leadTime", "How long a new replica takes until it serves"),
        ("psc.spec.behavior.scaleDown.policies.periodSeconds", "The length of the period in seconds."),
        ("psc.status.lastDecision", "The last decision and why it came out so."),
    ],
)
def test_kubectl_explains_a_field(sandbox: Sandbox, field: str, sentence: str) -> None:
    """A while after it was applied: what explains is published once it is served."""
    eventually(lambda: explained(sandbox, field), lambda told: sentence in told)


def explained(sandbox: Sandbox, field: str) -> str:
    try:
        return " ".join(sandbox.kubectl("explain", field).split())
    except CommandError as error:
        return error.printed


def test_the_columns_show_the_status(sandbox: Sandbox, namespace: str) -> None:
    sandbox.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(scaler(SMALLEST)))
    condition = {"type": "Ready", "status": "True", "reason": "Scaling", "message": "all is well"}
    status = {
        "currentReplicas": 3,
        "desiredReplicas": 5,
        "forecast": {"peak": 412.5},
        "objective": {"underProvisionedTime": "1%", "measured": "0.97%", "shift": -0.2, "headroom": 1.31},
        "conditions": [condition | {"lastTransitionTime": "2026-01-05T08:00:00Z"}],
    }
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    sandbox.kubectl("patch", "psc", "web", "-n", namespace, *patch)
    header, row = sandbox.kubectl("get", "psc", "-n", namespace).splitlines()
    load, promise = ["CURRENT", "DESIRED", "FORECAST"], ["OBJECTIVE", "MEASURED"]
    assert header.split() == ["NAME", "MODE", *load, *promise, "READY", "REASON", "AGE"]
    assert row.split()[:-1] == ["web", "Active", "3", "5", "412.5", "1%", "0.97%", "True", "Scaling"]


def test_an_objective_can_be_added_to_a_scaler_that_never_named_a_quantile(sandbox: Sandbox, namespace: str) -> None:
    """As above: nor is a quantile or the tolerance upwards stored, which hang on the objective."""
    objective = {"objective": {"underProvisionedTime": "1%"}}
    for spec in (SMALLEST, merged(SMALLEST, objective)):
        sandbox.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(scaler(spec)))
    stored = sandbox.get("psc/web", "-n", namespace)["spec"]
    assert parse(stored) == parse(merged(SMALLEST, objective))


def test_a_status_without_a_known_load_is_stored_without_it(sandbox: Sandbox, namespace: str) -> None:
    """Absent, not zero: the controller writes null where it knows nothing."""
    sandbox.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(scaler(SMALLEST)))
    decision: dict[str, Any] = {
        "time": "2026-01-05T08:00:00Z",
        "source": "Missing",
        "demand": None,
        "seen": None,
        "steps": [],
    }
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": {"lastDecision": decision}}))
    sandbox.kubectl("patch", "psc", "web", "-n", namespace, *patch)
    stored = sandbox.get("psc/web", "-n", namespace)["status"]["lastDecision"]
    assert stored == {"time": "2026-01-05T08:00:00Z", "source": "Missing", "steps": []}


def test_memory_keeps_what_the_schema_does_not_know(sandbox: Sandbox, namespace: str) -> None:
    sandbox.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(scaler(SMALLEST)))
    memory = {"version": 1, "recommendations": [["2026-01-05T08:00:00Z", 3]]}
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": {"memory": memory}}))
    sandbox.kubectl("patch", "psc", "web", "-n", namespace, *patch)
    assert sandbox.get("psc/web", "-n", namespace)["status"]["memory"] == memory
