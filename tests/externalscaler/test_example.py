"""The example for users of KEDA asks for a scaler that may be asked, by options that there are."""

from __future__ import annotations

from pathlib import Path

from controller.externalscaler.answers import Trigger
from controller.spec import KIND, Mode, parse
from tests.contracts.specs import documents

EXAMPLE = Path(__file__).parents[2] / "manifests/examples/keda.yaml"


def test_its_trigger_names_the_scaler_beside_it() -> None:
    found, scaled = documents(EXAMPLE.read_text())
    spec, other = parse(found["spec"]), scaled["spec"]
    asked, *_ = (Trigger.read("shop", one["metadata"]) for one in other["triggers"] if one["type"] == "external")
    assert found["kind"] == KIND
    assert asked.scaler == found["metadata"]["name"]
    assert spec.mode is Mode.OBSERVE
    assert spec.target.name == other["scaleTargetRef"]["name"]


def test_keda_may_go_as_far_as_the_scaler() -> None:
    found, scaled = documents(EXAMPLE.read_text())
    policy, other = parse(found["spec"]).policy, scaled["spec"]
    assert (other["minReplicaCount"], other["maxReplicaCount"]) == (policy.min_replicas, policy.max_replicas)
