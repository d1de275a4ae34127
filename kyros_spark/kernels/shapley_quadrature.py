"""Add the contributions of leaves by quadrature: for leaves whose look-up table would be too large.

The Shapley value of feature i at a leaf of value v, over the features j of its path, is

    v * integral from 0 to 1 of (o_i - z_i) * product over j != i of (t o_j + (1 - t) z_j) dt

where o_j is 1 if the row meets all the path's conditions on j, else 0, and z_j is the share of the
training rows that meet them. The integrand is a polynomial, so Gauss and Legendre's quadrature with
half as many nodes as features is exact, and all its factors are positive, so nothing cancels. The
products are carried down the tree's edges and the leaves' sums up again, so that a tree costs its
edges, not its paths. Source: the multilinear extension of a game (Owen, 1972), and the sharing
along edges of Linear TreeShap (Yu et al., NeurIPS 2022).
"""

import numpy as np
from numba.extending import register_jitable

from kyros_spark.kernels.row_bits import BLOCK_ROWS, SLOT_BYTES, WORDS, address, decide_splits

DOWN, UP, LEAF = 0, 1, 2
ROWS = 64


def plan_walk(
    tree_start: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    wanted: np.ndarray,
    stack: np.ndarray,
    below: np.ndarray,
    step_start: np.ndarray,
    steps: np.ndarray,
) -> None:
    """Write the steps of a walk to the wanted leaves of each tree, from left to right.

    tree_start, left, right  as in shapley_edges.py
    wanted      uint8[leaves]: 1 for a leaf to visit
    stack       int64[2 * most splits + 2, 3], scratch
    below       uint8[most splits], scratch
    step_start  int64[trees + 1], output
    steps       int32[3 * edges, 3], output: DOWN an edge, UP again, or visit the LEAF that it leads
                to; the edge, counted from the tree's first; the depth of its split. An edge without
                wanted leaves below has no steps
    """
    step = 0
    for tree in range(tree_start.size - 1):
        step_start[tree] = step
        start, splits = tree_start[tree], tree_start[tree + 1] - tree_start[tree]
        for split in range(splits - 1, -1, -1):
            below[split] = 0
            for child in (left[start + split], right[start + split]):
                below[split] |= below[child] if child >= 0 else wanted[start + tree + ~child]
        waiting = 0
        if splits and below[0]:
            for side in range(1, -1, -1):
                stack[waiting, 0], stack[waiting, 1], stack[waiting, 2] = DOWN, side, 0
                waiting += 1
        while waiting:
            waiting -= 1
            kind, edge, depth = stack[waiting, 0], stack[waiting, 1], stack[waiting, 2]
            child = left[start + (edge >> 1)] if edge & 1 == 0 else right[start + (edge >> 1)]
            if kind == DOWN and child < 0:
                kind = LEAF
            if kind != UP and not (below[child] if child >= 0 else wanted[start + tree + ~child]):
                continue
            steps[step, 0], steps[step, 1], steps[step, 2] = kind, edge, depth
            step += 1
            if kind == DOWN:
                stack[waiting, 0] = UP  # the edge and its depth are still there
                for side in range(1, -1, -1):
                    waiting += 1
                    stack[waiting, 0], stack[waiting, 1] = DOWN, 2 * child + side
                    stack[waiting, 2] = depth + 1
                waiting += 1
    step_start[tree_start.size - 1] = step


