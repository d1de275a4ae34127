"""Turn other libraries' comparisons into the engine's only one, `value < cut`, without loss."""

from dataclasses import replace

import numpy as np

from kyros_spark.model.trees import RawNodes


def cut_of_at_most(threshold: np.ndarray) -> np.ndarray:
    """Return the cut that asks `value < cut` where a library asks `value <= threshold`.

    It is the next number above, which is exact for every threshold but infinity: every value is at
    most that, and no cut says so. There it is NaN, for `with_every_value_cuts`.
    """
    with np.errstate(over="ignore"):  # the largest finite number's neighbour is infinity, as meant
        cut = np.nextafter(threshold, threshold.dtype.type(np.inf))
    return np.where(threshold == np.inf, threshold.dtype.type(np.nan), cut)


def with_every_value_cuts(nodes: RawNodes) -> RawNodes:
    """Write cuts of NaN, which send every value left, as the opposite: `value < -inf`, for none.

    The children change sides, the missing values with them. LightGBM and scikit-learn write such
    splits where only missing values are set apart.
    """
    every = np.isnan(nodes.threshold) & (nodes.left >= 0)
    return replace(
        nodes,
        threshold=np.where(every, nodes.threshold.dtype.type(-np.inf), nodes.threshold),
        left=np.where(every, nodes.right, nodes.left),
        right=np.where(every, nodes.left, nodes.right),
        missing_left=np.where(every, 1 - nodes.missing_left, nodes.missing_left),
    )
