"""Build look-up tables of interactions: what a pair of features adds beyond both of them alone."""

import numpy as np

from kyros_spark.kernels.shapley_groups import DEPTH, NUMBER
from kyros_spark.kernels.shapley_tables import MOST_BITS, own_pattern, read_path


def build_pair_tables(
    groups: np.ndarray,
    tree_start: np.ndarray,
    feature: np.ndarray,
    above: np.ndarray,
    joint: np.ndarray,
    leaf_edge: np.ndarray,
    leaf_value: np.ndarray,
    leaves: np.ndarray,
    conditions: np.ndarray,
    features: np.ndarray,
    pair_start: np.ndarray,
    pairs: np.ndarray,
    nodes: np.ndarray,
    tables: np.ndarray,
) -> None:
    """Write the tables of all groups.

    groups ... features  as in shapley_tables.build_tables
    pair_start  int64[groups + 1]: where the group's pairs begin
    pairs       int64[pairs of groups, 3]: the two features, as numbers within the group's own, and
                where the pair's column begins in `tables`
    nodes       as in build_tables
    tables      float64, output: `1 << bits` entries per pair of a group

    The interaction of features i and j at a leaf of value v is, as in shapley_quadrature.py,
    v * integral of (o_i - z_i) (o_j - z_j) * product over the other features of (t o + (1 - t) z).
    """
    masks, wanted = np.zeros(MOST_BITS, np.int64), np.zeros(MOST_BITS, np.int64)
    shares, columns = np.zeros(MOST_BITS), np.zeros(MOST_BITS, np.int64)
    tables[:] = 0.0
    for group in range(groups.shape[0] - 1):
        patterns, tree = 1 << groups[group, 3], groups[group, 0]
        if pair_start[group] == pair_start[group + 1]:
            continue
        for row in range(groups[group, 1], groups[group, 2] + 1):
            leaf = tree_start[tree] + tree + leaves[row, NUMBER]
            size = read_path(
                groups[group], leaf_edge[leaf], leaves[row, DEPTH], 2 * tree_start[tree], feature,
                above, joint, conditions, features, masks, wanted, shares, columns,
            )  # fmt: skip
            for pair in range(pair_start[group], pair_start[group + 1]):
                first, second, begin = pairs[pair, 0], pairs[pair, 1], pairs[pair, 2]
                both = 0
                for j in range(size):
                    both += columns[j] == first or columns[j] == second
                if both < 2:
                    continue
                for pattern in range(patterns):
                    own = own_pattern(pattern, size, masks, wanted)
                    for q in range((size + 1) // 2):
                        t = nodes[size, 0, q]
                        product = leaf_value[leaf] * nodes[size, 1, q]
                        for j in range(size):
                            met = float(own >> j & 1)
                            if columns[j] == first or columns[j] == second:
                                product *= met - shares[j]
                            else:
                                product *= t * met + (1.0 - t) * shares[j]
                        tables[begin + pattern] += product
