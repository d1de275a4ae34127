"""Explain trees without a compiler: the same values, by NumPy, some hundred times slower.

The formula is that of kernels/shapley_quadrature.py.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from kyros_spark.explanation.edges import TreeEdges
from kyros_spark.explanation.quadrature import quadrature
from kyros_spark.model.artefact import Model
from kyros_spark.scoring.numpy_scorer import NumpyTrees

CHUNK_ROWS = 512


class NumpyExplainer:
    """Contributions of a tree model, tree by tree, all rows of a chunk side by side."""

    kernel = "numpy"

    def __init__(self, model: Model, edges: TreeEdges) -> None:
        self._arrays, self._edges = model.arrays, edges
        self._scorer = NumpyTrees(model)
        self._outputs = model.arrays.get(
            "output_start", np.array([0, model.arrays["tree_start"].size - 1])
        )

    def add(self, columns: Sequence[np.ndarray], values: np.ndarray) -> None:
        """Add the contributions of all trees to `values`, float64[n, outputs, features]."""
        for first in range(0, values.shape[0], CHUNK_ROWS):
            part = slice(first, first + CHUNK_ROWS)
            chunk = values[part]
            rows = [column[part] for column in columns]
            for output, (begin, end) in enumerate(pairwise(self._outputs)):
                for tree in range(begin, end):
                    self._add_tree(tree, rows, chunk[:, output])

    def _add_tree(self, tree: int, columns: list[np.ndarray], values: np.ndarray) -> None:
        arrays, edges = self._arrays, self._edges
        start, end = (int(border) for border in arrays["tree_start"][tree : tree + 2])
        if start == end:
            return
        t, weight = quadrature(int(edges.distinct[2 * start : 2 * end].max()))
        met = np.empty((2 * (end - start), values.shape[0]), bool)
        product = np.empty((2 * (end - start), t.size, values.shape[0]))
        for split in range(start, end):
            left = self._scorer.goes_left(split, columns[edges.feature[split]])
            above = edges.above[split]
            for edge, takes in ((2 * split, left), (2 * split + 1, ~left)):
                before, earlier = edge - 2 * start, edges.earlier[edge]
                met[before] = takes if earlier < 0 else takes & met[earlier - 2 * start]
                factor = _factor(t, met[before], edges.joint[edge])
                if earlier >= 0:
                    old = _factor(t, met[earlier - 2 * start], edges.joint[earlier])
                    factor = np.divide(factor, old, out=np.zeros_like(factor), where=old > 0)
                product[before] = factor if above < 0 else factor * product[above - 2 * start]
        self._collect(tree, t, weight, met, product, values)

    def _collect(
        self,
        tree: int,
        t: np.ndarray,
        weight: np.ndarray,
        met: np.ndarray,
        product: np.ndarray,
        values: np.ndarray,
    ) -> None:
        """Sum leaves times products from the leaves up, and read the contribution of each edge."""
        arrays, edges = self._arrays, self._edges
        start, end = (int(border) for border in arrays["tree_start"][tree : tree + 2])
        leaf_values = arrays["leaf_value"][start + tree : end + tree + 1].astype(np.float64)
        leaf_edges = edges.leaf_edge[start + tree : end + tree + 1] - 2 * start
        product[leaf_edges] *= leaf_values[:, None, None]
        is_leaf = np.zeros(met.shape[0], bool)
        is_leaf[leaf_edges] = True
        product[~is_leaf] = 0.0
        for split in range(end - 1, start - 1, -1):
            above = edges.above[split]
            for edge in (2 * split, 2 * split + 1):
                below = product[edge - 2 * start]
                if above >= 0:
                    product[above - 2 * start] += below
                ratio = _ratio(t, met[edge - 2 * start], edges.joint[edge])
                earlier = edges.earlier[edge]
                if earlier >= 0:
                    ratio = ratio - _ratio(t, met[earlier - 2 * start], edges.joint[earlier])
                values[:, edges.feature[split]] += weight @ (below * ratio)


def _factor(t: np.ndarray, met: np.ndarray, share: float) -> np.ndarray:
    return np.where(met, t[:, None] + (1 - t[:, None]) * share, (1 - t[:, None]) * share)


def _ratio(t: np.ndarray, met: np.ndarray, share: float) -> np.ndarray:
    """Return (o - z) / (t o + (1 - t) z), which for o = 0 does not depend on z."""
    node = t[:, None]
    return np.where(met, (1 - share) / (node + (1 - node) * share), -1 / (1 - node))
