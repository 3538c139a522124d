"""Is each PredictiveScaler of a file found, and does a mistake name its line?"""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from client.errors import ClientError
from client.resources import written
from controller.fields import SpecError
from tests.client.scalers import Json, scaler
from tests.contracts.specs import merged, table

FILE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
apiVersion: predictivescaler.dev/v1alpha1
kind: PredictiveScaler
metadata:
  name: web
spec:
  targetRef: {name: web}
  maxReplicas: 10
  metric:
    prometheus:
      query: sum(load)
    targetPerReplica: 5
  behavior:
    scaleUp:
      policies:
        - {type: Pods, value: 4, periodSeconds: 15}
        - type: Pods
          value: 4
          periodSeconds: 15
"""


@pytest.mark.parametrize(
    ("right", "wrong", "line", "field"),
    [
        ("maxReplicas: 10", "maxReplicas: 0", 11, "spec.maxReplicas"),
        ("targetPerReplica: 5", "targetPerReplica: 0", 15, "spec.metric.targetPerReplica"),
        ("          value: 4", "          value: 0", 21, "spec.behavior.scaleUp.policies[1].value"),
        ("  maxReplicas: 10\n", "", 9, "spec.maxReplicas"),  # what is not there is missing where it should be
        ("query: sum(load)", "question: sum(load)", 14, "spec.metric.prometheus.question"),
        ("  name: web\nspec", "  name: null\nspec", 8, "metadata.name"),
        ("predictivescaler.dev/v1alpha1", "predictivescaler.dev/v1", 5, "apiVersion"),
    ],
)
def test_a_mistake_names_its_line(right: str, wrong: str, line: int, field: str) -> None:
    assert FILE.count(right) == 1
    (found,) = written(FILE.replace(right, wrong), "web.yaml", "shop")
    assert isinstance(found.scaler.spec, SpecError)
    assert (found.where, found.scaler.spec.field) == (f"web.yaml:{line}", field)


def test_all_of_a_file_are_found_with_their_namespaces() -> None:
    second = scaler("api") | {"metadata": {"name": "api", "namespace": "other"}}
    text = f"{FILE}---\n{json.dumps(second)}\n---\n"
    found = [(one.scaler.key, one.is_stored) for one in written(text, "web.yaml", "shop")]
    assert found == [("shop/web", False), ("other/api", False)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "web.yaml is not YAML"),
        ("", "web.yaml holds no PredictiveScaler"),
        ("kind: Deployment", "web.yaml holds no PredictiveScaler"),
        ("[kind, PredictiveScaler]", "web.yaml holds no PredictiveScaler"),
    ],
)
def test_what_is_no_file_of_scalers_is_told(text: str, words: str) -> None:
    with pytest.raises(ClientError, match=words):
        written(text, "web.yaml", "shop")


@pytest.mark.parametrize("spec", [None, 3, "text", [], {"metric": None}])
def test_a_spec_of_any_shape_is_refused_and_not_stumbled_over(spec: object) -> None:
    (found,) = written(yaml.safe_dump(scaler() | {"spec": spec}), "web.yaml", "shop")
    assert isinstance(found.scaler.spec, SpecError)


REFUSED = [case["spec"] for case in table("refused.yaml")]


@given(spec=st.sampled_from(REFUSED), metadata=st.sampled_from([{}, {"namespace": "x"}, None, []]))
def test_a_refused_spec_names_a_line_within_it(spec: Json, metadata: object) -> None:
    """Whatever is refused, and wherever: the line holds a part of the field's path, or is where the object begins."""
    named = {"name": "web", **metadata} if isinstance(metadata, dict) else {"name": "web"}
    text = yaml.safe_dump(merged(scaler(), {}) | {"metadata": named, "spec": spec}, sort_keys=False)
    (found,) = written(text, "f", "shop")
    assert isinstance(found.scaler.spec, SpecError)
    line = int(found.where.removeprefix("f:"))
    said = text.splitlines()[line - 1]
    parts = found.scaler.spec.field.replace("[", ".").split(".")
    assert any(part in said for part in parts) or said.lstrip().startswith("-"), (found.scaler.spec, said)
