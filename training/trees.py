"""How are boosted trees written for ONNX? The lists that one TreeEnsembleRegressor node is made of.

Must not know what the trees were fitted on, nor what their sums mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Attributes = dict[str, list[int] | list[float] | list[str]]
Node = Mapping[str, Any]  # a split or a leaf, as LightGBM's `dump_model` gives it


@dataclass(slots=True, kw_only=True)
class TreeEnsemble:
    """All trees of a graph; each adds its leaf to one target."""

    tree: list[int] = field(default_factory=list)
    node: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    mode: list[str] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    leaf_tree: list[int] = field(default_factory=list)
    leaf_node: list[int] = field(default_factory=list)
    leaf_target: list[int] = field(default_factory=list)
    leaf_value: list[float] = field(default_factory=list)
    trees: int = 0

    def add(self, model: Node, target: int, features: Sequence[int]) -> None:
        """All trees of a `dump_model`; `features`: which column of the matrix each of its features is."""
        for tree in model["tree_info"]:
            self._add_tree(tree["tree_structure"], target, features)

    def attributes(self) -> Attributes:
        """By the operator's names."""
        return {
            "nodes_treeids": self.tree,
            "nodes_nodeids": self.node,
            "nodes_featureids": self.feature,
            "nodes_values": self.threshold,
            "nodes_modes": self.mode,
            "nodes_truenodeids": self.left,
            "nodes_falsenodeids": self.right,
            "target_treeids": self.leaf_tree,
            "target_nodeids": self.leaf_node,
            "target_ids": self.leaf_target,
            "target_weights": self.leaf_value,
        }

    def _add_tree(self, root: Node, target: int, features: Sequence[int]) -> None:
        numbered = list(_breadth_first(root))
        number = {id(node): place for place, node in enumerate(numbered)}
        for node in numbered:
            if "leaf_value" in node:
                self._add_leaf(number[id(node)], target, node["leaf_value"])
            else:
                self._add_split(number, node, features)
        self.trees += 1

    def _add_split(self, number: Mapping[int, int], node: Node, features: Sequence[int]) -> None:
        self._add_node(number[id(node)], "BRANCH_LEQ", features[node["split_feature"]], _floor(node["threshold"]))
        self.left.append(number[id(node["left_child"])])
        self.right.append(number[id(node["right_child"])])

    def _add_leaf(self, number: int, target: int, value: float) -> None:
        self._add_node(number, "LEAF", 0, 0.0)
        self.left.append(0)
        self.right.append(0)
        self.leaf_tree.append(self.trees)
        self.leaf_node.append(number)
        self.leaf_target.append(target)
        self.leaf_value.append(value)

    def _add_node(self, number: int, mode: str, feature: int, threshold: float) -> None:
        self.tree.append(self.trees)
        self.node.append(number)
        self.mode.append(mode)
        self.feature.append(feature)
        self.threshold.append(threshold)


def _breadth_first(root: Node) -> Iterator[Node]:
    row = [root]
    while row:
        yield from row
        row = [child for node in row for child in (node.get("left_child"), node.get("right_child")) if child]


def _floor(threshold: float) -> float:
    """The largest float32 that is not above `threshold`: float32 features then fall on the same side as in training."""
    rounded = np.float32(threshold)
    return float(rounded if rounded <= threshold else np.nextafter(rounded, np.float32(-np.inf)))
