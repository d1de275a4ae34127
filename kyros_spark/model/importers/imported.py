"""Hold what an importer reads from another library's file: a model without its name and target."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from kyros_spark.errors import ModelNotSupportedError
from kyros_spark.model.manifest import CategoryRule, Family, Feature, Link, ModelOutput


@dataclass(frozen=True)
class Imported:
    """A model as its file describes it.

    library, version  the library that wrote the file
    objective         the library's own name for what was fitted
    intercept         the value that the sum starts from, on the scale of the link
    feature_names     the names in the file, in the model's order; empty when it has none
    n_features        the number of the model's inputs
    arrays            the arrays of our model file, by name
    levels            feature number -> level names in the order of their codes, for features that
                      are levels; any other value of such a feature is missing
    category_rule     how a number becomes a category at a split by categories
    divisor, sigmoid, outputs, rebalance, large_loss_load  as in the manifest
    features          all features as they were, when our own export wrote the file; else empty
    rounds            of boosting: how many are kept, and how many the file has
    """

    kind: Literal["trees", "glm"]
    library: str
    version: str
    objective: str
    family: Family
    link: Link
    intercept: float
    feature_names: tuple[str, ...]
    n_features: int
    arrays: dict[str, np.ndarray]
    levels: dict[int, tuple[str, ...]] = field(default_factory=dict)
    category_rule: CategoryRule = "whole"
    divisor: float = 1.0
    sigmoid: float = 1.0
    outputs: tuple[ModelOutput, ...] = ()
    rebalance: float = 1.0
    large_loss_load: float = 0.0
    features: tuple[Feature, ...] = ()
    rounds: tuple[int, int] | None = None


def level_names(library: str, feature: int, values: Iterable[object]) -> tuple[str, ...]:
    """Return category names as text, the form in which table prepared holds levels.

    Raises ModelNotSupportedError for names that are neither text nor whole numbers, whose text
    could differ from place to place, and for a name that occurs twice.
    """
    names = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, str | int | np.integer):
            raise ModelNotSupportedError(
                f"{library} model: feature {feature}: category {value!r} is neither text nor a "
                "whole number"
            )
        names.append(str(value))
    if len(set(names)) != len(names):
        raise ModelNotSupportedError(f"{library} model: feature {feature}: a category occurs twice")
    return tuple(names)


def slopes_only(coefficients: Sequence[float] | np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays of a linear model of numeric features.

    coefficients  [features]: one slope per feature, on the link's scale per unit of the feature
    """
    values = np.array(coefficients, np.float64).ravel()
    return {"table_value": values, "table_start": np.arange(values.size + 1, dtype=np.int64)}


def with_tables(slopes: np.ndarray, tables: Mapping[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a linear model, some of whose features have a table of coefficients.

    slopes  float64[features], on the link's scale per unit of the feature; ignored where there is a
            table
    tables  feature number -> float64[levels]: coefficients by level code, on the link's scale
    """
    blocks = [tables.get(number, slopes[number : number + 1]) for number in range(slopes.size)]
    start = np.concatenate([[0], np.cumsum([block.size for block in blocks])]).astype(np.int64)
    return {"table_value": np.concatenate(blocks), "table_start": start}
