"""Read the Parquet files of MLlib's trees: a row a node, numbered from each tree's root."""

from pathlib import Path
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError, PlatformError
from kyros_spark.model.import_cuts import cut_of_at_most, with_every_value_cuts
from kyros_spark.model.trees import RawNodes, trees_from_nodes


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Return a small Parquet folder's rows."""
    rows: list[dict[str, Any]] = _table(folder).to_pylist()
    return rows


def tree_arrays(folder: Path, kind: str, n_features: int) -> dict[str, np.ndarray]:
    """Return the arrays of a tree, a forest or boosted trees.

    A leaf is worth its prediction; for a classifier its share of the second class, except in
    boosting, whose leaves hold half of the logit.
    """
    table = _table(folder / "data")
    from pyarrow import ArrowException

    try:
        return _tree_arrays(folder, kind, n_features, table)
    except ArrowException as error:
        raise ModelFormatError(f"MLlib model: {str(error)[:200]}") from error


def _tree_arrays(folder: Path, kind: str, n_features: int, table: Any) -> dict[str, np.ndarray]:
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
    feature, threshold = _splits(table, order, left >= 0)
    nodes = RawNodes(
        tree_start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        left=left,
        right=_numbers(table, "rightChild").astype(np.int64)[order],
        feature=feature,
        threshold=cut_of_at_most(threshold),
        missing_left=np.zeros(node.size, np.uint8),
        value=_values(table, kind)[order] * _weights(folder, kind, sizes.size)[tree],
    )
    return trees_from_nodes(with_every_value_cuts(nodes), n_features).as_dict()


def _splits(table: Any, order: np.ndarray, is_split: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each node's feature and threshold; leaves hold placeholders."""
    split = _flat(table, "split")
    if (_numbers(split, "numCategories")[order][is_split] != -1).any():
        raise ModelNotSupportedError("MLlib model: a categorical split is not supported")
    values = split.column("leftCategoriesOrThreshold").combine_chunks()
    lengths = np.diff(values.offsets.to_numpy())
    if (lengths[order][is_split] != 1).any():
        raise ModelFormatError("MLlib model: a split without one threshold")
    threshold = np.zeros(lengths.size)
    single = lengths == 1
    flat = values.values.to_numpy(zero_copy_only=False)
    threshold[single] = flat[values.offsets.to_numpy()[:-1][single]]
    threshold = np.where(is_split, threshold[order], 0.0)
    if np.isnan(threshold).any():
        raise ModelFormatError("MLlib model: a split's threshold is NaN")
    return _numbers(split, "featureIndex").astype(np.int64)[order], threshold


def _values(table: Any, kind: str) -> np.ndarray:
    if "Regression" in kind or kind.startswith("GBT"):
        return _numbers(table, "prediction").astype(np.float64)
    stats = np.array(table.column("impurityStats").to_pylist(), np.float64)
    if stats.ndim != 2 or stats.shape[1] != 2:
        raise ModelFormatError("MLlib model: expected two class counts a node")
    return stats[:, 1] / stats.sum(axis=1)


def _weights(folder: Path, kind: str, trees: int) -> np.ndarray:
    """Return what each tree's leaves are multiplied by; 2 of it is GBTClassifier's logit."""
    if kind.startswith("DecisionTree"):
        return np.ones(trees)
    if kind.startswith("RandomForest"):
        return np.full(trees, 1.0 / trees)
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
    """Return a struct column's fields as a table of their own."""
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
