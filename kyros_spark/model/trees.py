"""Hold a tree ensemble as flat arrays, whatever library it came from.

Every split asks `value < cut` (left) or not (right), or whether a category is in a set
(category_sets.py); a missing value goes where the split says.
Splits and leaves are numbered apart within a tree: a child >= 0 is a split, a child < 0 is leaf
`~child`. A child split always has a larger number than its parent, so a walk must end.
"""

from dataclasses import dataclass, field, fields

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.category_sets import NO_SET, CategorySets, distinct_sets

MAX_FEATURES = 16_384
MAX_TREES = 1_000_000
MAX_NODES = 2**31 - 1


@dataclass(frozen=True)
class TreeArrays:
    """A tree ensemble.

    cut_value           float32 or float64: each feature's thresholds, ascending, without repeats;
                        values are compared in this precision
    cut_start           int64[features + 1]: where each feature's cuts begin
    tree_start          int64[trees + 1]: where each tree's splits begin; its leaves begin at
                        tree_start[t] + t, since a tree has one leaf more than splits
    split_cut           int32: index into cut_value, which also tells the feature; beyond its end,
                        the split is one by set `split_cut - cut_value.size`
    split_missing_left  uint8: 1 when a missing value goes left
    split_left, split_right  int32: the children
    leaf_value          float32 or float64: scores are summed in this precision, in tree order
    sets                the category sets' arrays, or none: set_feature int32[sets], ascending;
                        set_start int64[sets + 1], set_bits uint8, set_other_right uint8[sets] as in
                        category_sets.py, no two sets of a feature alike
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

    def as_dict(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, as a model file stores them."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "sets"}
        return own | self.sets

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
    """A tree ensemble as libraries store it: splits and leaves in one numbering, root 0.

    tree_start    int64[trees + 1]: where each tree's nodes begin in the arrays below
    left, right   children, numbered within the tree; left < 0 marks a leaf
    feature, threshold, missing_left   of a split: `value < threshold` goes left
    value         of a leaf
    sets          the category sets, where there are any, and
    set_number    of each node: the set of a split by categories, else NO_SET
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


def trees_from_nodes(nodes: RawNodes, n_features: int) -> TreeArrays:
    """Renumber a library's nodes; thresholds and leaf values keep their precision.

    Nodes that no path reaches (pruned ones) are dropped. Raises ModelFormatError when the nodes
    are not trees, ModelNotSupportedError beyond the declared limits.
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
    split, base = order[is_split], nodes.tree_start[tree[is_split]]
    feature, threshold = nodes.feature[split].astype(np.int64), nodes.threshold[split]
    if feature.size and (feature.min() < 0 or feature.max() >= n_features):
        raise ModelFormatError(f"a split asks for feature {feature.max()} of {n_features}")
    by_set = np.full(split.size, NO_SET) if nodes.set_number is None else nodes.set_number[split]
    numeric = by_set == NO_SET
    if np.isnan(threshold[numeric]).any():
        raise ModelFormatError("a split's threshold is NaN")
    cut_value, cut_start, cut = distinct_cuts(feature[numeric], threshold[numeric], n_features)
    split_cut = np.empty(split.size, np.int32)
    sets: dict[str, np.ndarray] = {}
    split_cut[numeric] = cut
    if nodes.sets is not None and not numeric.all():
        sets, number_of_set = distinct_sets(nodes.sets, feature[~numeric], by_set[~numeric])
        split_cut[~numeric] = cut_value.size + number_of_set
    return TreeArrays(
        cut_value=cut_value,
        cut_start=cut_start,
        tree_start=tree_start,
        split_cut=split_cut,
        split_missing_left=nodes.missing_left[split].astype(np.uint8),
        split_left=number[nodes.left[split] + base].astype(np.int32),
        split_right=number[nodes.right[split] + base].astype(np.int32),
        leaf_value=np.ascontiguousarray(nodes.value[order[~is_split]]),
        sets=sets,
    )


def _check_limits(nodes: RawNodes, n_features: int) -> None:
    limits = {
        "features": (n_features, MAX_FEATURES),
        "trees": (nodes.tree_start.size - 1, MAX_TREES),
        "nodes": (nodes.left.size, MAX_NODES),
    }
    for what, (found, most) in limits.items():
        if found > most:
            raise ModelNotSupportedError(f"the model has {found} {what}, the engine takes {most}")


def _breadth_first(nodes: RawNodes) -> tuple[np.ndarray, np.ndarray]:
    """List the reachable nodes tree by tree, each level by level, and the tree of each."""
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
    """Sort and number the distinct (feature, threshold) pairs; -0.0 and 0.0 are one threshold.

    Returns the thresholds, where each feature's begin (int64), and each pair's number (int32).
    """
    threshold = threshold + threshold.dtype.type(0)
    order = np.lexsort((threshold, feature))
    by_feature, by_value = feature[order], threshold[order]
    new = np.ones(order.size, bool)
    new[1:] = (by_feature[1:] != by_feature[:-1]) | (by_value[1:] != by_value[:-1])
    number = np.empty(order.size, np.int32)
    number[order] = np.cumsum(new) - 1
    counts = np.bincount(by_feature[new], minlength=n_features)
    return by_value[new], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), number
