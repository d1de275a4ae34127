"""Hold how many training rows passed each node of a tree: what explanations weigh branches by.

A library's own measure is kept: XGBoost's sum of hessians, LightGBM's and MLlib's count of rows.
Only the ratios of a node's cover to its parent's matter, so the unit does not.
"""

import logging

import numpy as np

LOG = logging.getLogger(__name__)

COVER_ARRAYS = ("split_cover", "leaf_cover")
TOLERANCE = 1e-2  # of the parent's cover: libraries sum hessians in float32, in different orders


def covers_of(
    cover: np.ndarray | None,
    split: np.ndarray,
    leaf: np.ndarray,
    tree_start: np.ndarray,
    children: tuple[np.ndarray, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return a library's covers as a model file's arrays, or nothing if they are not sound.

    A file with unsound covers still scores, so it is imported; only its explanations then need
    covers that are measured.

    cover        floats[nodes], as the library numbers its nodes; None if it has none
    split, leaf  integers: the nodes that are our splits and leaves, in their order
    tree_start   int64[trees + 1]
    children     int32[splits] each: left and right, as in trees.py
    """
    if cover is None:
        return {}
    covers = {
        "split_cover": cover[split].astype(np.float64),
        "leaf_cover": cover[leaf].astype(np.float64),
    }
    fault = cover_fault(tree_start, *children, **covers)
    if fault is not None:
        LOG.warning("the model's covers are left out: %s", fault)
        return {}
    return covers


def cover_fault(
    tree_start: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    split_cover: np.ndarray,
    leaf_cover: np.ndarray,
) -> str | None:
    """Say what is wrong with the covers of trees, or None if they are sound.

    A cover may be 0 below the root: the branch that no row took. The children of a split share its
    cover.
    """
    for name, cover in (("split_cover", split_cover), ("leaf_cover", leaf_cover)):
        if not (np.isfinite(cover).all() and (cover >= 0).all()):
            return f"{name}: expected finite values, 0 and more, found others"
    sizes = np.diff(tree_start)
    trees = np.arange(sizes.size)
    roots = leaf_cover[tree_start[:-1] + trees].copy()
    roots[sizes > 0] = split_cover[tree_start[:-1][sizes > 0]]
    if not (roots > 0).all():
        return f"split_cover: the root of tree {int((roots <= 0).argmax())} has cover 0"
    tree = np.repeat(trees, sizes)
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [
            child_covers(tree_start[tree], tree, child, split_cover, leaf_cover)
            for child in (left, right)
        ]
        total = parts[0] + parts[1]
        apart = np.abs(split_cover - total) > TOLERANCE * split_cover
    if apart.any():
        number = int(apart.argmax())
        return (
            f"split_cover: the children of split {number - int(tree_start[tree[number]])} of tree "
            f"{int(tree[number])} have {total[number]:g} together, the split has "
            f"{split_cover[number]:g}"
        )
    return None


def child_covers(
    start: np.ndarray,
    tree: np.ndarray,
    child: np.ndarray,
    split_cover: np.ndarray,
    leaf_cover: np.ndarray,
) -> np.ndarray:
    """Return the covers of children, float64[splits].

    start, tree  int64[splits]: where the tree's splits begin, and its number
    child        int32[splits], as in trees.py
    """
    cover = np.empty(child.size)
    inner = child >= 0
    cover[inner] = split_cover[start[inner] + child[inner]]
    cover[~inner] = leaf_cover[start[~inner] + tree[~inner] + ~child[~inner]]
    return cover