def add_by_quadrature(
    codes: np.ndarray,
    tree_start: np.ndarray,
    first: int,
    last: int,
    tests: np.ndarray,
    feature: np.ndarray,
    earlier: np.ndarray,
    joint: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    leaf_value: np.ndarray,
    step_start: np.ndarray,
    steps: np.ndarray,
    nodes: np.ndarray,
    node_start: np.ndarray,
    scratch: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add the contributions of the leaves in the steps of trees `first` to `last` to `sums`.

    codes, tests, sums  see shapley_lookup.add_tables
    feature, earlier, joint  see shapley_edges.py; left, right, leaf_value  the model's
    step_start, steps   from plan_walk
    nodes       float64[2, nodes], node_start int64[trees + 1]: each tree's nodes and weights
    scratch     uint8: a slot per split of the largest tree
    """
    for tree in range(first, last):
        begin, end = step_start[tree], step_start[tree + 1]
        if begin == end:
            continue
        start, splits = tree_start[tree], tree_start[tree + 1] - tree_start[tree]
        quadrature = nodes[:, node_start[tree] : node_start[tree + 1]]
        size = quadrature.shape[1]
        constants = np.zeros((2 * splits, size, 6))
        for step in range(begin, end):
            if steps[step, 0] != UP:
                edge = steps[step, 1]
                _set_constants(quadrature[0], earlier, joint, 2 * start + edge, constants[edge])
                if steps[step, 0] == LEAF:
                    child = (
                        left[start + (edge >> 1)] if edge & 1 == 0 else right[start + (edge >> 1)]
                    )
                    _times_leaf(float(leaf_value[start + tree + ~child]), constants[edge])
        depth = steps[begin:end, 2].max() + 2
        product, total = np.zeros((depth, size, ROWS)), np.zeros((depth, size, ROWS))
        for q in range(size):
            product[0, q] = quadrature[1, q]
        met = np.zeros(2 * splits, np.uint64)
        words = scratch[: splits * SLOT_BYTES].view(np.uint64)
        for block in range(codes.shape[0]):
            code = address(codes) + block * codes.shape[1] * BLOCK_ROWS
            decide_splits(code, address(tests) + 4 * start, splits, address(scratch))
            for word in range(WORDS):
                _meet(words, word, splits, start, earlier, met)
                out = sums[block, :, word * ROWS : (word + 1) * ROWS]
                _walk(
                    steps[begin:end], start, feature, earlier, met, constants, product, total, out
                )


@register_jitable
def _set_constants(
    t: np.ndarray, earlier: np.ndarray, joint: np.ndarray, edge: int, constants: np.ndarray
) -> None:
    """Write an edge's factors and ratios at each node.

    constants  float64[nodes, 6]: what the product gains, then what the sum below is multiplied
               with, each for a row that meets the feature's conditions, for one that has met them
               until here, and for one that has not even done that
    """
    before, share = earlier[edge], joint[edge]
    for q in range(t.size):
        missing = 1.0 - t[q]
        factor, ratio, old_share = 1.0, 0.0, 1.0
        if before >= 0:
            old_share = joint[before]
            factor = t[q] + missing * old_share
            ratio = (1.0 - old_share) / factor
        constants[q, 0] = (t[q] + missing * share) / factor
        constants[q, 1] = missing * share / factor
        constants[q, 2] = share / old_share if old_share > 0.0 else 0.0
        constants[q, 3] = (1.0 - share) / (t[q] + missing * share) - ratio
        constants[q, 4] = -1.0 / missing - ratio
        constants[q, 5] = 0.0


@register_jitable
def _times_leaf(value: float, constants: np.ndarray) -> None:
    """Turn the constants of an edge to a leaf into those of the leaf's share and contribution."""
    for q in range(constants.shape[0]):
        for case in range(3):
            constants[q, case] *= value
            constants[q, 3 + case] *= constants[q, case]


@register_jitable
def _meet(
    words: np.ndarray, word: int, splits: int, start: int, earlier: np.ndarray, met: np.ndarray
) -> None:
    """Write for each edge which of 64 rows meet the conditions on its feature down to it."""
    for split in range(splits):
        right = words[split * WORDS + word]
        for side in range(2):
            before = earlier[2 * (start + split) + side]
            takes = right if side else ~right
            met[2 * split + side] = takes & met[before - 2 * start] if before >= 0 else takes


@register_jitable
def _walk(
    steps: np.ndarray,
    start: int,
    feature: np.ndarray,
    earlier: np.ndarray,
    met: np.ndarray,
    constants: np.ndarray,
    product: np.ndarray,
    total: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Carry the products of 64 rows down the steps, and their sums up."""
    size = constants.shape[1]
    case = np.zeros(ROWS, np.int64)
    added = np.zeros(ROWS)
    for step in range(steps.shape[0]):
        kind, edge, depth = steps[step, 0], steps[step, 1], steps[step, 2]
        before = earlier[2 * start + edge]
        meets = met[edge]
        has_met = met[before - 2 * start] if before >= 0 else ~np.uint64(0)
        for row in range(ROWS):
            meets_now = (meets >> np.uint64(row)) & np.uint64(1)
            met_before = (has_met >> np.uint64(row)) & np.uint64(1)
            case[row] = np.int64(2) - np.int64(meets_now) - np.int64(met_before)
        if kind == DOWN:
            for q in range(size):
                first, second, third = (
                    constants[edge, q, 0],
                    constants[edge, q, 1],
                    constants[edge, q, 2],
                )
                for row in range(ROWS):
                    factor = first if case[row] == 0 else (second if case[row] == 1 else third)
                    product[depth + 1, q, row] = product[depth, q, row] * factor
                    total[depth + 1, q, row] = 0.0
            continue
        added[:] = 0.0
        for q in range(size):
            first, second, third = (
                constants[edge, q, 3],
                constants[edge, q, 4],
                constants[edge, q, 5],
            )
            if kind == UP:
                for row in range(ROWS):
                    ratio = first if case[row] == 0 else (second if case[row] == 1 else third)
                    below = total[depth + 1, q, row]
                    added[row] += below * ratio
                    total[depth, q, row] += below
            else:
                a, b, c = constants[edge, q, 0], constants[edge, q, 1], constants[edge, q, 2]
                for row in range(ROWS):
                    share = a if case[row] == 0 else (b if case[row] == 1 else c)
                    ratio = first if case[row] == 0 else (second if case[row] == 1 else third)
                    total[depth, q, row] += product[depth, q, row] * share
                    added[row] += product[depth, q, row] * ratio
        column = feature[start + (edge >> 1)]
        for row in range(ROWS):
            sums[column, row] += added[row]
