"""Fit a generalized linear model on prepared rows, with the solver that the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame

from kyros_spark.aggregates.rows import ExecutorRows, RowSource, rows_of
from kyros_spark.config import ModelSettings
from kyros_spark.errors import FitError
from kyros_spark.fitting.glm_fit import GlmFit, fit_rows
from kyros_spark.fitting.glm_rows import glm_rows
from kyros_spark.fitting.mllib_glm import fit_mllib
from kyros_spark.fitting.segments.pooled_rows import PooledRows
from kyros_spark.model.manifest import Feature


def fit_glm(
    training: RowSource | DataFrame, features: Sequence[Feature], settings: ModelSettings
) -> GlmFit:
    """Fit the model on rows that carry label, weight and offset.

    Raises:
        TrainingDataError: the rows cannot carry the model.
        FitError: the solver did not converge to a model.
    """
    rows = rows_of(training)
    if settings.glm.solver == "mllib":
        assert isinstance(rows, ExecutorRows), "MLlib fits on the executors: see is_local"
        return fit_mllib(rows.as_frame(), features, settings)
    with glm_rows(rows, features, settings) as design:
        if isinstance(design.fitted, PooledRows):
            return _pooled(design.fitted, settings, design.where)
        return fit_rows(design.fitted, settings, design.judged, design.where)


def _pooled(rows: PooledRows, settings: ModelSettings, where: str) -> GlmFit:
    """Fit the parent of segments, and keep its rows for them."""
    try:
        fit = fit_rows(rows, settings, rows_held=where)
    except FitError:  # a deviance of nearly zero is lost in the rounding of its two sums
        fit = fit_rows(rows.by_own_solver(), settings, rows_held=where)
    return replace(fit, pooled=rows)
