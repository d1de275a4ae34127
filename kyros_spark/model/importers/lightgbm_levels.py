"""Read the category names of a LightGBM model, from the pandas columns it was fitted on.

The text lists the names column by column, without saying which columns they are. It may be any that
pandas called a category: one split by categories, one split by its codes (an ordered category, or
one left out of categorical_feature), or one without use. And a column of whole numbers that
categorical_feature names is split by categories without being listed. So a list goes to a feature
only if all that the text says of the features leaves no other choice, or if the user says which.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError, UsageError
from kyros_spark.model.importers.imported import level_names
from kyros_spark.model.json_text import read_json

MARK = "pandas_categorical:"
UNUSED = "none"  # what feature_infos says of a column of one value
NO_THRESHOLD = 1e300  # beyond: a split that sets only missing values apart


def pandas_levels(
    text: str,
    header: Mapping[str, str],
    thresholds: Mapping[int, np.ndarray],
    categories: Sequence[str] | None,
) -> dict[int, tuple[str, ...]]:
    """Return the levels of the features that were pandas categories, by feature number.

    thresholds  feature number -> float64: those of its splits by number
    categories  the names of all these features, as the user gives them; None to find them out

    The result is empty when the text has no names.
    Raises ModelNotSupportedError when the text contradicts the features found or given, UsageError
    when it leaves a choice.
    """
    lists = _name_lists(text)
    if not lists and categories is None:
        return {}
    columns = _Columns(header, thresholds)
    features = columns.split_by_category() if categories is None else columns.numbers(categories)
    if len(features) != len(lists):
        split = "split by categories" if categories is None else "given as categories"
        raise ModelNotSupportedError(
            f"LightGBM model: {len(lists)} lists of category names for {len(features)} features "
            f"{split}; name all columns that pandas held as a category, ordered and unused ones "
            "too, with --categories a,b, or write 'pandas_categorical:null' to score the model on "
            "category numbers"
        )
    for feature, names in zip(features, lists, strict=True):
        columns.check(feature, len(names))
    if categories is None:
        columns.check_no_other_choice(features, [len(names) for names in lists])
    return {
        feature: level_names("LightGBM", feature, names)
        for feature, names in zip(features, lists, strict=True)
    }


class _Columns:
    """What the text says of each feature's values."""

    def __init__(self, header: Mapping[str, str], thresholds: Mapping[int, np.ndarray]) -> None:
        self.names = header["feature_names"].split(" ")
        self.infos = header.get("feature_infos", "").split(" ")
        self.thresholds = thresholds
        if len(self.infos) != len(self.names):
            infos, names = len(self.infos), len(self.names)
            raise ModelFormatError(f"LightGBM model: {infos} feature_infos of {names} features")

    def split_by_category(self) -> list[int]:
        return [f for f, info in enumerate(self.infos) if not info.startswith(("[", UNUSED))]

    def numbers(self, categories: Sequence[str]) -> list[int]:
        """Return the numbers of features given by name, in the model's order."""
        unknown = sorted(set(categories) - set(self.names))
        if unknown:
            raise UsageError(
                f"categories: expected names of the model's features, {', '.join(self.names)}, "
                f"found {', '.join(unknown)}"
            )
        position = {name: number for number, name in enumerate(self.names)}
        return sorted({position[name] for name in categories})

    def contradiction(self, feature: int, count: int) -> str:
        """Return why a list of so many names is not this feature's; empty if it may be."""
        info, codes = self.infos[feature], f"a list of {count} names has codes 0 to {count - 1}"
        if info.startswith(UNUSED):
            return ""
        if not info.startswith("["):
            largest = max(int(word) for word in info.split(":"))  # -1 stands for a missing value
            return f"its categories reach {largest}, {codes}" if largest >= count else ""
        low, _, high = info.strip("[]").partition(":")
        if float(low) < 0 or float(high) > count - 1 or not _are_whole([float(low), float(high)]):
            return f"its values lie in [{low}, {high}], {codes}"
        halves = 2 * self.thresholds.get(feature, np.zeros(0))
        if not _are_whole(halves[np.abs(halves) < NO_THRESHOLD]):
            return "its splits lie elsewhere than between whole numbers"
        return ""

    def check(self, feature: int, count: int) -> None:
        """Refuse a list of names that cannot be this feature's."""
        reason = self.contradiction(feature, count)
        if reason:
            raise ModelNotSupportedError(
                f"LightGBM model: feature {self.names[feature]}: {reason}, so the file's category "
                "names are another column's; say which columns were pandas categories with "
                "--categories a,b"
            )

    def check_no_other_choice(self, features: Sequence[int], counts: Sequence[int]) -> None:
        """Refuse lists of these counts that other features could have, in the same order."""
        order = range(len(self.names))
        first_choice = self._chosen(order, counts)
        last_choice = self._chosen(order[::-1], counts[::-1])[::-1]
        if first_choice != last_choice:
            others = sorted({*first_choice, *last_choice} - set(features))
            other_names = ", ".join(self.names[feature] for feature in others)
            names = ",".join(self.names[feature] for feature in features)
            raise UsageError(
                f"LightGBM model: the file does not say which columns its {len(counts)} lists of "
                f"category names belong to: they may be those of {names}, split by "
                f"categories, or of {other_names}, whose values may be codes; confirm it, for "
                f"example with --categories {names}"
            )

    def _chosen(self, order: Sequence[int], counts: Sequence[int]) -> list[int]:
        """Return the first features in this order that may have the lists, in the lists' order."""
        chosen: list[int] = []
        for feature in order:
            wanted = len(chosen)
            if wanted < len(counts) and not self.contradiction(feature, counts[wanted]):
                chosen.append(feature)
        return chosen


def _are_whole(values: Any) -> bool:
    """Say whether these are whole numbers, up to the rounding of LightGBM's bin borders."""
    array = np.asarray(values, np.float64)
    return bool((np.abs(array - np.round(array)) <= 1e-9 * np.maximum(np.abs(array), 1)).all())


def _name_lists(text: str) -> list[list[Any]]:
    line = next((line for line in reversed(text.split("\n")) if line.startswith(MARK)), MARK)
    source = "LightGBM model: pandas_categorical"
    lists = read_json(line.removeprefix(MARK) or "null", source) or []
    if not isinstance(lists, list) or not all(isinstance(names, list) and names for names in lists):
        raise ModelFormatError("LightGBM model: pandas_categorical is not a list of lists")
    return lists
