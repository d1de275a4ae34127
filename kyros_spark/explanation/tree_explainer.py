"""Explain a tree ensemble chunk by chunk: quantise the rows, look up, integrate what is left."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from kyros_spark.errors import ModelNotSupportedError
from kyros_spark.explanation.edges import TreeEdges
from kyros_spark.explanation.kernel_calls import run
from kyros_spark.explanation.lookup_plan import LookupPlan, plan_lookup
from kyros_spark.explanation.lookup_tables import lookup_tables, pair_tables, sample_patterns
from kyros_spark.explanation.quadrature import tree_nodes
from kyros_spark.kernels.row_bits import BLOCK_ROWS, SLOT_BYTES
from kyros_spark.kernels.shapley_groups import MAX_DEPTH
from kyros_spark.kernels.shapley_lookup import PLANES, add_tables
from kyros_spark.kernels.shapley_quadrature import add_by_quadrature, plan_walk
from kyros_spark.kernels.shapley_tables import MOST_BITS
from kyros_spark.model.artefact import Model
from kyros_spark.scoring import kernel_tables
from kyros_spark.scoring.kernel_calls import frozen
from kyros_spark.scoring.row_codes import RowCodes, aligned, resolved_kernel

CHUNK_BLOCKS = 8
# Measured in ns per row on a Zen 3 of 32 KiB of first-level cache: by the number of a table's bits,
# what its index and what each of its features costs. Columns of more than 1 KiB (7 bits) crowd each
# other out of that cache.
COSTS = np.array(
    [[0.2 + 0.035 * bits, cost] for bits, cost in enumerate(
        [0.38, 0.38, 0.38, 0.38, 0.38, 0.38, 0.38, 0.42, 0.6, 1.2, 2.2, 3.2, 4.2, 5, 6, 7, 8]
    )]
)  # fmt: skip
NODE_COST, LEAF_COST = 1.2, 1.7  # of a leaf by quadrature: per node, and beside
BIT_LIMITS = (12, 7, 6, 5, 4, 0)  # tried in turn until the tables fit


class TreeExplainer:
    """Sums contributions in float64, tree by tree.

    background  encoded columns of a sample; None weighs branches by the edges' shares
    pairs       integers[pairs, 2]: features whose interactions take the place of contributions
    reached     float64[leaves]: the share of the background that reaches each leaf
    """

    def __init__(
        self,
        model: Model,
        edges: TreeEdges,
        kernel: str,
        max_table_bytes: int,
        background: Sequence[np.ndarray] | None = None,
        pairs: np.ndarray | None = None,
    ) -> None:
        self.kernel = resolved_kernel(kernel)
        arrays = {**model.arrays, **(model.tables or kernel_tables.build_tables(model))}
        self._t = {name: frozen(array) for name, array in arrays.items()}
        self._codes = RowCodes(self._t, model.manifest.category_rule, self.kernel)
        self._used, feature = np.unique(edges.feature, return_inverse=True)
        self._edges = replace(edges, feature=feature.astype(np.int32))
        self._outputs = self._t.get("output_start", np.array([0, self._t["tree_start"].size - 1]))
        self._walk = tree_nodes(self._t["tree_start"], edges)
        sample, name = None, model.manifest.name
        if pairs is not None:
            self._explain_pairs(name, max_table_bytes, pairs)
            return
        if background is None:
            self._plan = self._fitting_plan(name, max_table_bytes)
        else:
            self._plan = self._plan_of_tables(name, max_table_bytes)
            size = background[0].size
            codes = self._codes.workspace(-(-size // BLOCK_ROWS) * BLOCK_ROWS)
            self._codes.write(background, 0, size, codes)
            sample = sample_patterns(self._t, self._plan, codes, size)
        self._tables, self.reached = lookup_tables(self._t, self._edges, self._plan, sample)
        self._steps = self._planned_walk()

    @property
    def table_bytes(self) -> int:
        """Return the memory that the look-up tables take, in bytes."""
        return int(self._tables.nbytes)

    def add(self, columns: Sequence[np.ndarray], values: np.ndarray) -> None:
        """Add the contributions of all trees to `values`, float64[n, outputs, features]."""
        size = values.shape[0]
        if not self._used.size:  # trees of one leaf each
            return
        rows = min(-(-size // BLOCK_ROWS), CHUNK_BLOCKS) * BLOCK_ROWS
        codes = self._codes.workspace(rows)
        work = _WorkingArrays.of(self._plan, self._largest_tree(), rows, self._used.size)
        for first in range(0, size, rows or 1):
            last = min(first + rows, size)
            used = -(-(last - first) // BLOCK_ROWS)
            self._codes.write(columns, first, last, codes[:used])
            for output, (begin, end) in enumerate(pairwise(self._outputs)):
                sums = work.sums[:used]
                sums[:] = 0.0
                self._add_trees(frozen(codes[:used]), int(begin), int(end), work, sums)
                by_row = sums.transpose(0, 2, 1).reshape(-1, self._used.size)
                values[first:last, output, self._used] += by_row[: last - first]

    def _add_trees(
        self, codes: np.ndarray, begin: int, end: int, work: "_WorkingArrays", sums: np.ndarray
    ) -> None:
        t, plan, edges, columns = self._t, self._plan, self._edges, self._plan.columns
        for first, last in self._tiles(begin, end):
            run(
                add_tables, codes, t["tree_start"], first, last, t["tests"], plan.group_start,
                plan.groups, plan.conditions, columns.index_start, columns.run_start,
                columns.runs, columns.uses, self._tables, work.scratch, work.indices, sums,
            )  # fmt: skip
        step_start, steps = self._steps
        if step_start[begin] < step_start[end]:
            nodes, node_start = self._walk
            run(
                add_by_quadrature, codes, t["tree_start"], begin, end, t["tests"],
                frozen(edges.feature), frozen(edges.earlier), frozen(edges.joint), t["split_left"],
                t["split_right"], t["leaf_value"], step_start, steps, nodes, node_start,
                work.scratch, sums,
            )  # fmt: skip

    def _tiles(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Return the runs of trees that all blocks of a chunk pass one after the other.

        Usually all of them: each block's sums then stay in the cache. Where a tree's tables are
        larger than a block's sums, it is the tables that had better stay.
        """
        bytes_per_tree = self.table_bytes // max(self._t["tree_start"].size - 1, 1)
        if bytes_per_tree <= self._used.size * BLOCK_ROWS * 8:
            return [(begin, end)]
        return [(tree, tree + 1) for tree in range(begin, end)]

    def _largest_tree(self) -> int:
        return int(np.diff(self._t["tree_start"]).max(initial=0))

    def _fitting_plan(self, name: str, max_table_bytes: int) -> LookupPlan:
        """Return the cheapest plan whose tables fit; the last one tried has none."""
        node_start = self._walk[1]
        leaf_costs = LEAF_COST + NODE_COST * np.diff(node_start)
        sizes = np.diff(self._t["tree_start"]) * np.diff(node_start)
        least = int(2 * sizes.max(initial=0) * 6 * 8)  # the constants of one tree by quadrature
        if least > max_table_bytes:
            raise ModelNotSupportedError(
                f"model {name}: explaining its largest tree takes {least} bytes of tables, "
                f"max_table_bytes allows {max_table_bytes}; allow more"
            )
        for limit in BIT_LIMITS:
            plan = plan_lookup(self._t, self._edges, COSTS[: limit + 1], leaf_costs)
            if 8 * plan.columns.entries <= max_table_bytes:
                break
        return plan

    def _explain_pairs(self, name: str, max_table_bytes: int, pairs: np.ndarray) -> None:
        number = np.full(int(max(self._used.max(initial=0), pairs.max(initial=0))) + 1, -1)
        number[self._used] = np.arange(self._used.size)
        plan = self._plan_of_tables(name, max_table_bytes)
        self._plan, self._tables = pair_tables(self._t, self._edges, plan, number[pairs])
        self._used = np.arange(pairs.shape[0])
        self._steps = self._planned_walk()

    def _plan_of_tables(self, name: str, max_table_bytes: int) -> LookupPlan:
        """Return the cheapest plan of tables alone: quadrature has no room for samples and pairs.

        Raises ModelNotSupportedError for a path of too many features, and for tables that do not
        fit.
        """
        leaf_costs = np.full(self._t["tree_start"].size - 1, np.inf)
        plan = plan_lookup(self._t, self._edges, COSTS, leaf_costs)
        sizes = np.diff(self._t["tree_start"])
        if (plan.by_quadrature & np.repeat(sizes > 0, sizes + 1)).any():
            raise ModelNotSupportedError(
                f"model {name}: a background and interactions take paths of at most {MOST_BITS} "
                f"features and {MAX_DEPTH} splits, its trees have longer ones; do without them"
            )
        if 8 * plan.columns.entries > max_table_bytes:
            raise ModelNotSupportedError(
                f"model {name}: a background or interactions take {8 * plan.columns.entries} "
                f"bytes of tables, max_table_bytes allows {max_table_bytes}; allow more"
            )
        return plan

    def _planned_walk(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps of kernels/shapley_quadrature.py and where each tree's begin."""
        t, wanted = self._t, self._plan.by_quadrature.astype(np.uint8)
        step_start = np.zeros(t["tree_start"].size, np.int64)
        steps = np.zeros((4 * t["split_left"].size if wanted.any() else 0, 3), np.int32)
        if steps.size:
            trees = (t["tree_start"], t["split_left"], t["split_right"])
            most = self._largest_tree()
            scratch = (np.zeros((2 * most + 2, 3), np.int64), np.zeros(most, np.uint8))
            run(plan_walk, *trees, frozen(wanted), *scratch, step_start, steps)
        return frozen(step_start), frozen(steps[: step_start[-1]].copy())


@dataclass(frozen=True)
class _WorkingArrays:
    """The working arrays of one call of `add`; not shared, as other threads may explain too."""

    scratch: np.ndarray
    indices: np.ndarray
    sums: np.ndarray

    @classmethod
    def of(cls, plan: LookupPlan, splits: int, rows: int, features: int) -> "_WorkingArrays":
        return cls(
            scratch=aligned(SLOT_BYTES * (PLANES + splits)),
            indices=aligned(plan.columns.index_bytes),
            sums=aligned(8 * rows * features).view(np.float64).reshape(-1, features, BLOCK_ROWS),
        )
