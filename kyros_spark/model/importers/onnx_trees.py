"""Read ONNX's tree ensembles: opsets 1 and 3 of ai.onnx.ml (Regressor, Classifier), and opset 5.

A node asks `value MODE threshold`. A value for which that is true goes to the true child. A missing
value goes to the false child, unless nodes_missing_value_tracks_true says otherwise.
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
MODES = np.array(
    [*SUPPORTED_MODES, "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"]
)  # numbered as in opset 5


@dataclass(frozen=True)
class _Nodes:
    """The nodes of all trees in one sequence; each array has one entry per node.

    tree         int64: the number of the node's tree
    true, false  int64: the positions of a split's children, -1 for a leaf
    feature, threshold, mode, missing_true   of a split
    value        of a leaf: a number, or a row of weights, one per class
    cover        the nodes' hit rates, if the file gives them
    """

    tree: np.ndarray
    true: np.ndarray
    false: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    mode: np.ndarray
    missing_true: np.ndarray
    value: np.ndarray
    cover: np.ndarray | None = None


def nodes_of_ensemble(
    attributes: Attributes, prefix: str, single: bool, outputs: int = 1
) -> RawNodes:
    """Return the nodes of a TreeEnsembleRegressor (prefix target) or -Classifier (prefix class).

    single   whether values arrive as float32
    outputs  when there are several, a leaf's value is a vector of weights, one per class

    Raises ModelFormatError when the nodes are not trees, ModelNotSupportedError for unknown modes
    and for leaves with several weights.
    """
    ids = {
        name: np.asarray(attributes[f"nodes_{name}"], np.int64) for name in ("treeids", "nodeids")
    }
    order = np.lexsort((ids["nodeids"], ids["treeids"]))
    tree, node = ids["treeids"][order], ids["nodeids"][order]
    node_positions = _NodePositions(tree, node)
    mode = np.array(attributes["nodes_modes"])[order]
    is_split = mode != "LEAF"
    true, false = np.full(tree.size, -1), np.full(tree.size, -1)
    for child, name in ((true, "truenodeids"), (false, "falsenodeids")):
        number = np.asarray(attributes[f"nodes_{name}"], np.int64)[order]
        child[is_split] = node_positions.find(tree[is_split], number[is_split])
    weights = _weights(attributes, f"{prefix}_weights")
    value = np.zeros(tree.size * outputs, weights.dtype)
    leaf = node_positions.find(attributes[f"{prefix}_treeids"], attributes[f"{prefix}_nodeids"])
    slot = leaf
    if outputs != 1:
        slot = leaf * outputs + _checked_indices(attributes["class_ids"], outputs)
    if np.unique(slot).size != slot.size or is_split[leaf].any():
        raise ModelNotSupportedError("ONNX model: several weights on one leaf, or one on a split")
    value[slot] = weights
    value = value if outputs == 1 else value.reshape(-1, outputs)
    missing = np.asarray(attributes.get("nodes_missing_value_tracks_true", np.zeros(tree.size)))
    nodes = _Nodes(
        tree=np.unique(tree, return_inverse=True)[1],
        true=true,
        false=false,
        feature=np.asarray(attributes["nodes_featureids"], np.int64)[order],
        threshold=_weights(attributes, "nodes_values")[order].astype(np.float64),
        mode=mode,
        missing_true=missing[order].astype(np.uint8),
        value=value,
        cover=_hit_rates(attributes, order),
    )
    return _raw_nodes(_roots_first(nodes), single)


def nodes_of_opset_5(attributes: Attributes, single: bool) -> RawNodes:
    """Return the nodes of a TreeEnsemble, which numbers splits and leaves separately.

    single  whether values arrive as float32

    Raises ModelFormatError when the nodes are not trees, ModelNotSupportedError for unknown modes.
    """
    roots = np.asarray(attributes["tree_roots"], np.int64)
    child = {
        side: np.asarray(attributes[f"nodes_{side}nodeids"], np.int64) for side in ("true", "false")
    }
    is_leaf = {side: np.asarray(attributes[f"nodes_{side}leafs"], np.int64) != 0 for side in child}
    weights = attributes["leaf_weights"]
    order, tree = _reachable_splits(roots, child, is_leaf)
    position = np.zeros(child["true"].size, np.int64)
    position[order] = np.arange(order.size)
    leaf_values, trees, children = [weights[:0]], [tree], {}
    size = order.size
    for side, number in child.items():
        leaf = is_leaf[side][order]
        child_position = np.where(leaf, 0, position[np.where(leaf, 0, number[order])])
        child_position[leaf] = size + np.arange(int(leaf.sum()))
        leaf_values.append(weights[_checked_indices(number[order][leaf], weights.size)])
        trees.append(tree[leaf])
        children[side], size = child_position, size + int(leaf.sum())
    leaves = size - order.size
    mode = MODES[_checked_indices(attributes["nodes_modes"], MODES.size)][order]
    missing = attributes.get("nodes_missing_value_tracks_true", np.zeros(position.size, np.int64))
    absent = np.full(leaves, -1)
    nodes = _Nodes(
        tree=np.concatenate(trees),
        true=np.concatenate([children["true"], absent]),
        false=np.concatenate([children["false"], absent]),
        feature=np.concatenate([np.asarray(attributes["nodes_featureids"])[order], absent]),
        threshold=np.concatenate([attributes["nodes_splits"][order], np.zeros(leaves)]),
        mode=np.concatenate([mode, np.full(leaves, "LEAF")]),
        missing_true=np.concatenate([missing[order], np.zeros(leaves)]).astype(np.uint8),
        value=np.concatenate([np.zeros(order.size, weights.dtype), *leaf_values]),
    )
    return _raw_nodes(_roots_first(nodes), single)


class _NodePositions:
    """Find the positions of nodes by tree id and node id; the nodes are sorted by both."""

    def __init__(self, tree: np.ndarray, node: np.ndarray) -> None:
        if tree.size == 0 or min(tree.min(), node.min()) < 0 or max(tree.max(), node.max()) >> 31:
            raise ModelFormatError("ONNX model: no nodes, or tree or node ids out of range")
        self.keys = tree << 31 | node
        if (self.keys[1:] == self.keys[:-1]).any():
            raise ModelFormatError("ONNX model: a node id occurs twice in a tree")

    def find(self, tree: Any, node: Any) -> np.ndarray:
        keys = np.asarray(tree, np.int64) << 31 | np.asarray(node, np.int64)
        positions = np.minimum(np.searchsorted(self.keys, keys), self.keys.size - 1)
        if (self.keys[positions] != keys).any():
            raise ModelFormatError("ONNX model: a tree refers to a node that it does not have")
        return positions


def _hit_rates(attributes: Attributes, order: np.ndarray) -> np.ndarray | None:
    """Return the nodes' hit rates, in `order`, or None if the file has none.

    Converters write 1 for every node that they know nothing about.
    """
    rates = _weights(attributes, "nodes_hitrates")
    if rates.size != order.size or (rates == rates.flat[0]).all():
        return None
    return rates[order].astype(np.float64)


def _weights(attributes: Attributes, name: str) -> np.ndarray:
    """Return an attribute's float32 values, or the float64 values of opset 3's tensors."""
    return np.asarray(attributes.get(f"{name}_as_tensor", attributes.get(name)))


def _checked_indices(index: Any, size: int) -> np.ndarray:
    numbers = np.asarray(index, np.int64)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= size):
        raise ModelFormatError(f"ONNX model: index {numbers.max()} into {size} entries")
    return numbers


def _reachable_splits(
    roots: np.ndarray, child: dict[str, np.ndarray], is_leaf: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the splits that the roots reach, level by level, and each split's tree."""
    count = child["true"].size
    levels, trees = [_checked_indices(roots, count)], [np.arange(roots.size)]
    while levels[-1].size:
        level, tree = levels[-1], trees[-1]
        inner = {side: ~is_leaf[side][level] for side in child}
        next_splits = [child[side][level[inner[side]]] for side in child]
        levels.append(_checked_indices(np.concatenate(next_splits), count))
        trees.append(np.concatenate([tree[inner[side]] for side in child]))
        if sum(reached.size for reached in levels) > count:
            raise ModelFormatError("ONNX model: a node has two parents, so the nodes are not trees")
    return np.concatenate(levels), np.concatenate(trees)


