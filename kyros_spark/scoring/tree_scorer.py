"""Score a tree ensemble chunk by chunk: quantise the rows, find the leaves, add their values."""

from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter

import numpy as np

from kyros_spark.kernels.row_bits import BLOCK_ROWS
from kyros_spark.kernels.sliced import MAX_LEAVES, SCRATCH_BYTES
from kyros_spark.kernels.walk import ROWS_IN_FLIGHT
from kyros_spark.model.artefact import Model
from kyros_spark.scoring import kernel_calls as call
from kyros_spark.scoring.kernel_tables import build_tables
from kyros_spark.scoring.row_codes import RowCodes, aligned, resolved_kernel

CHUNK_ROWS = 8 * BLOCK_ROWS  # 200 kB of codes for 50 columns, which stay in the cache
TREES_AT_ONCE = 64
Runs = list[tuple[bool, int, int]]


class TreeScorer:
    """Sums leaf values in their own precision, tree by tree, beginning at the row's `start`."""

    def __init__(self, model: Model, kernel: str) -> None:
        self.kernel, self.quantise_seconds = resolved_kernel(kernel), 0.0
        tables = model.tables or build_tables(model)
        self._t = {k: call.frozen(v) for k, v in {**model.arrays, **tables}.items()}
        self._divisor = model.manifest.divisor
        self._codes = RowCodes(self._t, model.manifest.category_rule, self.kernel)
        small = np.diff(self._t["tree_start"]) < MAX_LEAVES
        borders = self._t.get("output_start", np.array([0, small.size]))
        self._runs = [_runs(small, int(a), int(b)) for a, b in pairwise(borders)]

    def raw(self, columns: Sequence[np.ndarray], start: np.ndarray) -> np.ndarray:
        """Return the raw scores, float64[outputs, n]; the sums begin at `start` (same shape)."""
        dtype = self._t["leaf_value"].dtype
        with np.errstate(over="ignore"):
            sums = start.astype(dtype)
        size = start.shape[1]
        rows = min(-(-size // BLOCK_ROWS) * BLOCK_ROWS, CHUNK_ROWS)
        work = _Workspace(rows, dtype)
        codes = self._codes.workspace(rows)
        for first in range(0, size, CHUNK_ROWS):
            last = min(first + CHUNK_ROWS, size)
            used = -(-(last - first) // BLOCK_ROWS)
            started = perf_counter()
            self._codes.write(columns, first, last, codes[:used])
            self.quantise_seconds += perf_counter() - started
            for output, runs in zip(sums, self._runs, strict=True):
                work.sums[: last - first] = output[first:last]
                self._add_trees(runs, codes[:used], work)
                output[first:last] = work.sums[: last - first]
        if self._divisor != 1.0:
            sums /= dtype.type(self._divisor)
        return sums.astype(np.float64)

    def _add_trees(self, runs: Runs, codes: np.ndarray, work: "_Workspace") -> None:
        t, sums = self._t, work.sums[: codes.shape[0] * BLOCK_ROWS]
        codes = call.frozen(codes)
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

    def __init__(self, rows: int, dtype: np.dtype) -> None:
        self.numbers = aligned(rows * TREES_AT_ONCE)
        self.scratch = aligned(SCRATCH_BYTES)
        self.ends = np.zeros(ROWS_IN_FLIGHT, np.int64)
        self.sums = np.zeros(rows, dtype)


def _runs(small: np.ndarray, first: int, last: int) -> Runs:
    """Group neighbouring trees of the same kind in model order: (is small, first, last)."""
    if first >= last:
        return []
    changes = np.flatnonzero(small[first + 1 : last] != small[first : last - 1]) + first + 1
    starts = [first, *changes.tolist(), last]
    return [(bool(small[a]), a, b) for a, b in pairwise(starts) if b > a]
