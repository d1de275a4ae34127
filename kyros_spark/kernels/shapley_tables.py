"""Build the look-up tables of groups: the contributions of their features, for every pattern."""

import numpy as np
from numba.extending import register_jitable

from kyros_spark.kernels.row_bits import BLOCK_ROWS, SLOT_BYTES, address, decide_splits
from kyros_spark.kernels.shapley_bits import combine_conditions, index_rows
from kyros_spark.kernels.shapley_groups import DEPTH, NUMBER

MOST_BITS = 16


def build_tables(
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
    column_start: np.ndarray,
    nodes: np.ndarray,
    sample: np.ndarray,
    reached: np.ndarray,
    tables: np.ndarray,
) -> None:
    """Write the tables of all groups.

    groups, leaves, conditions, features  see shapley_groups.describe_groups
    feature, above, joint, leaf_edge      see shapley_edges.py
    leaf_value    float32 or float64[leaves]
    column_start  int64, beside `features`: where the column of each group's feature begins
    nodes         float64[MOST_BITS + 1, 2, MOST_BITS]: nodes and weights of the quadrature, by the
                  number of features on a leaf's path
    sample        float64: empty, or the share of a sample's rows by pattern, group after
                  group. The unknown features are then the sample's, instead of those that the
                  branches' shares stand for
    reached       float64[leaves], output: the share of the sample's rows that reach the leaf
    tables        float64, output: `1 << bits` entries per column
    """
    masks, wanted = np.zeros(MOST_BITS, np.int64), np.zeros(MOST_BITS, np.int64)
    columns, shares = np.zeros(MOST_BITS, np.int64), np.zeros(MOST_BITS)
    product, scratch = np.zeros(1 << MOST_BITS), np.zeros(1 << MOST_BITS)
    values = np.zeros((MOST_BITS, 1 << MOST_BITS))
    sample_start = 0
    tables[:] = 0.0
    for group in range(groups.shape[0] - 1):
        patterns, start = 1 << groups[group, 3], tree_start[groups[group, 0]]
        columns_of_group = column_start[groups[group, 6] : groups[group, 6] + groups[group, 7]]
        for row in range(groups[group, 1], groups[group, 2] + 1):
            leaf = start + groups[group, 0] + leaves[row, NUMBER]
            size = read_path(
                groups[group], leaf_edge[leaf], leaves[row, DEPTH], 2 * start, feature, above,
                joint, conditions, features, masks, wanted, shares, columns,
            )  # fmt: skip
            _clear(size, product, values)
            if sample.size:
                for pattern in range(patterns):
                    own = own_pattern(pattern, size, masks, wanted)
                    product[own] += sample[sample_start + pattern]
                reached[leaf] = product[(1 << size) - 1]
                _against_sample(leaf_value[leaf], size, nodes[size], product, scratch, values)
            else:
                _by_shares(leaf_value[leaf], size, shares, nodes[size], product, values)
            for pattern in range(patterns):
                own = own_pattern(pattern, size, masks, wanted)
                for j in range(size):
                    tables[columns_of_group[columns[j]] + pattern] += values[j, own]
        sample_start += patterns


@register_jitable
def read_path(
    group: np.ndarray,
    edge: int,
    depth: int,
    base: int,
    feature: np.ndarray,
    above: np.ndarray,
    joint: np.ndarray,
    conditions: np.ndarray,
    features: np.ndarray,
    masks: np.ndarray,
    wanted: np.ndarray,
    shares: np.ndarray,
    columns: np.ndarray,
) -> int:
    """Write the features of a leaf's path, and return their number.

    group, edge, depth  the leaf's group, the edge that leads to it, the splits on its path
    masks, wanted    int64, outputs: a feature's conditions are met where `pattern & mask == wanted`
    shares, columns  float64 and int64, outputs: the share of rows that meet them, and the feature's
                     column in the group's table
    """
    size = 0
    for _ in range(depth):
        column = 0
        while features[group[6] + column] != feature[edge >> 1]:
            column += 1
        j = 0
        while j < size and columns[j] != column:
            j += 1
        if j == size:
            columns[j], shares[j], masks[j], wanted[j] = column, joint[edge], 0, 0
            size += 1
        at = group[5]
        while (conditions[at] & 0xFFFFFFFF) >> 1 != (edge - base) >> 1:
            at += 1
        bit = 1 << (conditions[at] >> 32)
        masks[j] |= bit
        if (conditions[at] & 1) == (edge & 1):
            wanted[j] |= bit
        edge = above[edge >> 1]
    return size


