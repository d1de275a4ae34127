"""Hold a tree ensemble as flat arrays, whatever library it came from.

A split asks either `value < cut` (yes goes left) or whether a category is in a set
(category_sets.py). A missing value goes where the split says.
Splits and leaves are numbered separately within a tree: a child >= 0 is a split, a child < 0 is
leaf `~child`. A child split always has a larger number than its parent, so every walk ends.
"""

from dataclasses import dataclass, field, fields

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.category_sets import NO_SET, CategorySets, distinct_sets
from kyros_spark.model.covers import covers_of

MAX_FEATURES = 16_384
MAX_TREES = 1_000_000
MAX_NODES = 2**31 - 1


@dataclass(frozen=True)
class TreeArrays:
    """A tree ensemble.

    cut_value           float32 or float64: each feature's distinct thresholds, ascending; values
                        are compared in this precision
    cut_start           int64[features + 1]: where each feature's cuts begin
    tree_start          int64[trees + 1]: where each tree's splits begin; its leaves begin at
                        tree_start[t] + t, since a tree has one more leaf than splits
    split_cut           int32: index into cut_value, which also determines the feature; an index
                        beyond its end means a split by set `split_cut - cut_value.size`
    split_missing_left  uint8: 1 when a missing value goes left
    split_left, split_right  int32: the children
    leaf_value          float32 or float64: scores are summed in this precision, in tree order
    sets                the category sets' arrays, if there are any: set_feature int32[sets],
                        ascending; set_start int64[sets + 1], set_bits uint8 and set_other_right
                        uint8[sets] as in category_sets.py; a feature's sets all differ
    covers              the nodes' covers, if the library gives them (covers.py): split_cover
                        float64[splits], leaf_cover float64[leaves]
    """

    cut_value: np.ndarray
    cut_start: np.ndarray
    tree_start: np.ndarray
    split_cut: np.ndarray
    split_missing_left: np.ndarray
    split_left: np.ndarray
    split_right: np.ndarray
    leaf_value: np.ndarray
    sets: dict[str, np.ndarray] = field(default_factory=dict)
    covers: dict[str, np.ndarray] = field(default_factory=dict)

    def as_dict(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, as a model file stores them."""
        names = [item.name for item in fields(self) if item.name not in ("sets", "covers")]
        return {name: getattr(self, name) for name in names} | self.sets | self.covers

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return self.tree_start.size - 1

    @property
    def n_features(self) -> int:
        """Number of features, used or not."""
        return self.cut_start.size - 1


@dataclass(frozen=True)
class RawNodes:
    """A tree ensemble as libraries store it: splits and leaves share one numbering, the root is 0.

    tree_start    int64[trees + 1]: where each tree's nodes begin in the arrays below
    left, right   integers[nodes]: children, numbered within the tree; left < 0 marks a leaf
    feature, threshold, missing_left   [nodes]: describe a split; `value < threshold` goes left
    value         float32 or float64, [nodes] or [nodes, outputs]: what a leaf adds to the score
    sets          the category sets, if there are any
    set_number    integers[nodes]: the set of a split by categories, NO_SET for all other nodes
    cover         floats[nodes]: the training rows that passed the node, in the library's measure
    """

    tree_start: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    sets: CategorySets | None = None
    set_number: np.ndarray | None = None
    cover: np.ndarray | None = None


def trees_from_nodes(nodes: RawNodes, n_features: int) -> TreeArrays:
    """Renumber a library's nodes; thresholds and leaf values keep their precision.

    Nodes that no path reaches (pruned ones) are dropped.
    Raises ModelFormatError when the nodes are not trees, ModelNotSupportedError beyond the limits
    MAX_FEATURES, MAX_TREES and MAX_NODES.
    """
    _check_limits(nodes, n_features)
    order, tree = _breadth_first(nodes)
    is_split = nodes.left[order] >= 0
    n_trees = nodes.tree_start.size - 1
    splits = np.bincount(tree[is_split], minlength=n_trees)
    tree_start = np.concatenate([[0], np.cumsum(splits)]).astype(np.int64)
    number = np.zeros(nodes.left.size, np.int64)
    number[order[is_split]] = np.arange(splits.sum()) - tree_start[tree[is_split]]
    leaf_start = tree_start[:-1] + np.arange(n_trees)
    number[order[~is_split]] = ~(np.arange(order.size - splits.sum()) - leaf_start[tree[~is_split]])
    split, tree_base = order[is_split], nodes.tree_start[tree[is_split]]
    feature, threshold = nodes.feature[split].astype(np.int64), nodes.threshold[split]
    if feature.size and (feature.min() < 0 or feature.max() >= n_features):
        raise ModelFormatError(f"a split asks for feature {feature.max()} of {n_features}")
    set_number = (
        np.full(split.size, NO_SET) if nodes.set_number is None else nodes.set_number[split]
    )
    numeric = set_number == NO_SET
    if np.isnan(threshold[numeric]).any():
        raise ModelFormatError("a split's threshold is NaN")
    cut_value, cut_start, cut = distinct_cuts(feature[numeric], threshold[numeric], n_features)
    split_cut = np.empty(split.size, np.int32)
    sets: dict[str, np.ndarray] = {}
    split_cut[numeric] = cut
    if nodes.sets is not None and not numeric.all():
        sets, number_of_set = distinct_sets(nodes.sets, feature[~numeric], set_number[~numeric])
        split_cut[~numeric] = cut_value.size + number_of_set
    left = number[nodes.left[split] + tree_base].astype(np.int32)
    right = number[nodes.right[split] + tree_base].astype(np.int32)
    return TreeArrays(
        cut_value=cut_value,
        cut_start=cut_start,
        tree_start=tree_start,
        split_cut=split_cut,
        split_missing_left=nodes.missing_left[split].astype(np.uint8),
        split_left=left,
        split_right=right,
        leaf_value=np.ascontiguousarray(nodes.value[order[~is_split]]),
        sets=sets,
        covers=covers_of(nodes.cover, split, order[~is_split], tree_start, (left, right)),
    )


def _check_limits(nodes: RawNodes, n_features: int) -> None:
    limits = {
        "features": (n_features, MAX_FEATURES),
        "trees": (nodes.tree_start.size - 1, MAX_TREES),
        "nodes": (nodes.left.size, MAX_NODES),
    }
    for noun, (count, limit) in limits.items():
        if count > limit:
            raise ModelNotSupportedError(f"the model has {count} {noun}, the engine takes {limit}")


def _breadth_first(nodes: RawNodes) -> tuple[np.ndarray, np.ndarray]:
    """Return the reachable nodes, tree by tree and level by level, and each node's tree."""
    sizes = np.diff(nodes.tree_start)
    if sizes.size and sizes.min() < 1:
        raise ModelFormatError(f"tree {int(sizes.argmin())} has no nodes")
    tree_of = np.repeat(np.arange(sizes.size), sizes)
    parents = np.flatnonzero(nodes.left >= 0)
    children = np.stack([nodes.left[parents], nodes.right[parents]], axis=1).astype(np.int64)
    outside = (children < 1) | (children >= sizes[tree_of[parents]][:, None])
    if outside.any():
        raise ModelFormatError(f"tree {tree_of[parents[outside.any(1)][0]]}: child out of range")
    children += nodes.tree_start[tree_of[parents]][:, None]
    if np.bincount(children.ravel(), minlength=1).max(initial=0) > 1:
        raise ModelFormatError("a node has two parents, so the nodes are not trees")
    row_of = np.full(nodes.left.size, -1, np.int64)
    row_of[parents] = np.arange(parents.size)
    levels = [nodes.tree_start[:-1]]
    while levels[-1].size:
        rows = row_of[levels[-1]]
        levels.append(children[rows[rows >= 0]].ravel())
    order = np.concatenate(levels)
    order = order[np.argsort(tree_of[order], kind="stable")]
    return order, tree_of[order]


def distinct_cuts(
    feature: np.ndarray, threshold: np.ndarray, n_features: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort and number the distinct (feature, threshold) pairs; -0.0 and 0.0 count as one.

    feature    integers[splits]
    threshold  float32 or float64[splits]

    Returns the thresholds in the same precision, where each feature's begin (int64[features + 1]),
    and each pair's number among them (int32[splits]).
    """
    threshold = threshold + threshold.dtype.type(0)
    order = np.lexsort((threshold, feature))
    by_feature, by_value = feature[order], threshold[order]
    is_new = np.ones(order.size, bool)
    is_new[1:] = (by_feature[1:] != by_feature[:-1]) | (by_value[1:] != by_value[:-1])
    number = np.empty(order.size, np.int32)
    number[order] = np.cumsum(is_new) - 1
    counts = np.bincount(by_feature[is_new], minlength=n_features)
    return by_value[is_new], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), number
