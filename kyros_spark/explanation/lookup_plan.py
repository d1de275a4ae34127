"""Plan the look-up of contributions: groups of leaves, their conditions, where tables lie."""

from dataclasses import dataclass

import numpy as np

from kyros_spark.explanation.edges import TreeEdges
from kyros_spark.explanation.kernel_calls import run
from kyros_spark.explanation.lookup_columns import LookupColumns, arrange_columns, starts
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
    begin         int64, beside `features`: where each feature's table column begins, in entries
    columns       the order in which the tables lie
    by_quadrature bool[leaves], in the model's order: the leaves that are in no group
    """

    leaves: np.ndarray
    groups: np.ndarray
    conditions: np.ndarray
    features: np.ndarray
    group_start: np.ndarray
    begin: np.ndarray
    columns: LookupColumns
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
    most = int(np.diff(tree_start).max(initial=0)) + 2
    children = (frozen(model["split_left"]), frozen(model["split_right"]))
    run(order_leaves, tree_start, *children, np.zeros((most, 2), np.int64), leaves)
    leaves = frozen(leaves)
    chosen = np.zeros((leaf_edge.size, 4), np.int32)
    links = (feature, above, frozen(edges.distinct), leaf_edge, leaves)
    stamp = np.zeros(int(feature.max(initial=0)) + 1, np.int64)
    run(
        choose_groups,
        tree_start,
        *links,
        frozen(costs),
        frozen(leaf_costs),
        stamp,
        np.zeros(most),
        chosen,
    )
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
    tree, counts = groups[:-1, 0], groups[:-1, 7]
    group = np.repeat(np.arange(tree.size), counts)
    at = np.arange(group.size) - np.repeat(starts(counts)[:-1], counts) + groups[group, 6]
    columns = arrange_columns(groups, tree_start.size - 1, group, features[at])
    begin = np.zeros(features.size, np.int64)
    begin[at] = columns.begin
    in_group = np.zeros(leaves.shape[0], bool)
    sizes = groups[:-1, 2] - groups[:-1, 1] + 1
    rows = np.repeat(groups[:-1, 1] - starts(sizes)[:-1], sizes) + np.arange(sizes.sum())
    leaf_start = tree_start + np.arange(tree_start.size)
    in_group[leaf_start[np.repeat(tree, sizes)] + leaves[rows, 0]] = True
    return LookupPlan(
        leaves=leaves,
        groups=frozen(groups),
        conditions=frozen(conditions),
        features=frozen(features),
        group_start=frozen(np.searchsorted(tree, np.arange(tree_start.size))),
        begin=frozen(begin),
        columns=columns,
        by_quadrature=~in_group,
    )
