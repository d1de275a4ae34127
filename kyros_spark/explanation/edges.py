"""Lay out a tree model's edges for explanations: features, shares of rows, conditions on a path."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kyros_spark.kernels.compile import CompileError, compiled, read_only, writable
from kyros_spark.kernels.shapley_edges import link_edges
from kyros_spark.model.covers import child_covers

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class TreeEdges:
    """The edges of all trees, as kernels/shapley_edges.py numbers and describes them.

    feature    int32[splits]
    share      float64[2 * splits]
    above      int64[splits]
    earlier    int64[2 * splits]
    joint      float64[2 * splits]
    reach      float64[2 * splits]
    distinct   int32[2 * splits]
    leaf_edge  int64[leaves]
    """

    feature: np.ndarray
    share: np.ndarray
    above: np.ndarray
    earlier: np.ndarray
    joint: np.ndarray
    reach: np.ndarray
    distinct: np.ndarray
    leaf_edge: np.ndarray


def tree_edges(model: Arrays, share: np.ndarray) -> TreeEdges:
    """Return the edges of a tree model's arrays.

    share  float64[2 * splits], such as `cover_shares`
    """
    feature = split_features(model)
    splits, leaves = feature.size, model["leaf_value"].size
    edges = TreeEdges(
        feature=feature,
        share=share,
        above=np.zeros(splits, np.int64),
        earlier=np.zeros(2 * splits, np.int64),
        joint=np.zeros(2 * splits),
        reach=np.zeros(2 * splits),
        distinct=np.zeros(2 * splits, np.int32),
        leaf_edge=np.zeros(leaves, np.int64),
    )
    inputs = (model["tree_start"], feature, model["split_left"], model["split_right"], share)
    outputs = (
        edges.above, edges.earlier, edges.joint, edges.reach, edges.distinct, edges.leaf_edge
    )  # fmt: skip
    types = [read_only(array.dtype) for array in inputs]
    types += [writable(array.dtype) for array in outputs]
    frozen = [array.view() for array in inputs]
    for array in frozen:
        array.flags.writeable = False
    try:
        link = compiled(link_edges, *types)
    except CompileError:  # the same loops, uncompiled
        link = link_edges
    link(*frozen, *outputs)
    return edges


def leaf_shares(edges: TreeEdges) -> np.ndarray:
    """Return the share of all rows that reaches each leaf, float64[leaves]."""
    return np.append(edges.reach, 1.0)[edges.leaf_edge]  # edge -1: the only leaf of its tree


def expected_sums(model: Arrays, reach: np.ndarray) -> np.ndarray:
    """Return the expected sum of leaf values of each output, float64[outputs].

    reach  float64[leaves]: the share of rows that reaches each leaf
    """
    trees = np.arange(model["tree_start"].size)
    borders = model.get("output_start", trees[[0, -1]])
    leaves = (model["tree_start"] + trees)[borders]
    expected = model["leaf_value"].astype(np.float64) * reach
    return np.array([expected[first:last].sum() for first, last in pairwise(leaves)])


def split_features(model: Arrays) -> np.ndarray:
    """Return the feature of each split, int32[splits]."""
    sizes = np.diff(model["cut_start"])
    by_cut = np.repeat(np.arange(sizes.size, dtype=np.int32), sizes)
    by_set = model.get("set_feature", np.zeros(0, np.int32))
    features: np.ndarray = np.concatenate([by_cut, by_set])[model["split_cut"]]
    return features.astype(np.int32)


def cover_shares(model: Arrays) -> np.ndarray:
    """Return the share of a split's rows that take each edge, float64[2 * splits].

    Below a branch that no row took, both edges have half.
    """
    covers = {name: model[name] for name in ("split_cover", "leaf_cover")}
    tree_start = model["tree_start"]
    sizes = np.diff(tree_start)
    tree = np.repeat(np.arange(sizes.size), sizes)
    share = np.full((tree.size, 2), 0.5)
    rows = covers["split_cover"]
    for side, name in enumerate(("split_left", "split_right")):
        cover = child_covers(tree_start[tree], tree, model[name], **covers)
        np.divide(cover, rows, out=share[:, side], where=rows > 0)
    return share.ravel()
