"""The CRD and `controller.spec.parse` know the same fields, defaults and bounds. CEL: tests/e2e/test_crd.py."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.spec import SpecError, parse
from tests.contracts.specs import (
    SMALLEST,
    defaulted,
    dotted,
    full_specs,
    merged,
    nodes,
    spec_schema,
    strict,
    table,
    value_at,
    with_value,
    without,
)

SCHEMA = spec_schema()
NODES = dict(nodes(SCHEMA))
VALIDATOR = jsonschema.Draft202012Validator(strict(SCHEMA))
FULL = full_specs()
WIDEST = {"minReplicas": NODES["minReplicas",]["minimum"], "maxReplicas": NODES["maxReplicas",]["maximum"]}
OF_FIXED_FORM = {
    *("sha256", "timeZone", "leadTime", "after", "windowLength", "period", "region", "stat"),
    *("targetPerReplica", "tolerance", "underProvisionedTime"),
}
ANY_TYPE: list[object] = [True, "a text", 1.5, 200_000, ["a list"], {"an": "object"}]

Path = tuple[str | int, ...]


def schema_accepts(spec: dict[str, Any]) -> bool:
    return bool(VALIDATOR.is_valid(spec))


def refused_field(spec: dict[str, Any]) -> str | None:
    """The field that parse refuses, or None when it accepts."""
    try:
        parse(spec)
    except SpecError as error:
        return error.field
    return None


def specs_with(path: Path) -> list[dict[str, Any]]:
    """The full specs that use the field at `path`."""
    return [spec for spec in FULL if value_at(spec, path) is not None]


def paths_where(*keywords: str) -> list[Any]:
    """Every field whose schema has one of the keywords, as test parameters."""
    return [
        pytest.param(path, id=dotted(path)) for path, node in NODES.items() if any(word in node for word in keywords)
    ]


def just_inside(path: Path) -> list[object]:
    """The values at the bounds of the field."""
    node, longer = NODES[path], _longer(path)
    return [
        *(node[word] for word in ("minimum", "maximum") if word in node),
        *node.get("enum", []),
        *([longer(node["maxLength"])] if longer else []),
    ]


def just_outside(path: Path) -> list[object]:
    """The values next to those that are not allowed any more."""
    node, longer = NODES[path], _longer(path)
    return [
        *([node["minimum"] - 1] if "minimum" in node else []),
        *([node["maximum"] + 1] if "maximum" in node else []),
        *(["Neither"] if "enum" in node else []),
        *([longer(node["maxLength"] + 1)] if longer else []),
        *([""] if node.get("type") == "string" else []),
        *([[], [value_at(FULL[0], (*path, 0))] * (node["maxItems"] + 1)] if "maxItems" in node else []),
    ]


def _longer(path: Path) -> Any:
    """From a length to a text that the field's pattern allows; None where length is not what bounds the field.

    The last of the full specs takes the longest: the name of a group, and the place of a model.
    """
    if "maxLength" not in NODES[path] or path[-1] in OF_FIXED_FORM:
        return None
    return lambda length: value_at(specs_with(path)[-1], path).ljust(length, "a")


def has_rule(path: Path) -> bool:
    """Whether CEL has a word on the field, at itself or at the object that it is part of."""
    own, whole = NODES[path], NODES.get(path[:-1], SCHEMA)
    about = [rule.get("fieldPath") for rule in whole.get("x-kubernetes-validations", [])]
    return "x-kubernetes-validations" in own or f".{path[-1]}" in about


def test_the_full_specs_use_every_field() -> None:
    assert {path for path in NODES if specs_with(path)} == set(NODES)


@pytest.mark.parametrize("spec", FULL, ids=["bearer", "basic", "group", "expression"])
def test_full_specs_are_accepted_by_both(spec: dict[str, Any]) -> None:
    assert (schema_accepts(spec), refused_field(spec)) == (True, None)


@pytest.mark.parametrize("path", [pytest.param((), id="spec"), *paths_where("properties")])
def test_an_object_takes_the_same_fields_in_both(path: Path) -> None:
    spec = with_value(specs_with(path)[0], (*path, "unheardOf"), 1) if path else FULL[0] | {"unheardOf": 1}
    with pytest.raises(SpecError, match=r"unheardOf: unknown field") as refused:
        parse(spec)
    known = str(refused.value).partition("known: ")[2].split(", ")
    assert sorted(known) == sorted((NODES[path] if path else SCHEMA)["properties"])


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({}, id="smallest"),
        pytest.param({"forecast": {}, "behavior": {}, "fallback": {}}, id="empty-objects"),
        pytest.param({"behavior": {"scaleUp": {}, "scaleDown": {}}}, id="empty-directions"),
        pytest.param({"behavior": {"scaleUp": {"selectPolicy": "Min"}}}, id="one-rule-given"),
        pytest.param({"metric": {"prometheus": {"tls": {}}}}, id="empty-tls"),
        pytest.param({"fallback": {"replicas": 3}}, id="fallback-without-time"),
        pytest.param({"objective": {"underProvisionedTime": "1%"}}, id="objective"),
        pytest.param({"mode": "Experiment", "experiment": {}}, id="empty-experiment"),
    ],
)
def test_absent_fields_mean_the_same_in_both(patch: dict[str, Any]) -> None:
    spec = merged(SMALLEST, patch)
    assert parse(spec) == parse(defaulted(SCHEMA, spec))


@pytest.mark.parametrize("path", paths_where("default"))
def test_a_default_is_used_only_where_the_field_is_absent(path: Path) -> None:
    """No value in the full specs is a default, so that a reader which ignores a field cannot pass."""
    spec = next(spec for spec in FULL if value_at(spec, path) not in (None, {}))
    assert parse(spec) != parse(without(spec, path))


@pytest.mark.parametrize("path", paths_where("minimum", "maximum", "enum", "maxLength"))
def test_both_accept_values_at_the_bounds(path: Path) -> None:
    for value in just_inside(path):
        specs = [with_value(merged(spec, WIDEST), path, value) for spec in specs_with(path)]
        assert all(schema_accepts(spec) for spec in specs)
        assert any(refused_field(spec) != dotted(path) for spec in specs)


@pytest.mark.parametrize("path", paths_where("minimum", "maximum", "enum", "maxLength", "maxItems"))
def test_both_refuse_values_just_beyond_the_bounds(path: Path) -> None:
    for value in just_outside(path):
        spec = with_value(specs_with(path)[0], path, value)
        assert (schema_accepts(spec), refused_field(spec)) == (False, dotted(path))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param((*path, name), id=dotted((*path, name)))
        for path, node in [((), SCHEMA), *NODES.items()]
        for name in node.get("required", [])
    ],
)
def test_both_require_the_same_fields(path: Path) -> None:
    spec = without(specs_with(path)[0], path)
    assert (schema_accepts(spec), refused_field(spec)) == (False, dotted(path))


@pytest.mark.parametrize("path", paths_where("type", "anyOf"))
def test_both_refuse_values_of_the_same_types(path: Path) -> None:
    wrong = [value for value in ANY_TYPE if not schema_accepts(with_value(specs_with(path)[0], path, value))]
    fields = [refused_field(with_value(specs_with(path)[0], path, value)) or "" for value in wrong]
    assert fields
    assert all(field.startswith(dotted(path)) for field in fields)


@pytest.mark.parametrize("path", [path for path in paths_where("pattern") if path.values[0][-1] != "timeZone"])
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_both_read_texts_alike(path: Path, data: st.DataObject) -> None:
    """Quantities and durations have a bound beside the pattern, which only parse and CEL know: never looser there."""
    whole = data.draw(st.sampled_from(specs_with(path)))
    good = str(value_at(whole, path))
    cut = data.draw(st.integers(0, len(good)))
    spec = with_value(whole, path, good[:cut] + data.draw(st.text(max_size=3)) + good[cut:])
    is_refused = refused_field(spec) == dotted(path)
    assert is_refused or schema_accepts(spec)
    assert not is_refused or not schema_accepts(spec) or has_rule(path)


@pytest.mark.parametrize("case", table("refused.yaml"), ids=lambda case: case["name"])
def test_bad_specs_are_refused_with_the_field_named(case: dict[str, Any]) -> None:
    assert refused_field(case["spec"]) == case["field"]


@pytest.mark.parametrize("case", table("accepted.yaml"), ids=lambda case: case["name"])
def test_specs_at_the_edge_are_accepted_by_both(case: dict[str, Any]) -> None:
    spec = defaulted(SCHEMA, case["spec"])
    assert (schema_accepts(spec), refused_field(spec), refused_field(case["spec"])) == (True, None, None)


def test_every_rule_of_the_crd_has_a_spec_that_breaks_it() -> None:
    rules = [rule["message"] for node in [SCHEMA, *NODES.values()] for rule in node.get("x-kubernetes-validations", [])]
    said = [case["says"] for case in table("refused.yaml")]
    assert [rule for rule in rules if not any(rule.startswith(words) for words in said)] == []


def test_every_field_is_explained() -> None:
    assert [dotted(path) for path, node in NODES.items() if not node["description"].endswith(".")] == []
