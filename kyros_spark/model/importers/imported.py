"""Hold what an importer found in another library's file: all of a model but its name and target."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from kyros_spark.errors import ModelNotSupportedError
from kyros_spark.model.manifest import CategoryRule, Family, Feature, Link, ModelOutput


@dataclass(frozen=True)
class Imported:
    """A model as its file tells it.

    library, version  what wrote it
    objective         the library's own name of what was fitted
    intercept         what the sum starts from, after the link
    feature_names     as the file names them, in the model's order; empty when it does not
    n_features        how many inputs the model has
    arrays            of the model file, by name
    levels            of features that are levels: their names by the feature's number, in the order
                      of their codes; what is none of them is missing
    category_rule     how a split by categories takes a number
    divisor, sigmoid, outputs, rebalance, large_loss_load  as the manifest has them
    features          of a file that an export of ours wrote: all of them, as they were
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


def level_names(library: str, feature: int, values: Iterable[object]) -> tuple[str, ...]:
    """Return category names as table prepared holds levels: as text.

    Raises ModelNotSupportedError for names whose text is not one and the same everywhere.
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
    """Return the arrays of a linear model of numeric features: one slope each."""
    values = np.array(coefficients, np.float64).ravel()
    return {"table_value": values, "table_start": np.arange(values.size + 1, dtype=np.int64)}


def with_tables(slopes: np.ndarray, tables: Mapping[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a linear model, with a table of coefficients where a feature has one."""
    blocks = [tables.get(number, slopes[number : number + 1]) for number in range(slopes.size)]
    start = np.concatenate([[0], np.cumsum([block.size for block in blocks])]).astype(np.int64)
    return {"table_value": np.concatenate(blocks), "table_start": start}
