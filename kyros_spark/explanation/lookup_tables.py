"""Build a plan's look-up tables, by the shares of the covers or against a sample of rows."""

from dataclasses import replace
from itertools import combinations

import numpy as np

from kyros_spark.explanation.edges import TreeEdges
from kyros_spark.explanation.kernel_calls import run
from kyros_spark.explanation.lookup_columns import arrange_columns, starts
from kyros_spark.explanation.lookup_plan import LookupPlan
from kyros_spark.explanation.quadrature import quadrature
from kyros_spark.kernels.row_bits import BLOCK_ROWS, SLOT_BYTES
from kyros_spark.kernels.shapley_pairs import build_pair_tables
from kyros_spark.kernels.shapley_tables import MOST_BITS, build_tables, count_patterns
from kyros_spark.scoring.kernel_calls import frozen
from kyros_spark.scoring.row_codes import aligned

Arrays = dict[str, np.ndarray]


def lookup_tables(
    t: Arrays, edges: TreeEdges, plan: LookupPlan, sample: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return all tables (float64) and the share of the sample that reaches each leaf.

    t       the model's arrays and kernel tables, read-only
    sample  float64 from `sample_patterns`; None takes the shares of the edges
    """
    nodes = nodes_by_features()
    tables, reached = np.zeros(plan.columns.entries), np.ones(t["leaf_value"].size)
    patterns = np.zeros(0) if sample is None else sample
    links = [edges.feature, edges.above, edges.joint, edges.leaf_edge]
    run(
        build_tables, plan.groups, t["tree_start"], *map(frozen, links), t["leaf_value"],
        plan.leaves, plan.conditions, plan.features, plan.begin, frozen(nodes),
        frozen(patterns), reached, tables,
    )  # fmt: skip
    return frozen(tables), reached


def nodes_by_features() -> np.ndarray:
    """Return float64[MOST_BITS + 1, 2, MOST_BITS]: nodes and weights, by the number of features."""
    nodes = np.zeros((MOST_BITS + 1, 2, MOST_BITS))
    for features in range(1, MOST_BITS + 1):
        for row, numbers in enumerate(quadrature(features)):
            nodes[features, row, : numbers.size] = numbers
    return nodes


def pair_tables(
    t: Arrays, edges: TreeEdges, plan: LookupPlan, pairs: np.ndarray
) -> tuple[LookupPlan, np.ndarray]:
    """Return the plan with columns for pairs of features in place of features, and their tables.

    pairs  integers[pairs, 2]: two different features each, numbered as in the edges
    """
    columns_of: dict[tuple[int, int], list[int]] = {}
    for number, (first, second) in enumerate(pairs.tolist()):
        columns_of.setdefault((min(first, second), max(first, second)), []).append(number)
    rows, items, counts = [], [], np.zeros(plan.groups.shape[0] - 1, np.int64)
    paired = {feature for pair in columns_of for feature in pair}
    for number_of_group in range(counts.size):
        begin, count = (int(number) for number in plan.groups[number_of_group, 6:])
        own = {
            feature: column
            for column, feature in enumerate(plan.features[begin : begin + count].tolist())
            if feature in paired
        }
        for first, second in combinations(sorted(own), 2):
            for number in columns_of.get((first, second), ()):
                rows.append((own[first], own[second]))
                items.append(number)
                counts[number_of_group] += 1
    group = np.repeat(np.arange(counts.size), counts)
    trees = t["tree_start"].size - 1
    columns = arrange_columns(plan.groups, trees, group, np.array(items, np.int64))
    of_groups = np.array(rows, np.int64).reshape(-1, 2)
    tables = np.zeros(columns.entries)
    links = [edges.feature, edges.above, edges.joint, edges.leaf_edge]
    run(
        build_pair_tables, plan.groups, t["tree_start"], *map(frozen, links), t["leaf_value"],
        plan.leaves, plan.conditions, plan.features, frozen(starts(counts)),
        frozen(np.column_stack([of_groups, columns.begin])), frozen(nodes_by_features()), tables,
    )  # fmt: skip
    return replace(plan, columns=columns), frozen(tables)


def sample_patterns(t: Arrays, plan: LookupPlan, codes: np.ndarray, rows: int) -> np.ndarray:
    """Return the share of a sample's rows that show each pattern, group after group (float64).

    codes  uint8[blocks, columns, BLOCK_ROWS]: the codes of `rows` rows
    """
    counts = np.zeros(int((1 << plan.groups[:-1, 3]).sum()))
    splits = int(np.diff(t["tree_start"]).max(initial=0))
    scratch = aligned(SLOT_BYTES * (splits + MOST_BITS))
    indices = aligned(2 * BLOCK_ROWS).view(np.uint16)
    run(
        count_patterns, frozen(codes), rows, t["tree_start"], t["tests"], plan.groups,
        plan.conditions, scratch, indices, counts,
    )  # fmt: skip
    return counts / rows
