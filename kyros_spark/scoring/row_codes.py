"""Turn columns of values into codes, the small numbers that tree kernels compare."""

from collections.abc import Sequence

import numpy as np

from kyros_spark.errors import KernelNotAvailableError
from kyros_spark.kernels.cpu import KERNELS, best_kernel, describe_host, missing_features
from kyros_spark.kernels.row_bits import BLOCK_ROWS
from kyros_spark.model.manifest import CategoryRule
from kyros_spark.scoring import kernel_calls as call


class RowCodes:
    """Writes a model's codes, by cut and by category set.

    tables  a tree model's arrays together with its kernel tables, read-only
    kernel  a kernel's name, see kernels/cpu.py
    """

    def __init__(self, tables: call.Arrays, rule: CategoryRule, kernel: str) -> None:
        self._t, self._rule, self._kernel = tables, rule, kernel
        self._features = tables["column_feature"].tolist()
        self._set_features = tables.get("set_column_feature", np.zeros(0, np.int64)).tolist()
        self._searches = [self._search(column) for column in range(len(self._features))]

    def workspace(self, rows: int) -> np.ndarray:
        """Return room for the codes of `rows` rows: uint8[blocks, columns, BLOCK_ROWS]."""
        n_columns = max(len(self._features) + len(self._set_features), 1)
        return aligned(rows * n_columns).reshape(-1, n_columns, BLOCK_ROWS)

    def write(
        self, columns: Sequence[np.ndarray], first: int, last: int, codes: np.ndarray
    ) -> None:
        """Write the codes of rows `first` to `last` (exclusive) of the columns."""
        for column, feature in enumerate(self._features):
            heap, steps, reached = self._searches[column]
            call.quantise(columns[feature][first:last], heap, steps, reached, codes, column)
        if self._set_features:
            self._write_sets(columns, first, last, codes)

    def _write_sets(
        self, columns: Sequence[np.ndarray], first: int, last: int, codes: np.ndarray
    ) -> None:
        t, categorised = self._t, -1
        categories = np.zeros(last - first, np.int32)
        for set_column, feature in enumerate(self._set_features):
            if feature != categorised:  # columns of one feature are adjacent
                values = columns[feature][first:last]
                call.categorise(values, t["cut_value"], self._rule, categories)
                categorised = feature
            begin, end = t["set_table_start"][set_column : set_column + 2]
            table, column = t["set_table"][begin:end], len(self._features) + set_column
            call.look_up(categories, table, codes, column)

    def _search(self, column: int) -> tuple[np.ndarray, int, np.ndarray | None]:
        """Return a column's heap, steps and, for the permutes, the cut each rank has reached."""
        t, steps = self._t, int(self._t["column_steps"][column])
        if self._kernel == "portable":
            return t["heaps"][column], steps, None
        if t["heaps"].dtype == np.float32:
            return t["heaps"][column], steps, t["heaps"][column]
        if t["is_distinct"][column]:
            return t["rounded_heaps"][column], steps, t["reached"][column]
        return t["heaps"][column], steps, None


def aligned(size: int) -> np.ndarray:
    """Return uint8[size] that begins on a cache line; a load across two lines costs double."""
    array = np.zeros(size + 63, np.uint8)
    return array[-array.ctypes.data % 64 :][:size]


def resolved_kernel(kernel: str) -> str:
    """Return the tree kernel that `kernel` (auto or a kernel's name) stands for on this host.

    Raises KernelNotAvailableError for an unknown kernel, and for one that the CPU cannot run.
    """
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
