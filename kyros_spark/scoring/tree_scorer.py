"""Score a tree ensemble: quantise a chunk of rows, find the leaves, add their values."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from kyros_spark.errors import KernelNotAvailableError
from kyros_spark.kernels.cpu import KERNELS, best_kernel, describe_host, missing_features
from kyros_spark.kernels.row_bits import BLOCK_ROWS
from kyros_spark.kernels.sliced import MAX_LEAVES, SCRATCH_BYTES
from kyros_spark.kernels.walk import ROWS_IN_FLIGHT
from kyros_spark.model.artefact import Model
from kyros_spark.scoring import kernel_calls as call
from kyros_spark.scoring.tables import build_tables

CHUNK_ROWS = 8 * BLOCK_ROWS  # with 50 columns 200 kB of codes: they stay in the cache
TREES_AT_ONCE = 64


class TreeScorer:
    """Sums in the precision of the leaf values, tree by tree, from the row's start."""

    def __init__(self, model: Model, kernel: str) -> None:
        self.kernel = _chosen(kernel)
        tables = model.tables or build_tables(model)
        self._t = {k: call.frozen(v) for k, v in {**model.arrays, **tables}.items()}
        self._features = self._t["column_feature"].tolist()
        self._n_columns = max(len(self._features), 1)
        self._runs = _runs(np.diff(self._t["tree_start"]) < MAX_LEAVES)
        self._searches = [self._search(column) for column in range(len(self._features))]

    def raw(self, columns: Sequence[np.ndarray], start: np.ndarray) -> np.ndarray:
        """Return the raw scores as float64[n]; `start` is intercept plus offset."""
        dtype = self._t["leaf_value"].dtype
        with np.errstate(over="ignore"):
            sums = start.astype(dtype)
        rows = min(-(-start.size // BLOCK_ROWS) * BLOCK_ROWS, CHUNK_ROWS)
        work = _Workspace(rows, self._n_columns, dtype)
        for first in range(0, start.size, CHUNK_ROWS):
            last = min(first + CHUNK_ROWS, start.size)
            used = -(-(last - first) // BLOCK_ROWS)
            work.sums[: last - first] = sums[first:last]
            self._quantise(columns, first, last, work.codes[:used])
            self._add_trees(work, used)
            sums[first:last] = work.sums[: last - first]
        return sums.astype(np.float64)

    def _search(self, column: int) -> tuple[np.ndarray, int, np.ndarray | None]:
        """Return a column's heap, steps, and for the permutes the cuts each rank has reached."""
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

    def _add_trees(self, work: "_Workspace", blocks: int) -> None:
        t, sums = self._t, work.sums[: blocks * BLOCK_ROWS]
        codes = call.frozen(work.codes[:blocks])
        for small, begin, end in self._runs:
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
    """The arrays one call of `raw` works in; its own, since other threads may score too."""

    def __init__(self, rows: int, columns: int, dtype: np.dtype) -> None:
        self.codes = _aligned(rows * columns).reshape(-1, columns, BLOCK_ROWS)
        self.numbers = _aligned(rows * TREES_AT_ONCE)
        self.scratch = _aligned(SCRATCH_BYTES)
        self.ends = np.zeros(ROWS_IN_FLIGHT, np.int64)
        self.sums = np.zeros(rows, dtype)


def _aligned(size: int) -> np.ndarray:
    """Return uint8[size] that begins on a cache line; loads across two lines cost double."""
    array = np.zeros(size + 63, np.uint8)
    return array[-array.ctypes.data % 64 :][:size]


def _chosen(kernel: str) -> str:
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


def _runs(small: np.ndarray) -> list[tuple[bool, int, int]]:
    """Group neighbouring trees of the same kind: (is small, first, last), in the model's order."""
    borders = np.flatnonzero(small[1:] != small[:-1]) + 1
    starts = [0, *borders.tolist(), small.size]
    return [(bool(small[a]), a, b) for a, b in pairwise(starts) if b > a]
