"""Measure the covers of a tree model: how many rows of some batches pass each node."""

from collections.abc import Iterable, Sequence

import numpy as np

from kyros_spark.errors import DataContractError, ModelNotSupportedError
from kyros_spark.model.artefact import Model
from kyros_spark.model.manifest import FORMAT_VERSION
from kyros_spark.scoring.input_columns import input_columns
from kyros_spark.scoring.numpy_scorer import NumpyTrees


def measured_covers(
    model: Model,
    batches: Iterable[Sequence[np.ndarray]],
    weights: Iterable[np.ndarray] | None = None,
) -> Model:
    """Return the model with the covers that the rows give it, whether it had others or not.

    The manifest says so: its training record gets `covers`, with the rows and their total weight.

    batches  each as `Scorer.raw` takes columns
    weights  float64[n] of each batch, such as exposure; None counts every row once

    Raises:
        ModelNotSupportedError: the model is not made of trees.
        DataContractError: no rows, columns that do not fit the model, or weights below 0.
    """
    if model.manifest.kind != "trees":
        raise ModelNotSupportedError(
            f"model {model.manifest.name}: covers are of trees, it is a {model.manifest.kind}"
        )
    counter = NumpyTrees(model)
    tree_start = model.arrays["tree_start"]
    leaf_cover = np.zeros(model.arrays["leaf_value"].size)
    rows, given = 0, iter(weights) if weights is not None else None
    for batch in batches:
        columns, _, size = input_columns(model.manifest, batch)
        weight = None if given is None else checked_weight(model, next(given, None), size)
        rows += size
        for tree in range(tree_start.size - 1):
            first, last = tree_start[tree] + tree, tree_start[tree + 1] + tree + 1
            leaves = counter.leaves(tree, columns, size) - first
            leaf_cover[first:last] += np.bincount(leaves, weight, last - first)
    total = float(leaf_cover[: int(tree_start[1:2].sum()) + 1].sum())
    if not total > 0:
        raise DataContractError(
            f"model {model.manifest.name}: expected rows to measure covers on, found {rows} "
            f"rows of total weight {total:g}"
        )
    arrays = {**model.arrays, "leaf_cover": leaf_cover}
    arrays["split_cover"] = split_covers(arrays)
    record = {"source": "measured", "rows": rows, "weight": total}
    training = {**model.manifest.training, "covers": record}
    update = {"format_version": FORMAT_VERSION, "training": training}
    return Model(model.manifest.model_copy(update=update), arrays)


def checked_weight(model: Model, weight: np.ndarray | None, size: int) -> np.ndarray:
    """Return a batch's weights as float64[size]."""
    array = np.zeros(0) if weight is None else np.asarray(weight, np.float64)
    if array.shape != (size,) or not np.isfinite(array).all() or (array < 0).any():
        raise DataContractError(
            f"model {model.manifest.name}: expected {size} finite weights of 0 and more, one per "
            f"row, found {array.tolist()[:5]} of shape {array.shape}"
        )
    return array


def split_covers(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return each split's cover, float64[splits]: the sum of its leaves' covers."""
    tree_start, left, right = (
        arrays[name].tolist() for name in ("tree_start", "split_left", "split_right")
    )
    leaf_cover = arrays["leaf_cover"].tolist()
    covers = [0.0] * len(left)
    for tree in range(len(tree_start) - 1):
        start = tree_start[tree]
        for split in range(tree_start[tree + 1] - 1, start - 1, -1):
            covers[split] = sum(
                covers[start + child] if child >= 0 else leaf_cover[start + tree + ~child]
                for child in (left[split], right[split])
            )
    return np.array(covers, np.float64)