def _roots_first(nodes: _Nodes) -> _Nodes:
    """Sort the nodes by tree, each tree's root first, and number children within their tree.

    The root is the one node of a tree that is no child.
    """
    is_root = np.ones(nodes.tree.size, np.int64)
    split = nodes.true >= 0
    is_root[nodes.true[split]] = 0
    is_root[nodes.false[split]] = 0
    roots = np.bincount(nodes.tree, weights=is_root)
    if (roots != 1).any():
        raise ModelFormatError(f"ONNX model: a tree has {int(roots.max())} roots")
    order = np.lexsort((1 - is_root, nodes.tree))
    position = np.empty(order.size, np.int64)
    position[order] = np.arange(order.size)
    sizes = np.bincount(nodes.tree)
    start = (np.cumsum(sizes) - sizes)[nodes.tree[order]]
    children = {}
    for side in ("true", "false"):
        child = getattr(nodes, side)[order]
        children[side] = np.where(child >= 0, position[child] - start, -1)
    other_columns = {
        name: getattr(nodes, name)[order]
        for name in ("tree", "feature", "threshold", "mode", "missing_true", "value")
    }
    cover = None if nodes.cover is None else nodes.cover[order]
    return _Nodes(**children, **other_columns, cover=cover)


def _raw_nodes(nodes: _Nodes, single: bool) -> RawNodes:
    """Translate every mode into `value < cut`; > and >= are the opposites of <= and <."""
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
        cover=nodes.cover,
    )
    return with_every_value_cuts(raw)


def _single(cut: np.ndarray) -> np.ndarray:
    """Round each cut up to float32, which changes no comparison with a float32 value."""
    with np.errstate(over="ignore"):
        rounded = cut.astype(np.float32)
        return np.where(rounded < cut, np.nextafter(rounded, np.float32(np.inf)), rounded)
