"""Call the tree kernels, each with the one list of argument types it is compiled for.

A kernel is looked up by dtypes alone, because building Numba's types anew cost more than a call.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numba import types

from kyros_spark.kernels.compile import compiled, read_only, writable
from kyros_spark.kernels.leaf_bytes import add_leaf_bytes
from kyros_spark.kernels.leaf_values import add_leaf_values
from kyros_spark.kernels.quantise import quantise_column, quantise_column_by_permutes
from kyros_spark.kernels.quantise_sets import (
    FLOOR,
    ONLY_WHOLE,
    TRUNCATE,
    find_categories,
    quantise_sets,
)
from kyros_spark.kernels.row_bits import BLOCK_ROWS
from kyros_spark.kernels.sliced import find_leaves
from kyros_spark.kernels.walk import walk_trees

Arrays = dict[str, np.ndarray]
VECTOR_VALUES = 64  # values that the vector search codes at once
INT = types.int64
RULES = {"truncate": TRUNCATE, "floor": FLOOR, "whole": ONLY_WHOLE}
Kernel = Callable[..., None]


def frozen(array: np.ndarray) -> np.ndarray:
    """Return a read-only view: kernels are compiled for read-only inputs."""
    view = array.view()
    view.flags.writeable = False
    return view


def quantise(
    values: np.ndarray,
    heap: np.ndarray,
    steps: int,
    reached: np.ndarray | None,
    codes: np.ndarray,
    column: int,
) -> None:
    """Write one column's codes; if `reached` is given, use the AVX-512 search.

    The values after the last full block are coded from a padded copy, so that no kernel reads past
    the end of an array.
    """
    if reached is not None and values.dtype != np.float64 and reached.dtype == np.float64:
        values = frozen(values.astype(np.float64))
    full = values.size // BLOCK_ROWS * BLOCK_ROWS
    _quantise_whole(values[:full], heap, steps, reached, codes, column)
    if full < values.size:
        tail = np.zeros(-(-(values.size - full) // VECTOR_VALUES) * VECTOR_VALUES, values.dtype)
        tail[: values.size - full] = values[full:]
        tail_codes = codes[full // BLOCK_ROWS :]
        _quantise_whole(frozen(tail), heap, steps, reached, tail_codes, column)


def _quantise_whole(
    values: np.ndarray,
    heap: np.ndarray,
    steps: int,
    reached: np.ndarray | None,
    codes: np.ndarray,
    column: int,
) -> None:
    if reached is None:
        _search(values.dtype, heap.dtype)(values, heap, steps, codes, column)
    else:
        search = _search_by_permutes(values.dtype, reached.dtype)
        search(values, heap, steps, reached, codes, column)


def categorise(
    values: np.ndarray, precision: np.ndarray, rule: str, categories: np.ndarray
) -> None:
    """Write the categories of one feature's values; see quantise_sets.find_categories."""
    _categorise(values.dtype, precision.dtype)(values, precision, RULES[rule], categories)


def look_up(categories: np.ndarray, table: np.ndarray, codes: np.ndarray, column: int) -> None:
    """Write one set column's codes; see quantise_sets.quantise_sets."""
    _look_up()(frozen(categories), table, codes, column)


def find(
    codes: np.ndarray, t: Arrays, first: int, last: int, scratch: np.ndarray, numbers: np.ndarray
) -> None:
    """Find the leaf numbers in small trees; see sliced.find_leaves."""
    _find()(codes, t["tree_start"], first, last, t["tests"], t["slots"], scratch, numbers)


def add_values(numbers: np.ndarray, t: Arrays, first: int, last: int, sums: np.ndarray) -> None:
    """Add small trees' leaf values on any CPU; see leaf_values.add_leaf_values."""
    add = _add_values(sums.dtype)
    add(frozen(numbers), t["tree_start"], first, last, t["leaf_value"], sums)


def add_bytes(numbers: np.ndarray, t: Arrays, first: int, last: int, sums: np.ndarray) -> None:
    """Add small trees' leaf values with AVX-512 VBMI; see leaf_bytes.add_leaf_bytes."""
    add = _add_bytes(sums.dtype)
    add(frozen(numbers), t["byte_start"], first, last, t["leaf_bytes"], sums)


def walk(
    codes: np.ndarray, t: Arrays, first: int, last: int, ends: np.ndarray, sums: np.ndarray
) -> None:
    """Add large trees' leaf values; see walk.walk_trees."""
    add = _walk(sums.dtype)
    by_sets = int("set_feature" in t)
    add(codes, t["nodes"], t["node_value"], t["roots"], by_sets, first, last, ends, sums)


@cache
def _search(value: np.dtype, cut: np.dtype) -> Kernel:
    out = writable("u1", 3)
    return compiled(quantise_column, read_only(value), read_only(cut), INT, out, INT)


@cache
def _search_by_permutes(value: np.dtype, exact: np.dtype) -> Kernel:
    heap, out = read_only("f4"), writable("u1", 3)
    kinds = (read_only(value), heap, INT, read_only(exact), out, INT)
    return compiled(quantise_column_by_permutes, *kinds)


@cache
def _categorise(value: np.dtype, precision: np.dtype) -> Kernel:
    return compiled(find_categories, read_only(value), read_only(precision), INT, writable("i4"))


@cache
def _look_up() -> Kernel:
    return compiled(quantise_sets, read_only("i4"), read_only("u1"), writable("u1", 3), INT)


@cache
def _find() -> Kernel:
    trees = (read_only("i8"), INT, INT, read_only("u4"), read_only("u4"))
    return compiled(find_leaves, read_only("u1", 3), *trees, writable("u1"), writable("u1"))


@cache
def _add_values(dtype: np.dtype) -> Kernel:
    trees = (read_only("i8"), INT, INT, read_only(dtype))
    return compiled(add_leaf_values, read_only("u1"), *trees, writable(dtype))


@cache
def _add_bytes(dtype: np.dtype) -> Kernel:
    trees = (read_only("i8"), INT, INT, read_only("u1"))
    return compiled(add_leaf_bytes, read_only("u1"), *trees, writable(dtype))


@cache
def _walk(dtype: np.dtype) -> Kernel:
    trees = (read_only("u8"), read_only(dtype), read_only("i8"), INT, INT, INT)
    return compiled(walk_trees, read_only("u1", 3), *trees, writable("i8"), writable(dtype))
