"""Translate the nodes of an ONNX tree ensemble, whatever the operator that holds them."""

from dataclasses import dataclass

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.cuts import cut_of_at_most, with_every_value_cuts
from kyros_spark.model.trees import RawNodes, breadth_first

# Numbered as in opset 5; the engine splits by the first four.
MODES = (
    "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT",
    "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER",
)  # fmt: skip
AT_MOST, LESS, AT_LEAST, MORE = range(4)
LEAF = -1


@dataclass(frozen=True)
class Nodes:
    """The nodes of all trees in one sequence; each array has one entry per node.

    tree         int64: the number of the node's tree
    true, false  int64: the positions of a split's children, -1 for a leaf
    feature, threshold, missing_true   of a split
    mode         int64: the number of a split's mode in MODES, LEAF for a leaf
    value        of a leaf: a number, or a row of weights, one per class
    cover        the nodes' hit rates, if the file gives them
    """

    tree: np.ndarray
    true: np.ndarray
    false: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    mode: np.ndarray
    missing_true: np.ndarray
    value: np.ndarray
    cover: np.ndarray | None = None


def raw_nodes(nodes: Nodes, single: bool) -> RawNodes:
    """Translate every mode into `value < cut`; > and >= are the opposites of <= and <.

    single  whether values arrive as float32

    Raises ModelFormatError when a tree has no root or several, or a threshold is NaN,
    ModelNotSupportedError for a mode that the engine lacks.
    """
    nodes = _roots_first(nodes)
    if (nodes.mode > MORE).any():
        unknown = [MODES[number] for number in np.unique(nodes.mode) if number > MORE]
        raise ModelNotSupportedError(f"ONNX model: splits {unknown} are not supported")
    opposite = np.isin(nodes.mode, (MORE, AT_LEAST)) & (nodes.true >= 0)
    at_most = np.isin(nodes.mode, (AT_MOST, MORE))
    if np.isnan(nodes.threshold[nodes.true >= 0]).any():
        raise ModelFormatError("ONNX model: a split's threshold is NaN")
    cut = np.where(at_most, cut_of_at_most(nodes.threshold), nodes.threshold)
    raw = RawNodes(
        tree_start=np.concatenate([[0], np.cumsum(np.bincount(nodes.tree))]).astype(np.int64),
        left=np.where(opposite, nodes.false, nodes.true),
        right=np.where(opposite, nodes.true, nodes.false),
        feature=nodes.feature,
        threshold=_single(cut) if single else cut,
        missing_left=np.where(opposite, 1 - nodes.missing_true, nodes.missing_true),
        value=nodes.value,
        cover=nodes.cover,
    )
    raw = with_every_value_cuts(raw)
    if breadth_first(raw)[0].size != raw.left.size:
        # ONNX Runtime takes the first node for the root, and walks among them.
        raise ModelFormatError("ONNX model: nodes that their tree's root does not reach")
    return raw


def _roots_first(nodes: Nodes) -> Nodes:
    """Sort the nodes by tree, each tree's root first, and number children within their tree.

    The root is the one node of a tree that is no child.
    """
    is_root = np.ones(nodes.tree.size, np.int64)
    split = nodes.true >= 0
    is_root[nodes.true[split]] = 0
    is_root[nodes.false[split]] = 0
    roots = np.bincount(nodes.tree, weights=is_root)
    if (roots != 1).any():
        raise ModelFormatError(f"ONNX model: a tree has {int(roots.max())} roots")
    order = np.lexsort((1 - is_root, nodes.tree))
    position = np.empty(order.size, np.int64)
    position[order] = np.arange(order.size)
    sizes = np.bincount(nodes.tree)
    start = (np.cumsum(sizes) - sizes)[nodes.tree[order]]
    children = {}
    for side in ("true", "false"):
        child = getattr(nodes, side)[order]
        children[side] = np.where(child >= 0, position[child] - start, -1)
    other_columns = {
        name: getattr(nodes, name)[order]
        for name in ("tree", "feature", "threshold", "mode", "missing_true", "value")
    }
    cover = None if nodes.cover is None else nodes.cover[order]
    return Nodes(**children, **other_columns, cover=cover)


def _single(cut: np.ndarray) -> np.ndarray:
    """Round each cut up to float32, which changes no comparison with a float32 value."""
    with np.errstate(over="ignore"):
        rounded = cut.astype(np.float32)
        return np.where(rounded < cut, np.nextafter(rounded, np.float32(np.inf)), rounded)
