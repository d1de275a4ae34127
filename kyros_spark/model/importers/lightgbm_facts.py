"""Check what a LightGBM text states twice: counts, sizes and numbers must say the same."""

from collections.abc import Mapping

import numpy as np

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.importers.lightgbm_text import whole

# Lines of a tree that scoring does not need, with the number of values less than there are leaves.
OTHER_LINES = {
    "split_gain": 1, "internal_value": 1, "internal_weight": 1, "internal_count": 1,
    "leaf_weight": 0, "leaf_count": 0,
}  # fmt: skip


def check_header(header: Mapping[str, str], classes: int) -> tuple[str, ...]:
    """Return the features' names, of which there must be as many as the header says elsewhere.

    classes  the number of classes, 1 for none

    Raises ModelFormatError, which names both statements.
    """
    count = whole(header["max_feature_idx"], "max_feature_idx") + 1
    names = tuple(header["feature_names"].split(" ")) if header["feature_names"] else ()
    _agree("feature_names", len(names), count)
    for name in ("feature_infos", "monotone_constraints"):
        if header.get(name):
            _agree(name, len(header[name].split(" ")), count)
    for option in header.get("objective", "").split(" "):
        key, _, value = option.partition(":")
        if key == "num_class":
            _agree("objective's num_class", whole(value, "num_class"), classes)
    return names


def check_tree(
    number: int, block: Mapping[str, str], leaves: int, set_numbers: np.ndarray, sets: int
) -> None:
    """Check a tree's lines against its number of leaves, and its splits against its category sets.

    set_numbers  float64: the sets that splits ask for
    sets         how many sets there are

    Raises ModelFormatError, which names both statements.
    """
    for name, fewer in OTHER_LINES.items():
        if block.get(name) and leaves > 1:
            _agree(f"tree {number}'s {name}", len(block[name].split(" ")), leaves - fewer)
    if not np.array_equal(np.sort(set_numbers), np.arange(sets)):
        raise ModelFormatError(
            f"LightGBM model: tree {number}: {sets} category sets for {set_numbers.size} splits by "
            "categories, or a category set that is not there"
        )


def _agree(name: str, stated: int, actual: int) -> None:
    if stated != actual:
        raise ModelFormatError(f"LightGBM model: {name}: expected {actual}, found {stated}")
