"""Read ONNX's tree ensembles: opsets 1 and 3 of ai.onnx.ml (Regressor, Classifier), and opset 5.

A node asks `value MODE threshold`; where that is true it goes to the true child, a missing value to
the false child unless nodes_missing_value_tracks_true says otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.cuts import cut_of_at_most, with_every_value_cuts
from kyros_spark.model.trees import RawNodes

Attributes = Mapping[str, Any]
SUPPORTED_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT")
MODES = np.array([*SUPPORTED_MODES, "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"])  # by number


@dataclass(frozen=True)
class _Nodes:
    """Nodes of all trees in one row: splits first children of nothing, children by position."""

    tree: np.ndarray
    true: np.ndarray
    false: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    mode: np.ndarray
    missing_true: np.ndarray
    value: np.ndarray


def nodes_of_ensemble(
    attributes: Attributes, prefix: str, single: bool, outputs: int = 1
) -> RawNodes:
    """Return the nodes of a TreeEnsembleRegressor (prefix target) or -Classifier (prefix class).

    single   whether values arrive as float32
    outputs  with several, a leaf's value is a vector: its weight for each class
    """
    ids = {
        name: np.asarray(attributes[f"nodes_{name}"], np.int64) for name in ("treeids", "nodeids")
    }
    order = np.lexsort((ids["nodeids"], ids["treeids"]))
    tree, node = ids["treeids"][order], ids["nodeids"][order]
    lookup = _Lookup(tree, node)
    mode = np.array(attributes["nodes_modes"])[order]
    is_split = mode != "LEAF"
    true, false = np.full(tree.size, -1), np.full(tree.size, -1)
    for child, name in ((true, "truenodeids"), (false, "falsenodeids")):
        number = np.asarray(attributes[f"nodes_{name}"], np.int64)[order]
        child[is_split] = lookup.places(tree[is_split], number[is_split])
    weights = _weights(attributes, f"{prefix}_weights")
    value = np.zeros(tree.size * outputs, weights.dtype)
    leaf = lookup.places(attributes[f"{prefix}_treeids"], attributes[f"{prefix}_nodeids"])
    place = leaf if outputs == 1 else leaf * outputs + _inside(attributes["class_ids"], outputs)
    if np.unique(place).size != place.size or is_split[leaf].any():
        raise ModelNotSupportedError("ONNX model: several weights on one leaf, or one on a split")
    value[place] = weights
    value = value if outputs == 1 else value.reshape(-1, outputs)
    missing = np.asarray(attributes.get("nodes_missing_value_tracks_true", np.zeros(tree.size)))
    found = _Nodes(
        tree=np.unique(tree, return_inverse=True)[1],
        true=true,
        false=false,
        feature=np.asarray(attributes["nodes_featureids"], np.int64)[order],
        threshold=_weights(attributes, "nodes_values")[order].astype(np.float64),
        mode=mode,
        missing_true=missing[order].astype(np.uint8),
        value=value,
    )
    return _raw_nodes(_roots_first(found), single)


def nodes_of_opset_5(attributes: Attributes, single: bool) -> RawNodes:
    """Return the nodes of a TreeEnsemble, which numbers splits and leaves apart."""
    roots = np.asarray(attributes["tree_roots"], np.int64)
    child = {
        side: np.asarray(attributes[f"nodes_{side}nodeids"], np.int64) for side in ("true", "false")
    }
    is_leaf = {side: np.asarray(attributes[f"nodes_{side}leafs"], np.int64) != 0 for side in child}
    weights = attributes["leaf_weights"]
    order, tree = _reached(roots, child, is_leaf)
    place = np.zeros(child["true"].size, np.int64)
    place[order] = np.arange(order.size)
    parts, trees, moved = [weights[:0]], [tree], {}
    size = order.size
    for side, number in child.items():
        leaf = is_leaf[side][order]
        at = np.where(leaf, 0, place[np.where(leaf, 0, number[order])])
        at[leaf] = size + np.arange(int(leaf.sum()))
        parts.append(weights[_inside(number[order][leaf], weights.size)])
        trees.append(tree[leaf])
        moved[side], size = at, size + int(leaf.sum())
    leaves = size - order.size
    mode = MODES[_inside(attributes["nodes_modes"], MODES.size)][order]
    missing = attributes.get("nodes_missing_value_tracks_true", np.zeros(place.size, np.int64))
    none = np.full(leaves, -1)
    found = _Nodes(
        tree=np.concatenate(trees),
        true=np.concatenate([moved["true"], none]),
        false=np.concatenate([moved["false"], none]),
        feature=np.concatenate([np.asarray(attributes["nodes_featureids"])[order], none]),
        threshold=np.concatenate([attributes["nodes_splits"][order], np.zeros(leaves)]),
        mode=np.concatenate([mode, np.full(leaves, "LEAF")]),
        missing_true=np.concatenate([missing[order], np.zeros(leaves)]).astype(np.uint8),
        value=np.concatenate([np.zeros(order.size, weights.dtype), *parts]),
    )
    return _raw_nodes(_roots_first(found), single)


class _Lookup:
    """Find nodes by tree and number."""

    def __init__(self, tree: np.ndarray, node: np.ndarray) -> None:
        if tree.size == 0 or min(tree.min(), node.min()) < 0 or max(tree.max(), node.max()) >> 31:
            raise ModelFormatError("ONNX model: no nodes, or tree or node ids out of range")
        self.keys = tree << 31 | node
        if (self.keys[1:] == self.keys[:-1]).any():
            raise ModelFormatError("ONNX model: a node id occurs twice in a tree")

    def places(self, tree: Any, node: Any) -> np.ndarray:
        keys = np.asarray(tree, np.int64) << 31 | np.asarray(node, np.int64)
        found = np.minimum(np.searchsorted(self.keys, keys), self.keys.size - 1)
        if (self.keys[found] != keys).any():
            raise ModelFormatError("ONNX model: a tree refers to a node that it does not have")
        return found


def _weights(attributes: Attributes, name: str) -> np.ndarray:
    """Return float32 values, or the float64 ones of opset 3's tensors."""
    return np.asarray(attributes.get(f"{name}_as_tensor", attributes.get(name)))


