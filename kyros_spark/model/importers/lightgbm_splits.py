"""Translate LightGBM's splits into the engine's: `value < cut` and a side for missing values.

With Z = 1e-35 (as float32), LightGBM takes every value from -Z to Z for zero. Then it decides by
the missing type, which is in bits 2 and 3 of decision_type:
  None  a missing value counts as zero; `value <= threshold` goes left
  Zero  zero and missing values go to the default side (bit 1), others as above (zero_as_missing)
  NaN   missing values go to the default side, others as above
A split by categories (bit 0) sends the categories of its set left. Everything else goes right:
other categories, negative and missing values, whatever the missing type.
One cut expresses a numeric split, with one exception: missing type Zero, where zero's default side
differs from the side of its neighbours. Such a split becomes three, and the branches below it are
written twice.
"""

from dataclasses import dataclass

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.category_sets import NO_SET, CategorySets
from kyros_spark.model.importers.cuts import cut_of_at_most, with_every_value_cuts
from kyros_spark.model.trees import RawNodes

ZERO = float(np.float32(1e-35))
PAST_ZERO = float(np.nextafter(ZERO, 1.0))
MISSING_ZERO, MISSING_NAN = 1, 2
MAX_GROWTH = 64  # the most that writing branches twice may multiply a tree's number of nodes by


@dataclass(frozen=True)
class Splits:
    """One tree as LightGBM writes it; a child below zero is the leaf `~child`.

    feature, decision, left, right  int64[splits]
    threshold                       float64[splits]: of a split by categories, the number of its set
    leaf_value                      float64[splits + 1]
    cover                           float64[splits + splits + 1]: the counts of rows at the splits,
                                    then at the leaves, which LightGBM's own explanations use too;
                                    None if the text has none
    """

    feature: np.ndarray
    threshold: np.ndarray
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaf_value: np.ndarray
    sets: CategorySets
    cover: np.ndarray | None = None


def nodes_of_splits(trees: list[Splits]) -> RawNodes:
    """Return the nodes of all trees, with cuts in place of thresholds.

    Raises ModelFormatError for a threshold of NaN, ModelNotSupportedError for a tree that would
    grow beyond MAX_GROWTH times its nodes.
    """
    parts = [_tree_nodes(number, tree) for number, tree in enumerate(trees)]
    sizes = [part.left.size for part in parts]
    covers = [part.cover for part in parts if part.cover is not None]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    nodes = RawNodes(
        tree_start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        left=joined("left"),
        right=joined("right"),
        feature=joined("feature"),
        threshold=joined("threshold"),
        missing_left=joined("missing_left"),
        value=joined("value"),
        sets=_all_sets([tree.sets for tree in trees]),
        set_number=_all_numbers(trees, parts),
        cover=np.concatenate(covers) if len(covers) == len(parts) else None,
    )
    return with_every_value_cuts(nodes)


def _all_sets(parts: list[CategorySets]) -> CategorySets:
    ends = np.cumsum([0, *(part.bits.size for part in parts)])
    starts = [part.start[:-1] + end for part, end in zip(parts, ends[:-1], strict=True)]
    return CategorySets(
        start=np.concatenate([*starts, ends[-1:]]).astype(np.int64),
        bits=np.concatenate([part.bits for part in parts]),
        other_right=np.concatenate([part.other_right for part in parts]),
    )


def _all_numbers(trees: list[Splits], parts: list[RawNodes]) -> np.ndarray:
    """Number the sets consecutively across all trees."""
    first, numbers = 0, []
    for tree, part in zip(trees, parts, strict=True):
        assert part.set_number is not None
        numbers.append(np.where(part.set_number == NO_SET, NO_SET, part.set_number + first))
        first += tree.sets.other_right.size
    return np.concatenate(numbers)


def _tree_nodes(number: int, tree: Splits) -> RawNodes:
    threshold = tree.threshold
    if np.isnan(threshold).any():
        raise ModelFormatError(f"LightGBM model: tree {number}: a threshold is NaN")
    by_set = tree.decision & 1 == 1
    missing, default_left = tree.decision >> 2, tree.decision >> 1 & 1
    zero_type = (missing == MISSING_ZERO) & ~by_set
    side_by_threshold = (threshold >= 0).astype(np.int64)
    side_of_zero = np.where(zero_type, default_left, side_by_threshold)
    within_zero = (threshold >= -ZERO) & (threshold < ZERO)  # only the side of zero matters
    separates_zero = (side_of_zero != side_by_threshold) & ~within_zero
    at_zero = separates_zero & (threshold == ZERO)  # nothing lies between zero and this threshold
    zero_cut = np.where(side_of_zero, PAST_ZERO, -ZERO)
    cut = np.where(within_zero | at_zero, zero_cut, cut_of_at_most(threshold))
    missing_left = np.where(missing == MISSING_NAN, default_left, side_of_zero)
    set_number = np.full(cut.size, NO_SET)
    set_number[by_set] = threshold[by_set].astype(np.int64)
    cut, missing_left = np.where(by_set, 0.0, cut), np.where(by_set, 0, missing_left)
    nodes = _with_leaves(tree, cut, missing_left, set_number)
    separates_zero &= ~at_zero
    if not separates_zero.any():
        return nodes
    return _with_zero_separated(number, nodes, zero_type, separates_zero)


