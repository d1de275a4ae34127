"""Read the category names of a LightGBM model, from the pandas columns it was fitted on."""

import json
from typing import Any

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.imported import level_names

MARK = "pandas_categorical:"


def pandas_levels(text: str, header: dict[str, str]) -> dict[int, tuple[str, ...]]:
    """Return the levels of the features that were pandas categories, by feature number.

    The text lists the names in the order of these features, without saying which features they are.
    `feature_infos` shows that: it has a list of categories for such a feature, and a range for a
    numeric one. The result is empty when the text has no names.
    Raises ModelNotSupportedError when the number of lists and the number of such features differ.
    """
    lists = _name_lists(text)
    if not lists:
        return {}
    infos = header.get("feature_infos", "").split()
    features = [feature for feature, info in enumerate(infos) if not info.startswith(("[", "none"))]
    if len(features) != len(lists):
        raise ModelNotSupportedError(
            f"LightGBM model: {len(lists)} lists of category names for {len(features)} features "
            "split by categories (an ordered category, or one without use?); write "
            "'pandas_categorical:null' to score it on category numbers"
        )
    return {
        feature: level_names("LightGBM", feature, values)
        for feature, values in zip(features, lists, strict=True)
    }


def _name_lists(text: str) -> list[list[Any]]:
    line = next((line for line in reversed(text.splitlines()) if line.startswith(MARK)), MARK)
    try:
        lists = json.loads(line.removeprefix(MARK) or "null") or []
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"LightGBM model: pandas_categorical: {error}") from None
    if not isinstance(lists, list) or not all(isinstance(names, list) and names for names in lists):
        raise ModelFormatError("LightGBM model: pandas_categorical is not a list of lists")
    return lists
