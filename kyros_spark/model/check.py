"""Check everything that a kernel relies on in a model's arrays, before a kernel touches them."""

import numpy as np

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.category_sets import MAX_CATEGORIES
from kyros_spark.model.covers import COVER_ARRAYS, cover_fault
from kyros_spark.model.manifest import Manifest
from kyros_spark.model.segments import SEGMENT_DTYPES, segments_fault

FLOATS = ("float32", "float64")
Dtypes = dict[str, tuple[str, ...]]
TREE_DTYPES: Dtypes = {
    "cut_value": FLOATS,
    "cut_start": ("int64",),
    "tree_start": ("int64",),
    "split_cut": ("int32",),
    "split_missing_left": ("uint8",),
    "split_left": ("int32",),
    "split_right": ("int32",),
    "leaf_value": FLOATS,
}
SET_DTYPES: Dtypes = {
    "set_feature": ("int32",),
    "set_start": ("int64",),
    "set_bits": ("uint8",),
    "set_other_right": ("uint8",),
}
COVER_DTYPES: Dtypes = dict.fromkeys(COVER_ARRAYS, ("float64",))
OUTPUT_DTYPES: Dtypes = {"output_start": ("int64",)}
GLM_DTYPES: Dtypes = {"table_value": ("float64",), "table_start": ("int64",)}


def check_arrays(manifest: Manifest, arrays: dict[str, np.ndarray]) -> None:
    """Check a model's arrays; raises ModelFormatError naming the first that is not sound."""
    expected = _expected(manifest, arrays)
    if set(arrays) != set(expected):
        raise ModelFormatError(f"arrays: expected {sorted(expected)}, found {sorted(arrays)}")
    for name, dtypes in expected.items():
        array = arrays[name]
        if array.ndim != 1 or array.dtype.name not in dtypes:
            actual = f"{array.dtype.name} with {array.ndim} dimensions"
            expected_kind = " or ".join(dtypes)
            raise ModelFormatError(f"{name}: expected {expected_kind} in a row, found {actual}")
    if manifest.kind == "trees":
        _check_trees(len(manifest.features), arrays)
        if manifest.outputs:
            trees, last = arrays["output_start"], arrays["tree_start"].size - 1
            _check_offsets("output_start", trees, len(manifest.outputs) + 1, last)
    elif manifest.kind == "glm":
        _check_tables(manifest, arrays)


def _expected(manifest: Manifest, arrays: dict[str, np.ndarray]) -> Dtypes:
    """Return the arrays that a model must have.

    Category sets come all together or not at all, as do covers.
    """
    if manifest.kind == "composite":
        return {}
    if manifest.kind == "glm":
        return GLM_DTYPES | (SEGMENT_DTYPES if manifest.by else {})
    expected = TREE_DTYPES | (OUTPUT_DTYPES if manifest.outputs else {})
    has_sets = not SET_DTYPES.keys().isdisjoint(arrays)
    if manifest.format_version < 2 and (has_sets or manifest.outputs):
        raise ModelFormatError("format_version: 1 has neither category sets nor several outputs")
    has_covers = not COVER_DTYPES.keys().isdisjoint(arrays)
    if manifest.format_version < 4 and has_covers:
        raise ModelFormatError(f"format_version: {manifest.format_version} has no covers")
    return expected | (SET_DTYPES if has_sets else {}) | (COVER_DTYPES if has_covers else {})


def _check_tables(manifest: Manifest, arrays: dict[str, np.ndarray]) -> None:
    start, value = arrays["table_start"], arrays["table_value"]
    sizes = [len(feature.levels) or 1 for feature in manifest.features]
    expected = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    _require(np.array_equal(start, expected), "table_start", "one entry a level or slope", start)
    _require(value.size == expected[-1], "table_value", f"{expected[-1]} values", value.size)
    _require(bool(np.isfinite(value).all()), "table_value", "finite values", "NaN or infinity")
    if manifest.by and (fault := segments_fault(manifest, arrays)):
        raise ModelFormatError(fault)


