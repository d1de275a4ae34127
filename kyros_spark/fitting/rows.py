"""Select the rows that a model is fitted on, with label, weight and offset by family.

Poisson and negative binomial: label = target, weight = 1, offset = log(per). Gamma: label =
target / per, weight = per, on rows with a target above zero. Tweedie: label = target / per,
weight = per, and so binomial: target of the per trials happened. Poisson with link identity is like
Tweedie, since its mean is per times x'beta.
Source: domain rules of motor pricing; see docs/models.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.batches import is_text, selected, with_columns
from kyros_spark.aggregates.rows import RowSource
from kyros_spark.config import ModelSettings
from kyros_spark.fitting.left_out import left_out
from kyros_spark.kernels.elementary import exp, log
from kyros_spark.scoring.arrow_features import as_doubles, is_null

LABEL, WEIGHT, OFFSET = "_label", "_weight", "_offset"


def modelled(prepared: RowSource, settings: ModelSettings, keep: Sequence[str]) -> RowSource:
    """Return the rows that can train or judge the model: label, weight, offset, and `keep`."""
    columns = list(dict.fromkeys([*keep, settings.target, settings.per]))
    return prepared.changed(columns, _modelling(settings, keep))


def left_out_rows(batch: pa.RecordBatch, settings: ModelSettings) -> dict[str, np.ndarray]:
    """Return the rows that neither train nor judge the model, bool[n], by reason."""
    ends = [batch.column(name) for name in (settings.target, settings.per)]
    (target, has_target), (per, has_per) = ((as_doubles(c), ~is_null(c)) for c in ends)
    return left_out(settings.family, target, has_target, per, has_per)


def of_split(rows: RowSource, columns: Sequence[str], parts: Sequence[str]) -> RowSource:
    """Return the rows of parts of the split, with these columns, `split` among them."""
    return rows.changed(columns, lambda batch: selected(batch, is_text(batch["split"], parts)))


def unit_of(batch: pa.RecordBatch) -> np.ndarray:
    """Return exp(offset), float64[n]: the units of `per` where they are an offset, else 1."""
    return exp(as_doubles(batch.column(OFFSET)))


def _modelling(
    settings: ModelSettings, keep: Sequence[str]
) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    by_offset = settings.family in ("poisson", "negative_binomial") and settings.glm.link == "log"

    def modelled(batch: pa.RecordBatch) -> pa.RecordBatch:
        target, per = (as_doubles(batch.column(n)) for n in (settings.target, settings.per))
        usable = ~np.any(list(left_out_rows(batch, settings).values()), axis=0)
        batch, target, per = selected(batch, usable), target[usable], per[usable]
        if by_offset:
            ends = {LABEL: target, WEIGHT: np.ones(per.size), OFFSET: log(per)}
        else:
            ends = {LABEL: target / per, WEIGHT: per, OFFSET: np.zeros(per.size)}
        return with_columns(batch, keep, ends)

    return modelled


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
