"""Select the rows that a model is fitted on, with label, weight and offset by family.

Poisson and negative binomial: label = target, weight = 1, offset = log(per). Gamma: label =
target / per, weight = per, on rows with a target above zero. Tweedie: label = target / per,
weight = per. Poisson with link identity is like Tweedie, since its mean is per times x'beta.
Source: domain rules of motor pricing; see docs/models.md.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings

LABEL, WEIGHT, OFFSET = "_label", "_weight", "_offset"


def model_rows(prepared: DataFrame, settings: ModelSettings) -> DataFrame:
    """Return the rows that can train or evaluate the model, with label, weight and offset."""
    target, per = F.col(settings.target), F.col(settings.per)
    rows = prepared.where(is_usable(settings))
    if settings.family in ("poisson", "negative_binomial") and settings.glm.link == "log":
        return rows.withColumns({LABEL: target, WEIGHT: F.lit(1.0), OFFSET: F.log(per)})
    return rows.withColumns({LABEL: target / per, WEIGHT: per, OFFSET: F.lit(0.0)})


def is_usable(settings: ModelSettings) -> Column:
    """Tell whether a row can train or evaluate the model: it has a target, and units above zero."""
    target, per = F.col(settings.target), F.col(settings.per)
    usable = target.isNotNull() & (per > 0)
    return usable & (target > 0) if settings.family == "gamma" else usable
