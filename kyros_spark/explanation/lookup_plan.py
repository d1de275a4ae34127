"""Plan the look-up of contributions: groups of leaves, their conditions, where tables lie."""

from dataclasses import dataclass

import numpy as np

from kyros_spark.explanation.edges import TreeEdges
from kyros_spark.explanation.kernel_calls import run
from kyros_spark.kernels.row_bits import BLOCK_ROWS
from kyros_spark.kernels.shapley_groups import (
    BITS,
    CONDITIONS,
    FIRST,
    NO_GROUP,
    TOP,
    choose_groups,
    describe_groups,
    order_leaves,
)
from kyros_spark.scoring.kernel_calls import frozen

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class LookupPlan:
    """What kernels/shapley_lookup.py and shapley_tables.py read of a model beside its tables.

    leaves, groups, conditions, features  see kernels/shapley_groups.py
    group_start   int64[trees + 1]: where each tree's groups begin
    columns       int64, beside `features`: where each feature's table column begins, in entries
    entries       the number of entries of all tables
    index_start   int64[groups]: where its indices begin, in bytes, counted within its tree
    index_bytes   the bytes of the largest tree's indices
    run_start, runs, uses  see kernels/shapley_lookup.py
    by_quadrature bool[leaves], in the model's order: the leaves that are in no group
    """

    leaves: np.ndarray
    groups: np.ndarray
    conditions: np.ndarray
    features: np.ndarray
    group_start: np.ndarray
    columns: np.ndarray
    entries: int
    index_start: np.ndarray
    index_bytes: int
    run_start: np.ndarray
    runs: np.ndarray
    uses: np.ndarray
    by_quadrature: np.ndarray


def plan_lookup(
    model: Arrays, edges: TreeEdges, costs: np.ndarray, leaf_costs: np.ndarray
) -> LookupPlan:
    """Choose the groups of a tree model and lay them out.

    costs       float64[most bits + 1, 2], leaf_costs float64[trees]: see shapley_groups
    """
    tree_start = frozen(model["tree_start"])
    feature, above = frozen(edges.feature), frozen(edges.above)
    leaf_edge = frozen(edges.leaf_edge)
    leaves = np.zeros((leaf_edge.size, 3), np.int32)
    run(order_leaves, tree_start, frozen(model["split_left"]), frozen(model["split_right"]), leaves)
    leaves = frozen(leaves)
    chosen = np.zeros((leaf_edge.size, 4), np.int32)
    links = (feature, above, frozen(edges.distinct), leaf_edge, leaves)
    stamp = np.zeros(int(feature.max(initial=0)) + 1, np.int64)
    run(choose_groups, tree_start, *links, frozen(costs), frozen(leaf_costs), stamp, chosen)
    groups = _group_rows(tree_start, chosen)
    conditions = np.zeros(groups[-1, 5], np.int64)
    features = np.zeros(groups[-1, 6], np.int32)
    stamp[:] = -1
    paths = (feature, above, leaf_edge, leaves)
    run(describe_groups, tree_start, *paths, groups, stamp, conditions, features)
    return _laid_out(tree_start, leaves, groups, conditions, features)


def _group_rows(tree_start: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return int64[groups + 1, 8] for describe_groups; a group has at most a feature per bit."""
    last = np.flatnonzero(chosen[:, FIRST] != NO_GROUP)
    groups = np.zeros((last.size + 1, 8), np.int64)
    leaf_start = tree_start + np.arange(tree_start.size)
    groups[:-1, 0] = np.searchsorted(leaf_start, last, "right") - 1
    groups[:-1, 1], groups[:-1, 2] = chosen[last, FIRST], last
    groups[:-1, 3], groups[:-1, 4] = chosen[last, BITS], chosen[last, TOP]
    groups[1:, 5], groups[1:, 6] = chosen[last, CONDITIONS].cumsum(), groups[:-1, 3].cumsum()
    return groups


def _laid_out(
    tree_start: np.ndarray,
    leaves: np.ndarray,
    groups: np.ndarray,
    conditions: np.ndarray,
    features: np.ndarray,
) -> LookupPlan:
    tree, bits, counts = groups[:-1, 0], groups[:-1, 3], groups[:-1, 7]
    trees = np.arange(tree_start.size)
    group_start = np.searchsorted(tree, trees)
    widths = np.where(bits > 8, 2 * BLOCK_ROWS, BLOCK_ROWS)
    index_start = _starts(widths)
    first_index = index_start[group_start]
    # one use per table column, sorted by tree, feature and width
    group = np.repeat(np.arange(tree.size), counts)
    column = np.arange(group.size) - np.repeat(_starts(counts)[:-1], counts)
    used = features[groups[group, 6] + column]
    wide = bits[group] > 8
    order = np.lexsort((wide, used, tree[group]))
    column_start = _starts((1 << bits[group])[order])  # tables lie in the order of their use
    uses = np.zeros((order.size + 1, 2), np.int64)
    uses[:-1, 0] = (index_start[group] - first_index[tree[group]])[order]
    uses[:, 1] = 8 * column_start
    columns = np.zeros(features.size, np.int64)
    columns[(groups[group, 6] + column)[order]] = column_start[:-1]
    keys = np.stack([tree[group], used], axis=1)[order]
    is_first = np.ones(order.size, bool)
    is_first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    begin = np.flatnonzero(is_first)
    is_wide = np.concatenate([[0], wide[order].cumsum()])
    end = np.append(begin[1:], order.size)
    n_wide = is_wide[end] - is_wide[begin] if order.size else begin[:0]
    runs = np.stack([keys[begin, 1], begin, end[: begin.size] - begin - n_wide, n_wide], axis=1)
    in_group = np.zeros(leaves.shape[0], bool)
    sizes = groups[:-1, 2] - groups[:-1, 1] + 1
    rows = np.repeat(groups[:-1, 1] - _starts(sizes)[:-1], sizes) + np.arange(sizes.sum())
    leaf_start = tree_start + trees
    in_group[leaf_start[np.repeat(tree, sizes)] + leaves[rows, 0]] = True
    return LookupPlan(
        leaves=leaves,
        groups=frozen(groups),
        conditions=frozen(conditions),
        features=frozen(features),
        group_start=frozen(group_start),
        columns=frozen(columns),
        entries=int(column_start[-1]),
        index_start=frozen(index_start[:-1] - first_index[tree]),
        index_bytes=int(np.diff(first_index).max(initial=0)),
        run_start=frozen(np.searchsorted(keys[begin, 0], trees)),
        runs=frozen(runs.astype(np.int64)),
        uses=frozen(uses.astype(np.int64)),
        by_quadrature=~in_group,
    )


def _starts(sizes: np.ndarray) -> np.ndarray:
    starts: np.ndarray = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return starts
