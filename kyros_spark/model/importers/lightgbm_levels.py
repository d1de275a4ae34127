"""Read the names of a LightGBM model's categories: those of the pandas columns it was fitted on."""

import json
from typing import Any

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.imported import level_names

MARK = "pandas_categorical:"


def pandas_levels(text: str, header: dict[str, str]) -> dict[int, tuple[str, ...]]:
    """Return the levels of the features that were pandas categories, by the feature's number.

    The text lists them in the order of the features, without saying which these are; that is told
    by `feature_infos`, which has a category list for them and a range for a number. Empty when the
    text has no names. Raises ModelNotSupportedError when the two do not go together.
    """
    lists = _named(text)
    if not lists:
        return {}
    infos = header.get("feature_infos", "").split()
    places = [place for place, info in enumerate(infos) if not info.startswith(("[", "none"))]
    if len(places) != len(lists):
        raise ModelNotSupportedError(
            f"LightGBM model: {len(lists)} lists of category names for {len(places)} features "
            "split by categories (an ordered category, or one without use?); write "
            "'pandas_categorical:null' to score it on category numbers"
        )
    return {
        place: level_names("LightGBM", place, values)
        for place, values in zip(places, lists, strict=True)
    }


def _named(text: str) -> list[list[Any]]:
    line = next((one for one in reversed(text.splitlines()) if one.startswith(MARK)), MARK)
    try:
        lists = json.loads(line.removeprefix(MARK) or "null") or []
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"LightGBM model: pandas_categorical: {error}") from None
    if not isinstance(lists, list) or not all(isinstance(one, list) and one for one in lists):
        raise ModelFormatError("LightGBM model: pandas_categorical is not a list of lists")
    return lists
