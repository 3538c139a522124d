"""Which model files does a loader refuse, and does it say which check failed?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from controller.forecaster import load_model, read_model
from controller.ports import ModelError
from tests.training.small import FAMILIES, WINDOW, fitted, model
from training.export import encode

_Change = Callable[[onnx.ModelProto], None]


def _changed(change: _Change) -> bytes:
    """The persistence model, changed."""
    found = onnx.load_from_string(encode(fitted("persistence"), model("persistence").card))
    change(found)
    return bytes(found.SerializeToString())


def _card(**changes: Any) -> _Change:
    """Other fields in the card; None takes the field away."""

    def change(found: onnx.ModelProto) -> None:
        entry = next(entry for entry in found.metadata_props if entry.key == "card")
        card = {**json.loads(entry.value), **changes}
        entry.value = json.dumps({name: value for name, value in card.items() if value is not None})

    return change


def _vector(**changes: Any) -> _Change:
    return _card(test_vector={**json.loads(model("persistence").card.to_json())["test_vector"], **changes})


def _text(text: str) -> _Change:
    def change(found: onnx.ModelProto) -> None:
        next(entry for entry in found.metadata_props if entry.key == "card").value = text

    return change


def _no_card(found: onnx.ModelProto) -> None:
    del found.metadata_props[:]


def _rename(before: str, after: str) -> _Change:
    def change(found: onnx.ModelProto) -> None:
        for value in (*found.graph.input, *found.graph.output):
            value.name = after if value.name == before else value.name
        for node in found.graph.node:
            node.input[:] = [after if name == before else name for name in node.input]
            node.output[:] = [after if name == before else name for name in node.output]

    return change


def _output(operator: str, *inputs: str, type_: int = TensorProto.FLOAT, **attributes: Any) -> _Change:
    """One more operator between what the model computes and its output; its inputs follow the computed one."""

    def change(found: onnx.ModelProto) -> None:
        last = found.graph.node[-1]
        last.output[0] = "computed"
        found.graph.node.append(helper.make_node(operator, ["computed", *inputs], ["quantiles"], **attributes))
        constants = {"minus_one": -1.0, "nothing": float("nan"), "million": 1e6}
        found.graph.initializer.extend(
            helper.make_tensor(name, TensorProto.FLOAT, [], [value])
            for name, value in constants.items()
            if name in inputs
        )
        found.graph.output[0].type.tensor_type.elem_type = type_

    return change


def _flip(found: onnx.ModelProto) -> None:
    """The levels the other way round."""
    places = list(reversed(range(8)))
    found.graph.initializer.append(helper.make_tensor("places", TensorProto.INT64, [8], places))
    _output("Gather", "places", axis=2)(found)


def _null_is_zero(found: onnx.ModelProto) -> None:
    found.graph.node[-1].output[0] = "computed"
    found.graph.initializer.append(helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]))
    found.graph.node.extend(
        [
            helper.make_node("IsNaN", ["computed"], ["missing"]),
            helper.make_node("Where", ["missing", "zero", "computed"], ["quantiles"]),
        ]
    )


def _flat(found: onnx.ModelProto) -> None:
    found.graph.node[-1].output[0] = "computed"
    found.graph.node.append(helper.make_node("Flatten", ["computed"], ["quantiles"]))
    shape = found.graph.output[0].type.tensor_type.shape
    del shape.dim[2:]
    shape.dim[1].dim_value = 48


def _external(found: onnx.ModelProto) -> None:
    """A weight that is to be read from a file beside the model."""
    weight = found.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_keeps_the_contract(family: str) -> None:
    assert model(family).card.levels == (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("card", _no_card),
        ("card-json", _text("not json")),
        ("card-json", _text("[]")),
        ("contract", _card(contract=2)),
        ("card-fields", _card(family=None)),
        ("card-fields", _card(step_seconds=0)),
        ("card-fields", _card(trained={"since": "ever"})),
        ("levels", _card(levels=[0.5, 0.25])),
        ("levels", _card(levels=[0.5, 1.0])),
        ("test-vector", _card(context=WINDOW.context + 24)),
        ("inputs", _rename("history", "past")),
        ("outputs", _rename("quantiles", "forecast")),
        ("outputs", _output("Cast", type_=TensorProto.DOUBLE, to=TensorProto.DOUBLE)),
        ("outputs", _flat),
        ("output-negative", _output("Mul", "minus_one")),
        ("output-finite", _output("Mul", "nothing")),
        ("output-order", _flip),
        ("test-vector", _output("Add", "million")),
        ("test-vector", _vector(history_sha256="0" * 64)),
        ("test-vector", _vector(expected=[[1.0]])),
        ("empty-history", _null_is_zero),
        ("onnx", _external),
    ],
)
def test_a_loader_refuses(check: str, change: _Change) -> None:
    with pytest.raises(ModelError) as refused:
        read_model(_changed(change))
    assert refused.value.check == check


def test_what_is_not_onnx_is_refused() -> None:
    with pytest.raises(ModelError, match="onnx: ONNX Runtime refuses"):
        read_model(b"\x80\x04not a model")


def test_a_file_above_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    path.write_bytes(bytes(1001))

    with pytest.raises(ModelError, match=r"size: large\.onnx is larger than the limit of 1000 bytes"):
        load_model(path, max_bytes=1000)


def test_a_weight_outside_the_file_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _changed(_external)
    (tmp_path / "weights.bin").write_bytes(bytes(4096))
    (tmp_path / "model.onnx").write_bytes(data)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ModelError, match="onnx: "):
        load_model(tmp_path / "model.onnx")


def test_the_digest_is_that_of_the_file() -> None:
    data = _changed(lambda found: None)

    assert read_model(data).digest == hashlib.sha256(data).hexdigest()


def test_the_last_digits_of_another_processor_are_forgiven() -> None:
    expected = [[value * (1 + 5e-5) for value in row] for row in model("persistence").card.test_vector.expected]

    assert read_model(_changed(_vector(expected=expected))).card.family == "persistence"


def test_rows_do_not_know_one_another() -> None:
    """More rows than one run holds, one of them empty: each is answered as if it were alone."""
    random = np.random.default_rng(1)  # seeded
    history = random.uniform(0, 100, (100, WINDOW.context)).astype(np.float32)
    history[37] = np.nan
    origin = np.arange(100) * 3600
    together = model("lightgbm").predict(history, origin)

    alone = [model("lightgbm").predict(history[[row]], origin[[row]])[0] for row in (0, 37, 99)]
    np.testing.assert_allclose(together[[0, 37, 99]], alone, rtol=1e-5)
