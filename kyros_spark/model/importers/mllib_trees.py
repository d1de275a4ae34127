"""Read the Parquet files of MLlib's trees: one row per node, numbered from each tree's root."""

from pathlib import Path
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, PlatformError
from kyros_spark.model.category_sets import MAX_CATEGORIES, NO_SET, joined_sets
from kyros_spark.model.importers.cuts import cut_of_at_most, with_every_value_cuts
from kyros_spark.model.outputs import trees_by_output
from kyros_spark.model.trees import RawNodes, trees_from_nodes


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a small Parquet folder."""
    rows: list[dict[str, Any]] = _table(folder).to_pylist()
    return rows


def tree_arrays(
    folder: Path, kind: str, n_features: int, classes: int
) -> tuple[dict[str, np.ndarray], int]:
    """Return the arrays of a tree, a forest or boosted trees, and MLlib's number of trees.

    A leaf's value is its prediction. For a classifier it is the share of the second of two classes,
    or the share of each of more classes; in boosting, the leaves hold half of the logit.

    Raises ModelFormatError for damaged files, PlatformError without pyarrow.
    """
    table = _table(folder / "data")
    from pyarrow import ArrowException

    try:
        return _tree_arrays(folder, kind, n_features, classes, table)
    except ArrowException as error:
        raise ModelFormatError(f"MLlib model: {str(error)[:200]}") from error


def _tree_arrays(
    folder: Path, kind: str, n_features: int, classes: int, table: Any
) -> tuple[dict[str, np.ndarray], int]:
    tree = np.zeros(table.num_rows, np.int64)
    if "nodeData" in table.column_names:
        tree = _numbers(table, "treeID").astype(np.int64)
        table = _flat(table, "nodeData")
    node = _numbers(table, "id").astype(np.int64)
    if not tree.size or tree.min() < 0 or tree.max() >= tree.size:
        raise ModelFormatError("MLlib model: no nodes, or tree numbers out of range")
    order = np.lexsort((node, tree))
    tree, node = tree[order], node[order]
    sizes = np.bincount(tree)
    start = np.cumsum(sizes) - sizes
    if not np.array_equal(node, np.arange(node.size) - start[tree]):
        raise ModelFormatError("MLlib model: nodes are missing, or occur twice")
    left = _numbers(table, "leftChild").astype(np.int64)[order]
    split = _Splits(table, order, left >= 0)
    value = _values(table, kind, classes)[order]
    if kind.startswith("GBT"):
        value = value * _weights(folder, kind, sizes.size)[tree]
    nodes = RawNodes(
        tree_start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        left=left,
        right=_numbers(table, "rightChild").astype(np.int64)[order],
        feature=split.feature,
        threshold=cut_of_at_most(split.threshold),
        missing_left=split.missing_left,
        value=value,
        sets=split.sets,
        set_number=split.set_number,
        cover=_covers(table, kind, order),
    )
    trees = trees_from_nodes(with_every_value_cuts(nodes), n_features)
    if classes == 2:
        return trees.as_dict(), sizes.size
    trees, output_start = trees_by_output(trees)
    return trees.as_dict() | {"output_start": output_start}, sizes.size


class _Splits:
    """The nodes' splits, in `order`; leaves hold placeholders.

    A split by categories lists the categories that go left. When it lists at most half of the
    feature's categories, all other values go right, including missing ones; otherwise values that
    are no category of the feature go left.

    feature, set_number  int64[nodes]
    threshold            float64[nodes]
    missing_left         uint8[nodes]
    """

    def __init__(self, table: Any, order: np.ndarray, is_split: np.ndarray) -> None:
        split = _flat(table, "split")
        self.feature = _numbers(split, "featureIndex").astype(np.int64)[order]
        n_categories = _numbers(split, "numCategories").astype(np.int64)[order]
        values = split.column("leftCategoriesOrThreshold").combine_chunks()
        flat = values.values.to_numpy(zero_copy_only=False)
        begin = values.offsets.to_numpy()[:-1][order]
        length = np.diff(values.offsets.to_numpy())[order]
        numeric = is_split & (n_categories == -1)
        if (length[numeric] != 1).any():
            raise ModelFormatError("MLlib model: a split without one threshold")
        self.threshold = np.zeros(order.size)
        self.threshold[numeric] = flat[begin[numeric]]
        if np.isnan(self.threshold).any():
            raise ModelFormatError("MLlib model: a split's threshold is NaN")
        self.missing_left = np.zeros(order.size, np.uint8)
        self.set_number = np.full(order.size, NO_SET)
        parts: list[tuple[np.ndarray, bool]] = []
        for node in np.flatnonzero(is_split & ~numeric):
            categories = flat[begin[node] : begin[node] + length[node]]
            right = _goes_right(categories, int(n_categories[node]))
            self.missing_left[node] = 1 - right[1]
            self.set_number[node] = len(parts)
            parts.append(right)
        self.sets = joined_sets([bits for bits, _ in parts], [other for _, other in parts])


def _goes_right(categories: np.ndarray, count: int) -> tuple[np.ndarray, bool]:
    """Return a set's bytes (uint8), and whether other values go right.

    categories  float64: the listed ones, which go left
    count       the feature's number of categories
    """
    is_whole = categories.size and (categories == np.floor(categories)).all()
    if not is_whole or categories.min() < 0 or categories.max() >= min(count, MAX_CATEGORIES):
        raise ModelFormatError(f"MLlib model: categories {categories[:5]} of {count}")
    other_right = bool(categories.size <= count // 2)
    size = int(categories.max()) + 1 if other_right else min(count, MAX_CATEGORIES)
    goes_right = np.full(-(-size // 8) * 8, other_right)
    goes_right[:size] = True
    goes_right[categories.astype(np.int64)] = False
    return np.packbits(goes_right, bitorder="little"), other_right


def _values(table: Any, kind: str, classes: int) -> np.ndarray:
    if "Regression" in kind or kind.startswith("GBT"):
        return _numbers(table, "prediction").astype(np.float64)
    stats = np.array(table.column("impurityStats").to_pylist(), np.float64)
    if stats.ndim != 2 or stats.shape[1] != classes:
        raise ModelFormatError(f"MLlib model: expected {classes} class counts a node")
    share = stats / stats.sum(axis=1, keepdims=True)
    return share[:, 1] if classes == 2 else share


def _covers(table: Any, kind: str, order: np.ndarray) -> np.ndarray | None:
    """Return the weight of the training rows at each node: class counts, or the first statistic.

    A regression tree's statistics are count, sum and sum of squares.
    """
    if "impurityStats" not in table.column_names:
        return None
    stats = table.column("impurityStats").combine_chunks()
    begin, length = stats.offsets.to_numpy()[:-1], np.diff(stats.offsets.to_numpy())
    if (length < 1).any():
        return None
    flat = stats.values.to_numpy(zero_copy_only=False).astype(np.float64)
    is_count = "Classification" in kind and not kind.startswith("GBT")
    cover = np.add.reduceat(flat, begin) if is_count else flat[begin]
    return np.asarray(cover[order])


def _weights(folder: Path, kind: str, trees: int) -> np.ndarray:
    """Return each boosted tree's factor (float64): its weight, doubled for a classifier's logit."""
    table = _table(folder / "treesMetadata")  # Spark 4.1 calls the columns _1, _2, _3
    number, weight = table.column(0).to_numpy(), table.column(2).to_numpy()
    if not np.array_equal(np.sort(number), np.arange(trees)):
        raise ModelFormatError(f"MLlib model: {trees} trees, {number.size} weights")
    factor = 2.0 if "Classification" in kind else 1.0
    return factor * weight[np.argsort(number)]


def _numbers(table: Any, name: str) -> np.ndarray:
    array: np.ndarray = table.column(name).to_numpy()
    return array


def _flat(table: Any, name: str) -> Any:
    """Return the fields of a struct column as a table."""
    import pyarrow

    return pyarrow.Table.from_struct_array(table.column(name).combine_chunks())


def _table(folder: Path) -> Any:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise PlatformError("importing a Spark MLlib model needs pyarrow; install it") from error
    try:
        return parquet.read_table(folder)
    except (ArrowException, OSError) as error:
        raise ModelFormatError(f"MLlib model: {folder.name}: {error}") from error