@register_jitable
def _clear(size: int, product: np.ndarray, values: np.ndarray) -> None:
    for own in range(1 << size):
        product[own] = 0.0
        for j in range(size):
            values[j, own] = 0.0


@register_jitable
def own_pattern(pattern: int, size: int, masks: np.ndarray, wanted: np.ndarray) -> int:
    """Return which of a leaf's features have all their conditions met in a group's pattern."""
    own = 0
    for j in range(size):
        if pattern & masks[j] == wanted[j]:
            own |= 1 << j
    return own


@register_jitable
def _by_shares(
    value: float,
    size: int,
    shares: np.ndarray,
    quadrature: np.ndarray,
    product: np.ndarray,
    values: np.ndarray,
) -> None:
    """Add the values of a leaf's features, by pattern, the formula of shapley_quadrature.py."""
    for q in range((size + 1) // 2):
        t = quadrature[0, q]
        product[0] = value * quadrature[1, q]
        for j in range(size):
            missed = (1.0 - t) * shares[j]
            for pattern in range(1 << j):
                product[pattern + (1 << j)] = product[pattern] * (t + missed)
                product[pattern] *= missed
        for j in range(size):
            met = (1.0 - shares[j]) / (t + (1.0 - t) * shares[j])
            for pattern in range(1 << size):
                ratio = met if pattern >> j & 1 else -1.0 / (1.0 - t)
                values[j, pattern] += product[pattern] * ratio


@register_jitable
def _against_sample(
    value: float,
    size: int,
    quadrature: np.ndarray,
    sample: np.ndarray,
    product: np.ndarray,
    values: np.ndarray,
) -> None:
    """Add the values of a leaf's features against each row of a sample, by pattern, and average.

    The formula is the same, with the sample's row in the place of the shares: c_j is 1 if the row
    meets the conditions on feature j, else 0. Its sum over all patterns c is one product of 2 x 2
    matrices, one per feature, applied to the sample's shares of rows by pattern.
    """
    for q in range((size + 1) // 2):
        t = quadrature[0, q]
        for i in range(size):
            for pattern in range(1 << size):
                product[pattern] = sample[pattern] * value * quadrature[1, q]
            for j in range(size):
                for pattern in range(1 << size):
                    if pattern >> j & 1:
                        continue
                    unmet, met = product[pattern], product[pattern | 1 << j]
                    if j == i:
                        product[pattern], product[pattern | 1 << j] = -met, unmet
                    else:
                        product[pattern] = (1.0 - t) * met
                        product[pattern | 1 << j] = t * unmet + met
            for pattern in range(1 << size):
                values[i, pattern] += product[pattern]


def count_patterns(
    codes: np.ndarray,
    rows: int,
    tree_start: np.ndarray,
    tests: np.ndarray,
    groups: np.ndarray,
    conditions: np.ndarray,
    scratch: np.ndarray,
    indices: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Count the rows of a sample that show each pattern of each group.

    codes    uint8[blocks, columns, BLOCK_ROWS] of `rows` rows, see quantise.py
    tree_start, tests, groups, conditions  see shapley_lookup.add_tables
    scratch  uint8: a slot per split of the largest tree, then MOST_BITS slots
    indices  uint16[BLOCK_ROWS], scratch
    counts   float64, updated in place: `1 << bits` entries for one group after the other
    """
    decisions = address(scratch)
    planes = decisions + scratch.size - SLOT_BYTES * MOST_BITS
    narrow = indices.view(np.uint8)
    for block in range(codes.shape[0]):
        code = address(codes) + block * codes.shape[1] * BLOCK_ROWS
        begin, tree = 0, -1
        for group in range(groups.shape[0] - 1):
            if groups[group, 0] != tree:
                tree = groups[group, 0]
                splits = tree_start[tree + 1] - tree_start[tree]
                decide_splits(code, address(tests) + 4 * tree_start[tree], splits, decisions)
            at, bits = groups[group, 5], groups[group, 3]
            count = groups[group + 1, 5] - at
            combine_conditions(decisions, address(conditions) + 8 * at, count, bits, planes)
            index_rows(planes, bits, address(indices))
            for row in range(min(BLOCK_ROWS, rows - block * BLOCK_ROWS)):
                counts[begin + (indices[row] if bits > 8 else narrow[row])] += 1.0
            begin += 1 << bits
