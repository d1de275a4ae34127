"""Build a generalised linear model from coefficients: one table or one slope per feature."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.artefact import Model
from kyros_spark.model.manifest import Manifest


def glm_model(
    manifest: Manifest,
    tables: Mapping[str, Sequence[float]],
    slopes: Mapping[str, float],
) -> Model:
    """Return the model `intercept + sum of table[level] + sum of slope * value`.

    tables  feature name -> one coefficient per level, in the order of the manifest's levels, on the
            scale of the link (the base level's is normally 0)
    slopes  feature name -> coefficient per unit of a numeric feature, on the scale of the link

    The model's arrays are table_value (float64, all features' coefficients in the manifest's order)
    and table_start (int64[features + 1], where each feature's begin).
    Raises ModelFormatError when the coefficients do not fit the manifest's features.
    """
    if manifest.kind != "glm":
        raise ModelFormatError(f"manifest: expected kind glm, found {manifest.kind}")
    coefficient_names = set(tables) | set(slopes)
    feature_names = {feature.name for feature in manifest.features}
    if coefficient_names != feature_names or set(tables) & set(slopes):
        raise ModelFormatError(
            f"coefficients: expected {sorted(feature_names)}, found {sorted(coefficient_names)}"
        )
    blocks: list[Sequence[float]] = []
    for feature in manifest.features:
        block = tables.get(feature.name) if feature.levels else [slopes.get(feature.name, math.nan)]
        if block is None or len(block) != (len(feature.levels) or 1):
            expected = f"{len(feature.levels)} coefficients" if feature.levels else "a slope"
            raise ModelFormatError(f"feature {feature.name}: expected {expected}, found {block}")
        if not all(math.isfinite(value) for value in block):
            raise ModelFormatError(f"feature {feature.name}: coefficients must be finite: {block}")
        blocks.append(block)
    starts = np.concatenate([[0], np.cumsum([len(block) for block in blocks])]).astype(np.int64)
    values = np.array([value for block in blocks for value in block], np.float64)
    return Model(manifest, {"table_value": values, "table_start": starts})
