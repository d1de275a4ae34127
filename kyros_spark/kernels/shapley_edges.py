"""Follow a tree's edges from the root: what each adds to the conditions on its split's feature.

Edge 2 s leads from split s to its left child, edge 2 s + 1 to its right child.
"""

import numpy as np


def link_edges(
    tree_start: np.ndarray,
    feature: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    share: np.ndarray,
    above: np.ndarray,
    earlier: np.ndarray,
    joint: np.ndarray,
    reach: np.ndarray,
    distinct: np.ndarray,
    leaf_edge: np.ndarray,
) -> None:
    """Write the links of all edges, tree by tree.

    tree_start   int64[trees + 1]: where each tree's splits begin
    feature      int32[splits]
    left, right  int32[splits]: children within the tree; a child below 0 is the leaf `~child`
    share        float64[edges]: the share of the split's rows that take the edge
    above        int64[splits], output: the edge that leads to the split, -1 for a root
    earlier      int64[edges], output: the nearest edge above of the same feature, -1 if none
    joint        float64[edges], output: the product of the shares of the edge and of all edges
                 above of the same feature
    reach        float64[edges], output: the product of the shares of all edges from the root on
    distinct     int32[edges], output: how many features the path from the root has, this edge's
                 included
    leaf_edge    int64[leaves], output: the edge that leads to the leaf, -1 for a tree of one leaf
    """
    for tree in range(tree_start.size - 1):
        start = tree_start[tree]
        if tree_start[tree + 1] == start:
            leaf_edge[start + tree] = -1
        else:
            above[start] = -1
        for split in range(start, tree_start[tree + 1]):
            before = above[split]
            edge = before
            while edge >= 0 and feature[edge >> 1] != feature[split]:
                edge = above[edge >> 1]
            features = distinct[before] if before >= 0 else 0
            for side in range(2):
                this = 2 * split + side
                earlier[this] = edge
                joint[this] = share[this] * (joint[edge] if edge >= 0 else 1.0)
                reach[this] = share[this] * (reach[before] if before >= 0 else 1.0)
                distinct[this] = features if edge >= 0 else features + 1
                child = left[split] if side == 0 else right[split]
                if child >= 0:
                    above[start + child] = this
                else:
                    leaf_edge[start + tree + ~child] = this
