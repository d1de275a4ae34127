"""Score a tree ensemble chunk by chunk: quantise the rows, find the leaves, add their values."""

from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter

import numpy as np

from kyros_spark.errors import KernelNotAvailableError
from kyros_spark.kernels.cpu import KERNELS, best_kernel, describe_host, missing_features
from kyros_spark.kernels.row_bits import BLOCK_ROWS
from kyros_spark.kernels.sliced import MAX_LEAVES, SCRATCH_BYTES
from kyros_spark.kernels.walk import ROWS_IN_FLIGHT
from kyros_spark.model.artefact import Model
from kyros_spark.scoring import kernel_calls as call
from kyros_spark.scoring.kernel_tables import (
    build_tables,
)

CHUNK_ROWS = 8 * BLOCK_ROWS  # 200 kB of codes for 50 columns, which stay in the cache
TREES_AT_ONCE = 64
Runs = list[tuple[bool, int, int]]


class TreeScorer:
    """Sums leaf values in their own precision, tree by tree, beginning at the row's `start`."""

    def __init__(self, model: Model, kernel: str) -> None:
        self.kernel, self.quantise_seconds = _resolved_kernel(kernel), 0.0
        tables = model.tables or build_tables(model)
        self._t = {k: call.frozen(v) for k, v in {**model.arrays, **tables}.items()}
        self._rule = model.manifest.category_rule
        self._divisor = model.manifest.divisor
        self._features = self._t["column_feature"].tolist()
        self._set_features = self._t.get("set_column_feature", np.zeros(0, np.int64)).tolist()
        self._first_set = len(self._features)
        self._n_columns = max(len(self._features) + len(self._set_features), 1)
        small = np.diff(self._t["tree_start"]) < MAX_LEAVES
        borders = self._t.get("output_start", np.array([0, small.size]))
        self._runs = [_runs(small, int(a), int(b)) for a, b in pairwise(borders)]
        self._searches = [self._search(column) for column in range(len(self._features))]

    def raw(self, columns: Sequence[np.ndarray], start: np.ndarray) -> np.ndarray:
        """Return the raw scores, float64[outputs, n]; the sums begin at `start` (same shape)."""
        dtype = self._t["leaf_value"].dtype
        with np.errstate(over="ignore"):
            sums = start.astype(dtype)
        size = start.shape[1]
        rows = min(-(-size // BLOCK_ROWS) * BLOCK_ROWS, CHUNK_ROWS)
        work = _Workspace(rows, self._n_columns, dtype)
        for first in range(0, size, CHUNK_ROWS):
            last = min(first + CHUNK_ROWS, size)
            used = -(-(last - first) // BLOCK_ROWS)
            started = perf_counter()
            self._quantise(columns, first, last, work.codes[:used])
            self._quantise_sets(columns, first, last, work)
            self.quantise_seconds += perf_counter() - started
            for output, runs in zip(sums, self._runs, strict=True):
                work.sums[: last - first] = output[first:last]
                self._add_trees(runs, work, used)
                output[first:last] = work.sums[: last - first]
        if self._divisor != 1.0:
            sums /= dtype.type(self._divisor)
        return sums.astype(np.float64)

    def _search(self, column: int) -> tuple[np.ndarray, int, np.ndarray | None]:
        """Return a column's heap, steps and, for the permutes, the cut each rank has reached."""
        t, steps = self._t, int(self._t["column_steps"][column])
        if self.kernel == "portable":
            return t["heaps"][column], steps, None
        if t["heaps"].dtype == np.float32:
            return t["heaps"][column], steps, t["heaps"][column]
        if t["is_distinct"][column]:
            return t["rounded_heaps"][column], steps, t["reached"][column]
        return t["heaps"][column], steps, None

    def _quantise(
        self, columns: Sequence[np.ndarray], first: int, last: int, codes: np.ndarray
    ) -> None:
        for column, feature in enumerate(self._features):
            heap, steps, reached = self._searches[column]
            values = columns[feature][first:last]
            call.quantise(values, heap, steps, reached, codes, column)

    def _quantise_sets(
        self, columns: Sequence[np.ndarray], first: int, last: int, work: "_Workspace"
    ) -> None:
        t, categories, categorised = self._t, work.categories[: last - first], -1
        for set_column, feature in enumerate(self._set_features):
            if feature != categorised:  # columns of one feature are adjacent
                values = columns[feature][first:last]
                call.categorise(values, t["cut_value"], self._rule, categories)
                categorised = feature
            begin, end = t["set_table_start"][set_column : set_column + 2]
            call.look_up(
                categories, t["set_table"][begin:end], work.codes, self._first_set + set_column
            )

    def _add_trees(self, runs: Runs, work: "_Workspace", blocks: int) -> None:
        t, sums = self._t, work.sums[: blocks * BLOCK_ROWS]
        codes = call.frozen(work.codes[:blocks])
        for small, begin, end in runs:
            if not small:
                call.walk(codes, t, begin, end, work.ends, sums)
                continue
            for first in range(begin, end, TREES_AT_ONCE):
                last = min(first + TREES_AT_ONCE, end)
                numbers = work.numbers[: (last - first) * sums.size]
                call.find(codes, t, first, last, work.scratch, numbers)
                if self.kernel == "portable":
                    call.add_values(numbers, t, first, last, sums)
                else:
                    call.add_bytes(numbers, t, first, last, sums)


class _Workspace:
    """The working arrays of one call of `raw`; not shared, as other threads may score too."""

    def __init__(self, rows: int, columns: int, dtype: np.dtype) -> None:
        self.codes = _aligned(rows * columns).reshape(-1, columns, BLOCK_ROWS)
        self.numbers = _aligned(rows * TREES_AT_ONCE)
        self.scratch = _aligned(SCRATCH_BYTES)
        self.categories = np.zeros(rows, np.int32)
        self.ends = np.zeros(ROWS_IN_FLIGHT, np.int64)
        self.sums = np.zeros(rows, dtype)


def _aligned(size: int) -> np.ndarray:
    """Return uint8[size] that begins on a cache line; a load across two lines costs double."""
    array = np.zeros(size + 63, np.uint8)
    return array[-array.ctypes.data % 64 :][:size]


def _resolved_kernel(kernel: str) -> str:
    if kernel == "auto":
        return best_kernel()
    if kernel not in KERNELS:
        raise KernelNotAvailableError(f"kernel {kernel!r} is not one of auto, {', '.join(KERNELS)}")
    missing = missing_features(kernel)
    if missing:
        host = describe_host()
        raise KernelNotAvailableError(
            f"kernel {kernel} needs the CPU feature {', '.join(missing)}; host {host['host']} "
            f"({host['cpu']}) has none. Set predict.kernel to auto or portable."
        )
    return kernel


def _runs(small: np.ndarray, first: int, last: int) -> Runs:
    """Group neighbouring trees of the same kind in model order: (is small, first, last)."""
    if first >= last:
        return []
    changes = np.flatnonzero(small[first + 1 : last] != small[first : last - 1]) + first + 1
    starts = [first, *changes.tolist(), last]
    return [(bool(small[a]), a, b) for a, b in pairwise(starts) if b > a]
