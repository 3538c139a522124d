"""How is an ONNX graph written down? Operators and constants in order, then one file.

The only file that knows the `onnx` package. Must not know what a graph computes, nor run one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    _constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Attribute) -> str:
        """One operator; the name of its first output."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        node = helper.make_node(operator, inputs, [name], name, domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self._nodes.append(node)
        return name

    def constant(self, value: ArrayLike | NDArray[np.generic], dtype: type[np.generic] = np.float32) -> str:
        """A constant of the given type; equal ones are stored once."""
        array = np.asarray(value, dtype)
        tensor = numpy_helper.from_array(array)
        key = f"{array.dtype}_{array.shape}_{tensor.raw_data.hex() if array.size < _SHARED else len(self._constants)}"
        if key not in self._constants:
            tensor.name = f"constant_{len(self._constants)}"
            self._constants[key] = tensor
        return self._constants[key].name

    def integers(self, value: ArrayLike) -> str:
        """A constant int64, as shapes, axes and indices need."""
        return self.constant(value, np.int64)

    def embed(self, other: Graph, value: str, *, history: str | None = None) -> str:
        """All operators of `other` once more, on the value `history` of this graph instead of the input.

        The name that `value` of `other` has here.
        """
        prefix = f"part_{len(self._nodes)}_"
        names = {other.history: history or self.history, other.origin: self.origin}
        for key, tensor in other._constants.items():  # of the same class
            names[tensor.name] = f"{prefix}{tensor.name}"
            copy = self._constants[f"{prefix}{key}"] = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = names[tensor.name]
        for node in other._nodes:  # as above
            names.update({name: f"{prefix}{name}" for name in node.output})
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            copied.name = f"{prefix}{node.name}"
            copied.input[:] = [names[name] if name else name for name in node.input]
            copied.output[:] = [names[name] for name in node.output]
            self._nodes.append(copied)
        return names[value]

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
            list(self._constants.values()),
        )
        imports = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return]  # protobuf is not typed


_SHARED = 64  # constants smaller than this are looked up by value
