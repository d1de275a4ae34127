"""Hold what an importer found in another library's file: all of a model but its name and target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kyros_spark.model.manifest import Family, Link


@dataclass(frozen=True)
class Imported:
    """A model as its file tells it.

    library, version  what wrote it
    objective         the library's own name of what was fitted
    intercept         what the sum starts from, after the link
    feature_names     as the file names them, in the model's order; empty when it does not
    n_features        how many inputs the model has
    arrays            of the model file, by name
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


def slopes_only(coefficients: Sequence[float] | np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays of a linear model of numeric features: one slope each."""
    values = np.array(coefficients, np.float64).ravel()
    return {"table_value": values, "table_start": np.arange(values.size + 1, dtype=np.int64)}