def _with_leaves(
    tree: Splits, cut: np.ndarray, missing_left: np.ndarray, set_number: np.ndarray
) -> RawNodes:
    """Number the leaves after the splits."""
    n, leaves = cut.size, tree.leaf_value.size
    absent = np.full(leaves, -1)

    def renumbered(child: np.ndarray) -> np.ndarray:
        return np.concatenate([np.where(child >= 0, child, n + ~child), absent]).astype(np.int64)

    return RawNodes(
        tree_start=np.array([0, n + leaves]),
        left=renumbered(tree.left),
        right=renumbered(tree.right),
        feature=np.concatenate([tree.feature, absent]),
        threshold=np.concatenate([cut, np.zeros(leaves)]),
        missing_left=np.concatenate([missing_left, np.zeros(leaves)]).astype(np.uint8),
        value=np.concatenate([np.zeros(n), tree.leaf_value]),
        set_number=np.concatenate([set_number, np.full(leaves, NO_SET)]),
        cover=tree.cover,
    )


def _with_zero_separated(
    number: int, nodes: RawNodes, zero_type: np.ndarray, separates_zero: np.ndarray
) -> RawNodes:
    """Rewrite the tree, turning each split marked in `separates_zero` into three.

    zero_type, separates_zero  bool[splits]; the splits are the first of `nodes`

    The walk down remembers on which side of zero each feature's value is known to lie (`regions`),
    so that later splits by that feature need at most one cut. The tree loses its covers, because
    the text does not say how many of the rows of a branch written twice were zeros.
    """
    writer = _TreeWriter(number, MAX_GROWTH * nodes.left.size)
    pending: list[tuple[int, dict[int, str], int, int]] = [(0, {}, -1, 0)]
    while pending:
        node, regions, parent, side = pending.pop()
        left, right = int(nodes.left[node]), int(nodes.right[node])
        if left < 0:
            writer.add(parent, side, -1, 0.0, 0, float(nodes.value[node]))
            continue
        feature, cut = int(nodes.feature[node]), float(nodes.threshold[node])
        zero_left = int(nodes.missing_left[node])
        region = regions.get(feature) if zero_type[node] else None
        if region == "zero" or (region == "below" and not cut < -ZERO):
            child = left if region == "below" or zero_left else right
            pending.append((child, regions, parent, side))
        elif region == "above" and cut <= PAST_ZERO:
            pending.append((right, regions, parent, side))
        elif region is None and separates_zero[node]:
            first, last = (cut, -ZERO) if zero_left else (cut, PAST_ZERO)
            top = writer.add(parent, side, feature, first, 1 - zero_left)
            middle = writer.add(top, zero_left, feature, last, 1 - zero_left)
            lowest = writer.add(
                middle, zero_left, feature, PAST_ZERO if zero_left else -ZERO, zero_left
            )
            outer, inner = ("below", "above") if zero_left else ("above", "below")
            zero_child, other_child = (left, right) if zero_left else (right, left)
            pending += [
                (zero_child, {**regions, feature: outer}, top, 1 - zero_left),
                (other_child, {**regions, feature: outer}, middle, 1 - zero_left),
                (zero_child, {**regions, feature: "zero"}, lowest, 1 - zero_left),
                (other_child, {**regions, feature: inner}, lowest, zero_left),
            ]
        else:
            assert nodes.set_number is not None
            set_number = int(nodes.set_number[node])
            split = writer.add(parent, side, feature, cut, zero_left, set_number=set_number)
            pending += [(left, regions, split, 0), (right, regions, split, 1)]
    return writer.nodes()


class _TreeWriter:
    """Write a tree node by node, with at most `max_nodes` nodes."""

    def __init__(self, number: int, max_nodes: int) -> None:
        self.number, self.max_nodes = number, max_nodes
        self.children: list[list[int]] = []
        self.rows: list[tuple[int, float, int, float, int]] = []

    def add(
        self,
        parent: int,
        side: int,
        feature: int,
        cut: float,
        missing: int,
        value: float = 0.0,
        set_number: int = NO_SET,
    ) -> int:
        """Add a node as the parent's left (side 0) or right child; return its number."""
        if len(self.rows) >= self.max_nodes:
            raise ModelNotSupportedError(
                f"LightGBM model: tree {self.number}: zero_as_missing sets zero apart so often "
                f"that the tree grows {MAX_GROWTH}-fold"
            )
        self.children.append([-1, -1])
        self.rows.append((feature, cut, missing, value, set_number))
        if parent >= 0:
            self.children[parent][side] = len(self.rows) - 1
        return len(self.rows) - 1

    def nodes(self) -> RawNodes:
        """Return the tree."""
        feature, cut, missing, value, set_number = zip(*self.rows, strict=True)
        children = np.array(self.children, np.int64)
        return RawNodes(
            tree_start=np.array([0, len(self.rows)]),
            left=children[:, 0],
            right=children[:, 1],
            feature=np.array(feature, np.int64),
            threshold=np.array(cut, np.float64),
            missing_left=np.array(missing, np.uint8),
            value=np.array(value, np.float64),
            set_number=np.array(set_number, np.int64),
        )
