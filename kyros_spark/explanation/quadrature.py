"""Give the nodes and weights that integrate the products along a tree's paths exactly."""

import numpy as np

from kyros_spark.explanation.edges import TreeEdges
from kyros_spark.scoring.kernel_calls import frozen


def quadrature(features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes in (0, 1) and weights, exact for products over that many features."""
    nodes, weights = np.polynomial.legendre.leggauss(max(-(-features // 2), 1))
    return (nodes + 1) / 2, weights / 2


def tree_nodes(tree_start: np.ndarray, edges: TreeEdges) -> tuple[np.ndarray, np.ndarray]:
    """Return each tree's nodes and weights, float64[2, nodes], and where they begin.

    The starts are int64[trees + 1].
    """
    features = np.zeros(tree_start.size - 1, np.int64)
    sizes = np.diff(tree_start)
    has_splits = sizes > 0
    if has_splits.any():
        starts = 2 * tree_start[:-1][has_splits]
        features[has_splits] = np.maximum.reduceat(edges.distinct, starts)
    rules = {count: np.stack(quadrature(count)) for count in np.unique(features).tolist()}
    parts = [rules[count] for count in features.tolist()]
    starts = np.cumsum([0, *(part.shape[1] for part in parts)])
    nodes = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))
    return frozen(nodes), frozen(starts.astype(np.int64))