def _check_trees(n_features: int, arrays: dict[str, np.ndarray]) -> None:
    cut, start = arrays["cut_value"], arrays["cut_start"]
    trees, leaf = arrays["tree_start"], arrays["leaf_value"]
    _check_offsets("cut_start", start, n_features + 1, cut.size)
    _require(trees.size >= 1, "tree_start", "at least one entry", 0)
    n_splits = arrays["split_cut"].size
    _check_offsets("tree_start", trees, trees.size, n_splits)
    for name in ("split_missing_left", "split_left", "split_right"):
        _require(arrays[name].size == n_splits, name, f"{n_splits} entries", arrays[name].size)
    n_leaves = n_splits + trees.size - 1
    _require(leaf.size == n_leaves, "leaf_value", f"{n_leaves} entries", leaf.size)
    _require(bool(np.isfinite(leaf).all()), "leaf_value", "finite values", "NaN or infinity")
    _require(not np.isnan(cut).any(), "cut_value", "numbers", "NaN")
    rises = cut[1:] > cut[:-1]
    within_feature = np.ones(max(cut.size - 1, 0), bool)
    borders = start[(start > 0) & (start < cut.size)]
    within_feature[borders - 1] = False
    _require(
        bool(rises[within_feature].all()), "cut_value", "ascending cuts in each feature", "others"
    )
    n_conditions = cut.size + _check_sets(n_features, arrays)
    if n_splits:
        index = arrays["split_cut"]
        low, high = int(index.min()), int(index.max())
        inside = low >= 0 and high < n_conditions
        _require(inside, "split_cut", f"0 to {n_conditions - 1}", f"{low} to {high}")
        flag = arrays["split_missing_left"].max()
        _require(flag <= 1, "split_missing_left", "0 or 1", flag)
        _check_shape(trees, arrays["split_left"], arrays["split_right"])
    if "leaf_cover" in arrays:
        _check_covers(arrays, n_splits, n_leaves)


def _check_covers(arrays: dict[str, np.ndarray], n_splits: int, n_leaves: int) -> None:
    covers = {name: arrays[name] for name in COVER_ARRAYS}
    for name, size in (("split_cover", n_splits), ("leaf_cover", n_leaves)):
        _require(covers[name].size == size, name, f"{size} entries", covers[name].size)
    children = (arrays["split_left"], arrays["split_right"])
    fault = cover_fault(arrays["tree_start"], *children, **covers)
    if fault is not None:
        raise ModelFormatError(fault)


def _check_sets(n_features: int, arrays: dict[str, np.ndarray]) -> int:
    """Check the category sets, and return their number."""
    if "set_feature" not in arrays:
        return 0
    feature, start = arrays["set_feature"], arrays["set_start"]
    ordered = bool((feature[1:] >= feature[:-1]).all())
    inside = not feature.size or (feature[0] >= 0 and feature[-1] < n_features)
    _require(ordered and inside, "set_feature", f"ascending, 0 to {n_features - 1}", "others")
    _check_offsets("set_start", start, feature.size + 1, arrays["set_bits"].size)
    max_bytes = MAX_CATEGORIES // 8
    widest = int(np.diff(start).max(initial=0))
    _require(widest <= max_bytes, "set_start", f"at most {max_bytes} bytes a set", widest)
    other = arrays["set_other_right"]
    _require(other.size == feature.size, "set_other_right", f"{feature.size} entries", other.size)
    flag = other.max(initial=0)
    _require(flag <= 1, "set_other_right", "0 or 1", flag)
    return feature.size


def _check_shape(tree_start: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Check that the splits and leaves of each tree hang together as a tree.

    Every leaf and every split but the root has one parent, and a split's parent has a lower number.

    tree_start   int64[trees + 1]
    left, right  int32[splits]: children within the tree; a child below zero is the leaf `~child`
    """
    sizes = np.diff(tree_start)
    tree = np.repeat(np.arange(sizes.size), sizes)
    number = np.arange(left.size) - tree_start[tree]
    split_parents = np.zeros(left.size, np.int64)
    leaf_parents = np.zeros(left.size + sizes.size, np.int64)
    for name, child in (("split_left", left), ("split_right", right)):
        is_split = child >= 0
        forward = (child[is_split] > number[is_split]) & (child[is_split] < sizes[tree[is_split]])
        _require(bool(forward.all()), name, "a later split of the same tree", "another")
        leaf = ~child[~is_split]
        inside = leaf <= sizes[tree[~is_split]]
        _require(bool(inside.all()), name, "a leaf of the same tree", "another")
        position = tree_start[tree[is_split]] + child[is_split]
        split_parents += np.bincount(position, minlength=left.size)
        position = tree_start[tree[~is_split]] + tree[~is_split] + leaf
        leaf_parents += np.bincount(position, minlength=leaf_parents.size)
    split_parents[tree_start[:-1][sizes > 0]] += 1  # a root has no parent
    leaf_parents[(tree_start[:-1] + np.arange(sizes.size))[sizes == 0]] += 1
    _require(bool((split_parents == 1).all()), "split_left", "one parent a split", "none or two")
    _require(bool((leaf_parents == 1).all()), "split_left", "one parent a leaf", "none or two")


def _check_offsets(name: str, offsets: np.ndarray, size: int, last: int) -> None:
    _require(offsets.size == size, name, f"{size} entries", offsets.size)
    ordered = offsets[0] == 0 and offsets[-1] == last and (offsets[1:] >= offsets[:-1]).all()
    _require(bool(ordered), name, f"ascending from 0 to {last}", f"{offsets[0]}..{offsets[-1]}")


def _require(holds: bool, name: str, expected: object, actual: object) -> None:
    if not holds:
        raise ModelFormatError(f"{name}: expected {expected}, found {actual}")