def _inside(index: Any, size: int) -> np.ndarray:
    numbers = np.asarray(index, np.int64)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= size):
        raise ModelFormatError(f"ONNX model: index {numbers.max()} into {size} entries")
    return numbers


def _reached(
    roots: np.ndarray, child: dict[str, np.ndarray], is_leaf: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """List the splits that the roots reach, and the tree of each."""
    count = child["true"].size
    levels, trees = [_inside(roots, count)], [np.arange(roots.size)]
    while levels[-1].size:
        level, tree = levels[-1], trees[-1]
        inner = {side: ~is_leaf[side][level] for side in child}
        below = [child[side][level[inner[side]]] for side in child]
        levels.append(_inside(np.concatenate(below), count))
        trees.append(np.concatenate([tree[inner[side]] for side in child]))
        if sum(one.size for one in levels) > count:
            raise ModelFormatError("ONNX model: a node has two parents, so the nodes are not trees")
    return np.concatenate(levels), np.concatenate(trees)


def _roots_first(nodes: _Nodes) -> _Nodes:
    """Sort the nodes by tree, each tree's root, the one that is no child, before the others."""
    is_root = np.ones(nodes.tree.size, np.int64)
    split = nodes.true >= 0
    is_root[nodes.true[split]] = 0
    is_root[nodes.false[split]] = 0
    roots = np.bincount(nodes.tree, weights=is_root)
    if (roots != 1).any():
        raise ModelFormatError(f"ONNX model: a tree has {int(roots.max())} roots")
    order = np.lexsort((1 - is_root, nodes.tree))
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    sizes = np.bincount(nodes.tree)
    start = (np.cumsum(sizes) - sizes)[nodes.tree[order]]
    children = {}
    for side in ("true", "false"):
        child = getattr(nodes, side)[order]
        children[side] = np.where(child >= 0, place[child] - start, -1)
    rest = {
        name: getattr(nodes, name)[order]
        for name in ("tree", "feature", "threshold", "mode", "missing_true", "value")
    }
    return _Nodes(**children, **rest)


def _raw_nodes(nodes: _Nodes, single: bool) -> RawNodes:
    """Ask `value < cut` for every mode; > and >= are the opposites of <= and <."""
    unknown = set(nodes.mode.tolist()) - {*SUPPORTED_MODES, "LEAF"}
    if unknown:
        raise ModelNotSupportedError(f"ONNX model: splits {sorted(unknown)} are not supported")
    opposite = np.isin(nodes.mode, ("BRANCH_GT", "BRANCH_GTE")) & (nodes.true >= 0)
    at_most = np.isin(nodes.mode, ("BRANCH_LEQ", "BRANCH_GT"))
    if np.isnan(nodes.threshold[nodes.true >= 0]).any():
        raise ModelFormatError("ONNX model: a split's threshold is NaN")
    cut = np.where(at_most, cut_of_at_most(nodes.threshold), nodes.threshold)
    raw = RawNodes(
        tree_start=np.concatenate([[0], np.cumsum(np.bincount(nodes.tree))]).astype(np.int64),
        left=np.where(opposite, nodes.false, nodes.true),
        right=np.where(opposite, nodes.true, nodes.false),
        feature=nodes.feature,
        threshold=_single(cut) if single else cut,
        missing_left=np.where(opposite, 1 - nodes.missing_true, nodes.missing_true),
        value=nodes.value,
    )
    return with_every_value_cuts(raw)


def _single(cut: np.ndarray) -> np.ndarray:
    """Return the smallest float32 not below each cut: float32 values compare with it alike."""
    with np.errstate(over="ignore"):
        rounded = cut.astype(np.float32)
        return np.where(rounded < cut, np.nextafter(rounded, np.float32(np.inf)), rounded)
