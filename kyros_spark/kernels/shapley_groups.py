"""Partition a tree's leaves into groups that share a look-up table of contributions.

A group is a run of neighbouring leaves. Its table is indexed by one bit per condition: a bit for
each feature of the path down to the split where the group's leaves part (does the row meet all the
path's conditions on that feature?), and a bit for each split below (does the row go right?). Four
leaves of a tree of depth 6 need 7 bits, 8 leaves need 10. A leaf that would need too many bits is
left to the quadrature (shapley_quadrature.py).
"""

import numpy as np
from numba.extending import register_jitable

NUMBER, DEPTH, MEET = 0, 1, 2
FIRST, BITS, TOP, CONDITIONS = 0, 1, 2, 3
NO_GROUP = -1
MAX_DEPTH = 64  # of the leaves in groups; trees with deeper ones are left to the quadrature


@register_jitable
def climb(edge: int, steps: int, above: np.ndarray) -> int:
    """Return the edge that lies `steps` edges above, -1 for none."""
    for _ in range(steps):
        edge = above[edge >> 1]
    return edge


def order_leaves(
    tree_start: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    stack: np.ndarray,
    leaves: np.ndarray,
) -> None:
    """Order each tree's leaves from left to right.

    tree_start   int64[trees + 1]: where each tree's splits begin
    left, right  int32[splits]: children within the tree; a child below 0 is the leaf `~child`
    stack        int64[most splits + 2, 2], scratch
    leaves       int32[leaves, 3], output: the number of the leaf within its tree, its depth, and
                 the depth of the split where its path and that of the leaf before it part
    """
    for tree in range(tree_start.size - 1):
        start, row, parted = tree_start[tree], tree_start[tree] + tree, 0
        stack[0, 0] = stack[0, 1] = 0 if tree_start[tree + 1] > start else -1
        waiting = 1
        while waiting:
            waiting -= 1
            node, level = stack[waiting, 0], stack[waiting, 1]
            if node >= 0:
                stack[waiting, 0], stack[waiting, 1] = right[start + node], level + 1
                stack[waiting + 1, 0], stack[waiting + 1, 1] = left[start + node], level + 1
                waiting += 2
            else:
                leaves[row, 0], leaves[row, 1], leaves[row, 2] = ~node, max(level, 0), parted
                row += 1
                if waiting:
                    parted = stack[waiting - 1, 1] - 1


def choose_groups(
    tree_start: np.ndarray,
    feature: np.ndarray,
    above: np.ndarray,
    distinct: np.ndarray,
    leaf_edge: np.ndarray,
    leaves: np.ndarray,
    costs: np.ndarray,
    leaf_costs: np.ndarray,
    stamp: np.ndarray,
    best: np.ndarray,
    groups: np.ndarray,
) -> None:
    """Find the cheapest groups of each tree, by dynamic programming from left to right.

    feature, above, distinct, leaf_edge  as in shapley_edges.py
    leaves      int32[leaves, 3] from order_leaves
    costs       float64[most bits + 1, 2]: by the number of a table's bits, what its index costs and
                what each of its features costs
    leaf_costs  float64[trees]: what a leaf by quadrature costs
    stamp       int64[features], scratch: zeros
    best        float64[most splits + 2], scratch
    groups      int32[leaves, 4], output: at the last leaf of each group its first leaf (a row of
                `leaves`), its bits, the depth of the split where its leaves part, and the number of
                its conditions; the first is NO_GROUP at all other leaves
    """
    most_bits, stamps = costs.shape[0] - 1, 0
    for tree in range(tree_start.size - 1):
        begin, end = tree_start[tree] + tree, tree_start[tree + 1] + tree + 1
        deepest = _begin_tree(begin, end, leaves, best, groups)
        if end - begin == 1 or deepest > MAX_DEPTH:
            continue
        for first in range(begin, end):
            here = best[first - begin]
            if here + leaf_costs[tree] < best[first - begin + 1]:
                best[first - begin + 1] = here + leaf_costs[tree]
                groups[first, FIRST] = NO_GROUP
            stamps += 1
            top, below, features = leaves[first, DEPTH], 0, 0
            for last in range(first, min(first + most_bits + 1, end)):
                new = leaves[last, DEPTH]
                if last > first:
                    new -= 1 + leaves[last, MEET]
                    below += new + max(top - leaves[last, MEET], 0)
                    top = min(top, leaves[last, MEET])
                if below > most_bits:
                    break
                edge = leaf_edge[begin + leaves[last, NUMBER]]
                shared = climb(edge, leaves[last, DEPTH] - top, above)
                bits = below + (distinct[shared] if shared >= 0 else 0)
                features += _new_features(edge, new, feature, above, stamp, stamps)
                if bits > most_bits:
                    continue
                cost = here + costs[bits, 0] + features * costs[bits, 1]
                if cost < best[last - begin + 1]:
                    best[last - begin + 1] = cost
                    groups[last, FIRST], groups[last, BITS] = first, bits
                    groups[last, TOP], groups[last, CONDITIONS] = top, top + below
        _keep_chosen(begin, end, groups)


