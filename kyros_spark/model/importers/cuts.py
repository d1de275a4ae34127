"""Turn other libraries' comparisons into the engine's only one, `value < cut`, without loss."""

from dataclasses import replace

import numpy as np

from kyros_spark.model.trees import RawNodes


def cut_of_at_most(threshold: np.ndarray) -> np.ndarray:
    """Return the cuts for which `value < cut` means the same as `value <= threshold`.

    threshold  float32 or float64, any shape; the cuts have the same shape and precision

    The cut is the next larger number, which is exact for every threshold but infinity: every value
    is at most infinity, and no cut expresses that. The cut of infinity is NaN, which
    `with_every_value_cuts` then replaces.
    """
    with np.errstate(
        over="ignore"
    ):  # the largest finite number's neighbour is meant to be infinity
        cut = np.nextafter(threshold, threshold.dtype.type(np.inf))
    return np.where(threshold == np.inf, threshold.dtype.type(np.nan), cut)


def with_every_value_cuts(nodes: RawNodes) -> RawNodes:
    """Replace cuts of NaN, which send every value left, by -inf, which sends every value right.

    The children change sides, and the missing values with them. LightGBM and scikit-learn write
    such splits where only missing values are separated.
    """
    takes_all = np.isnan(nodes.threshold) & (nodes.left >= 0)
    return replace(
        nodes,
        threshold=np.where(takes_all, nodes.threshold.dtype.type(-np.inf), nodes.threshold),
        left=np.where(takes_all, nodes.right, nodes.left),
        right=np.where(takes_all, nodes.left, nodes.right),
        missing_left=np.where(takes_all, 1 - nodes.missing_left, nodes.missing_left),
    )
