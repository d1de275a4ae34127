"""Hold the category sets that trees split by: one bit per category, 1 when it goes right.

A split by categories asks whether a value is one of the set's categories. The manifest's
`category_rule` says how a number becomes a category. A value that is none of the set's categories
(negative, too large, not whole) goes where the set says; a missing value goes where the split says.
"""

from dataclasses import dataclass

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError

MAX_CATEGORIES = 1 << 24  # float32 holds no more whole numbers, and XGBoost takes none
NO_SET = -1


@dataclass(frozen=True)
class CategorySets:
    """Category sets as libraries store them: one per split, or shared between splits.

    start        int64[sets + 1]: where each set's bytes begin in `bits`
    bits         uint8: category c of a set is bit c % 8 of its byte c // 8, 1 when it goes right
    other_right  uint8[sets]: 1 when a value outside these categories goes right
    """

    start: np.ndarray
    bits: np.ndarray
    other_right: np.ndarray


def sets_of(
    category_lists: list[np.ndarray], listed_right: bool, other_right: bool
) -> CategorySets:
    """Build sets from lists of categories.

    category_lists  one integer array per set
    listed_right    whether the listed categories go right; the unlisted ones, up to the end of the
                    last byte, go the other way
    other_right     whether every larger category goes right

    Raises ModelFormatError for a category that is negative or at least MAX_CATEGORIES.
    """
    parts = []
    for number, categories in enumerate(category_lists):
        if categories.size and (categories.min() < 0 or categories.max() >= MAX_CATEGORIES):
            raise ModelFormatError(f"category set {number}: a category is out of range")
        size = -(-(int(categories.max(initial=-1)) + 1) // 8) * 8
        bits = np.full(size, not listed_right)
        bits[categories] = listed_right
        parts.append(np.packbits(bits, bitorder="little"))
    return joined_sets(parts, [other_right] * len(parts))


def joined_sets(parts: list[np.ndarray], other_right: list[bool]) -> CategorySets:
    """Build sets from each set's bytes (uint8) and the side of its other categories."""
    sizes = [part.size for part in parts]
    return CategorySets(
        start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        bits=np.concatenate([np.zeros(0, np.uint8), *parts]),
        other_right=np.array(other_right, np.uint8),
    )


def distinct_sets(
    sets: CategorySets, feature: np.ndarray, number: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Store equal sets of one feature only once.

    feature, number  integers[splits by categories]: each split's feature, and its set in `sets`

    Returns the model file's arrays, ordered by feature, and each split's set in them (int64).
    Raises ModelFormatError for a set that does not exist, ModelNotSupportedError for a set of more
    than MAX_CATEGORIES categories.
    """
    if number.size and (number.min() < 0 or number.max() >= sets.other_right.size):
        raise ModelFormatError(f"a split asks for category set {number.max()}, there is none")
    used, used_index = np.unique(number, return_inverse=True)
    contents = [_content(sets, set_number) for set_number in used]
    keys = [(int(f), *contents[k]) for f, k in zip(feature, used_index, strict=True)]
    ordered = sorted(set(keys))
    positions = {key: position for position, key in enumerate(ordered)}
    if any(8 * len(bits) > MAX_CATEGORIES for _, _, bits in ordered):
        raise ModelNotSupportedError(f"a category set of more than {MAX_CATEGORIES} categories")
    parts = [np.frombuffer(bits, np.uint8) for _, _, bits in ordered]
    joined = joined_sets(parts, [other for _, other, _ in ordered])
    arrays = {
        "set_feature": np.array([feature for feature, _, _ in ordered], np.int32),
        "set_start": joined.start,
        "set_bits": joined.bits,
        "set_other_right": joined.other_right,
    }
    return arrays, np.array([positions[key] for key in keys], np.int64)


def _content(sets: CategorySets, number: int) -> tuple[bool, bytes]:
    """Return a set's side of other categories and its bytes, without redundant bytes at the end.

    A trailing byte is redundant when it only sends its categories where all others go.
    """
    other = bool(sets.other_right[number])
    bits = sets.bits[sets.start[number] : sets.start[number + 1]].tobytes()
    return other, bits.rstrip(b"\xff" if other else b"\0")