@register_jitable
def _begin_tree(
    begin: int, end: int, leaves: np.ndarray, best: np.ndarray, groups: np.ndarray
) -> int:
    """Forget the costs and groups of an earlier tree, and return this one's depth."""
    deepest, best[0] = 0, 0.0
    for leaf in range(begin, end):
        groups[leaf, FIRST] = NO_GROUP
        deepest = max(deepest, leaves[leaf, DEPTH])
        best[leaf - begin + 1] = np.inf
    return deepest


@register_jitable
def _new_features(
    edge: int, steps: int, feature: np.ndarray, above: np.ndarray, stamp: np.ndarray, stamps: int
) -> int:
    """Stamp the features of `steps` edges upwards, and count those without this stamp."""
    count = 0
    for _ in range(steps):
        split = edge >> 1
        count += stamp[feature[split]] != stamps
        stamp[feature[split]] = stamps
        edge = above[split]
    return count


@register_jitable
def _keep_chosen(begin: int, end: int, groups: np.ndarray) -> None:
    """Keep the groups of the cheapest partition, from the last back, and drop the candidates."""
    last = end - 1
    while last >= begin:
        first = max(groups[last, FIRST], begin) if groups[last, FIRST] != NO_GROUP else last
        for candidate in range(first, last):
            groups[candidate, FIRST] = NO_GROUP
        last = first - 1


def describe_groups(
    tree_start: np.ndarray,
    feature: np.ndarray,
    above: np.ndarray,
    leaf_edge: np.ndarray,
    leaves: np.ndarray,
    groups: np.ndarray,
    stamp: np.ndarray,
    conditions: np.ndarray,
    features: np.ndarray,
) -> None:
    """Write the conditions and the features of groups.

    tree_start, feature, above, leaf_edge, leaves  as in choose_groups
    groups      int64[groups + 1, 8]: tree, first and last leaf (rows of `leaves`), bits, depth of
                the split where they part, where the group's conditions and its features begin; the
                number of its features is an output
    stamp       int64[features], scratch: -1 everywhere
    conditions  int64[conditions], output: bit << 32 | edge, an edge of the tree's own, counted from
                its first. The bit is 1 if the row takes the edges of all its conditions
    features    int32, output: the features on the paths of each group's leaves
    """
    for group in range(groups.shape[0] - 1):
        tree, first, last = groups[group, 0], groups[group, 1], groups[group, 2]
        top, at, next_feature = groups[group, 4], groups[group, 5], groups[group, 6]
        base, leaf_base, bits = 2 * tree_start[tree], tree_start[tree] + tree, 0
        edge = leaf_edge[leaf_base + leaves[first, NUMBER]]
        edge = climb(edge, leaves[first, DEPTH] - top, above)
        first_feature = next_feature
        while edge >= 0:  # the common path: one bit per feature
            column = feature[edge >> 1]
            if stamp[column] < first_feature:
                stamp[column] = next_feature
                features[next_feature] = column
                next_feature += 1
                bits += 1
            conditions[at] = (stamp[column] - first_feature) << 32 | (edge - base)
            at += 1
            edge = above[edge >> 1]
        for row in range(first, last + 1):
            below = leaves[row, DEPTH] - (top if row == first else leaves[row, MEET] + 1)
            edge = leaf_edge[leaf_base + leaves[row, NUMBER]]
            for _ in range(below if first < last else 0):
                split = edge >> 1
                if stamp[feature[split]] < first_feature:
                    stamp[feature[split]] = next_feature
                    features[next_feature] = feature[split]
                    next_feature += 1
                conditions[at] = bits << 32 | (2 * split + 1 - base)
                at += 1
                bits += 1
                edge = above[split]
        groups[group, 7] = next_feature - first_feature
