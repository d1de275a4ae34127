"""Say LightGBM's splits as the engine's: `value < cut` goes left, or what is missing.

With Z = 1e-35 (as float32), LightGBM takes every value from -Z to Z for zero, and then asks, by the
missing type in bits 2 and 3 of decision_type:
  None  a missing value is zero, `value <= threshold` goes left
  Zero  zero and missing values go to the default side (bit 1), others as above (zero_as_missing)
  NaN   missing values go to the default side, others as above
A split by categories (bit 0) sends its set left, all else right: other categories, negative and
missing values, whatever the missing type.
One cut says all of a number's split but for one case: missing type Zero where zero's default side
is not the one that its neighbours go to. Such a split becomes three, and what hangs below it is
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
MAX_GROWTH = 64  # times its own nodes that a tree may grow to by writing branches twice


@dataclass(frozen=True)
class Splits:
    """One tree as LightGBM writes it: a child below zero is the leaf `~child`."""

    feature: np.ndarray
    threshold: np.ndarray
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaf_value: np.ndarray
    sets: CategorySets


def nodes_of_splits(trees: list[Splits]) -> RawNodes:
    """Return all trees' nodes, with cuts for thresholds."""
    parts = [_tree_nodes(number, tree) for number, tree in enumerate(trees)]
    sizes = [part.left.size for part in parts]

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
    """Number the sets through all trees."""
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
    by_zero = (threshold >= 0).astype(np.int64)
    side_of_zero = np.where(zero_type, default_left, by_zero)
    near = (threshold >= -ZERO) & (threshold < ZERO)  # only zero's side matters
    apart = (side_of_zero != by_zero) & ~near
    moved = apart & (threshold == ZERO)  # nothing lies between zero and this threshold
    by_zero_cut = np.where(side_of_zero, PAST_ZERO, -ZERO)
    cut = np.where(near | moved, by_zero_cut, cut_of_at_most(threshold))
    missing_left = np.where(missing == MISSING_NAN, default_left, side_of_zero)
    set_number = np.full(cut.size, NO_SET)
    set_number[by_set] = threshold[by_set].astype(np.int64)
    cut, missing_left = np.where(by_set, 0.0, cut), np.where(by_set, 0, missing_left)
    nodes = _with_leaves(tree, cut, missing_left, set_number)
    apart &= ~moved
    return _apart(number, nodes, zero_type, apart) if apart.any() else nodes


def _with_leaves(
    tree: Splits, cut: np.ndarray, missing_left: np.ndarray, set_number: np.ndarray
) -> RawNodes:
    """Number the leaves after the splits."""
    n, leaves = cut.size, tree.leaf_value.size
    none = np.full(leaves, -1)

    def numbered(child: np.ndarray) -> np.ndarray:
        return np.concatenate([np.where(child >= 0, child, n + ~child), none]).astype(np.int64)

    return RawNodes(
        tree_start=np.array([0, n + leaves]),
        left=numbered(tree.left),
        right=numbered(tree.right),
        feature=np.concatenate([tree.feature, none]),
        threshold=np.concatenate([cut, np.zeros(leaves)]),
        missing_left=np.concatenate([missing_left, np.zeros(leaves)]).astype(np.uint8),
        value=np.concatenate([np.zeros(n), tree.leaf_value]),
        set_number=np.concatenate([set_number, np.full(leaves, NO_SET)]),
    )


def _apart(number: int, nodes: RawNodes, zero_type: np.ndarray, apart: np.ndarray) -> RawNodes:
    """Write the tree anew, the splits marked `apart` as three.

    On the way down it is kept in mind on which side of zero each feature's value is known to lie,
    so that a feature's later splits need no more than one cut, or none.
    """
    grown = _Grown(number, MAX_GROWTH * nodes.left.size)
    waiting: list[tuple[int, dict[int, str], int, int]] = [(0, {}, -1, 0)]
    while waiting:
        node, known, parent, side = waiting.pop()
        left, right = int(nodes.left[node]), int(nodes.right[node])
        if left < 0:
            grown.add(parent, side, -1, 0.0, 0, float(nodes.value[node]))
            continue
        feature, cut = int(nodes.feature[node]), float(nodes.threshold[node])
        zero_left = int(nodes.missing_left[node])
        place = known.get(feature) if zero_type[node] else None
        if place == "zero" or (place == "below" and not cut < -ZERO):
            child = left if place == "below" or zero_left else right
            waiting.append((child, known, parent, side))
        elif place == "above" and cut <= PAST_ZERO:
            waiting.append((right, known, parent, side))
        elif place is None and apart[node]:
            first, last = (cut, -ZERO) if zero_left else (cut, PAST_ZERO)
            top = grown.add(parent, side, feature, first, 1 - zero_left)
            middle = grown.add(top, zero_left, feature, last, 1 - zero_left)
            lowest = grown.add(
                middle, zero_left, feature, PAST_ZERO if zero_left else -ZERO, zero_left
            )
            outer, inner = ("below", "above") if zero_left else ("above", "below")
            same, other = (left, right) if zero_left else (right, left)
            waiting += [
                (same, {**known, feature: outer}, top, 1 - zero_left),
                (other, {**known, feature: outer}, middle, 1 - zero_left),
                (same, {**known, feature: "zero"}, lowest, 1 - zero_left),
                (other, {**known, feature: inner}, lowest, zero_left),
            ]
        else:
            assert nodes.set_number is not None
            by_set = int(nodes.set_number[node])
            split = grown.add(parent, side, feature, cut, zero_left, set_number=by_set)
            waiting += [(left, known, split, 0), (right, known, split, 1)]
    return grown.nodes()


class _Grown:
    """A tree written node by node."""

    def __init__(self, number: int, most: int) -> None:
        self.number, self.most = number, most
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
        if len(self.rows) >= self.most:
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
