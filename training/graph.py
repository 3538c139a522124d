"""How is an ONNX graph written down? Operators and constants in order, then one file.

The only file that knows the `onnx` package. Must not know what a graph computes, nor run one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

# Old enough for every ONNX Runtime that the controller accepts, new enough for all operators used here.
_OPSET = 20
_ML_OPSET = 3
_IR_VERSION = 9

Attribute = int | float | str | Sequence[int] | Sequence[float] | Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph under construction that takes the contract's inputs. Values are known by their name."""

    context: int
    history: str = "history"
    origin: str = "origin"
    _nodes: list[onnx.NodeProto] = field(default_factory=list)
    _constants: list[onnx.TensorProto] = field(default_factory=list)
    _known: dict[bytes, str] = field(default_factory=dict)  # what a node or constant holds, and its name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Attribute) -> str:
        """One operator; the name of its first output. The same one on the same values is computed once."""
        node = helper.make_node(operator, inputs, [], domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        return self._kept_node(node)

    def constant(self, value: ArrayLike | NDArray[np.generic], dtype: type[np.generic] = np.float32) -> str:
        """A constant of the given type; equal ones are stored once."""
        return self._kept_constant(numpy_helper.from_array(np.asarray(value, dtype)))

    def integers(self, value: ArrayLike) -> str:
        """A constant int64, as shapes, axes and indices need."""
        return self.constant(value, np.int64)

    def embed(self, other: Graph, value: str, *, history: str | None = None) -> str:
        """All operators of `other` on the value `history` of this graph instead of the input.

        The name that `value` of `other` has here. What this graph computes already is not computed again.
        """
        names = {other.history: history or self.history, other.origin: self.origin, "": ""}
        for tensor in other._constants:  # of the same class
            names[tensor.name] = self._kept_constant(_unnamed(tensor))
        for node in other._nodes:  # as above
            copied = _unnamed(node)
            copied.input[:] = [names[name] for name in node.input]
            del copied.output[:]
            names[node.output[0]] = self._kept_node(copied)
        return names[value]

    def _kept_node(self, node: onnx.NodeProto) -> str:
        """`node` has neither name nor outputs yet."""
        key = _digest(node)
        if key not in self._known:
            node.name = self._known[key] = f"{node.op_type.lower()}_{len(self._nodes)}"
            node.output[:] = [node.name]
            self._nodes.append(node)
        return self._known[key]

    def _kept_constant(self, tensor: onnx.TensorProto) -> str:
        """`tensor` has no name yet."""
        key = _digest(tensor)
        if key not in self._known:
            tensor.name = self._known[key] = f"constant_{len(self._constants)}"
            self._constants.append(tensor)
        return self._known[key]

    def to_bytes(self, output: str, name: str, sizes: Sequence[int | str], metadata: Mapping[str, str]) -> bytes:
        """The ONNX file whose only output is the value `output`, float32, called `name`, of the shape `sizes`."""
        nodes = [*self._nodes, helper.make_node("Identity", [output], [name])]
        graph = helper.make_graph(
            nodes,
            "forecaster",
            [
                helper.make_tensor_value_info(self.history, TensorProto.FLOAT, ["batch", self.context]),
                helper.make_tensor_value_info(self.origin, TensorProto.INT64, ["batch"]),
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)],
            self._constants,
        )
        imports = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)


Part = TypeVar("Part", onnx.NodeProto, onnx.TensorProto)


def _unnamed(part: Part) -> Part:
    copy = type(part)()
    copy.CopyFrom(part)
    copy.name = ""
    return copy


def _digest(part: onnx.NodeProto | onnx.TensorProto) -> bytes:
    return hashlib.sha256(type(part).__name__.encode() + part.SerializeToString(deterministic=True)).digest()
