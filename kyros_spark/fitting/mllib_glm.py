"""Fit a generalized linear model with Spark MLlib, and read its coefficients by level.

MLlib is slower than our own solver and gives no statistics (docs/models.md). It serves as a second
opinion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings
from kyros_spark.errors import FitError
from kyros_spark.fitting.glm_fit import GlmFit
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.foreign_errors import first_line, is_from_the_jvm, machine_failed
from kyros_spark.log import event
from kyros_spark.model.manifest import Feature
from kyros_spark.transforms.encode import encoded

if TYPE_CHECKING:  # pyspark.ml brings SciPy, and takes its time
    from pyspark.ml.regression import GeneralizedLinearRegressionModel

DESIGN = "_design"


def design_rows(
    rows: DataFrame, features: Sequence[Feature], scales: Mapping[str, float]
) -> DataFrame:
    """Add the design vector: scaled numbers, and an indicator for each level but the base.

    scales: each number's standard deviation, in its own unit. Numbers are centred at their imputed
    value. Raw numbers (a car's value beside an indicator) make the normal equations so
    ill-conditioned that the solver's steps stay above its tolerance: 50 iterations were measured
    instead of 7.
    """
    columns, indicators = {}, []
    for number, feature in enumerate(features):
        code = encoded(feature, impute=True)
        if feature.kind == "numeric":
            centred = code - F.lit(float(feature.impute or 0.0))
            columns[f"_x{number}"] = centred / F.lit(scales[feature.name])
            indicators.append(f"_x{number}")
        for level in _nonbase_codes(feature):
            columns[f"_x{number}_{level}"] = (code == level).cast("double")
            indicators.append(f"_x{number}_{level}")
    from pyspark.ml.feature import VectorAssembler

    assembler = VectorAssembler(inputCols=indicators, outputCol=DESIGN)
    return assembler.transform(rows.withColumns(columns)).drop(*columns)


def fit_mllib(rows: DataFrame, features: Sequence[Feature], settings: ModelSettings) -> GlmFit:
    """Fit the model on rows that carry label, weight and offset.

    Raises:
        FitError: the solver stopped without a model.
    """
    from pyspark.ml.regression import GeneralizedLinearRegression

    options: dict[str, Any] = {"family": settings.family, "link": settings.glm.link}
    if settings.family == "tweedie":
        power = 0.0 if settings.glm.link == "log" else 1.0
        options = {"family": "tweedie", "variancePower": settings.tweedie_power, "linkPower": power}
    solver = GeneralizedLinearRegression(
        featuresCol=DESIGN,
        labelCol=LABEL,
        weightCol=WEIGHT,
        offsetCol=OFFSET,
        maxIter=settings.glm.max_iter,
        tol=settings.glm.tol,
        regParam=settings.glm.alpha,
        **options,
    )
    scales = _scales(rows, features)
    unit = _unit(rows, settings)
    rows = rows.withColumn(LABEL, F.col(LABEL) / F.lit(unit))
    try:
        model = solver.fit(
            design_rows(rows, features, scales).select(DESIGN, LABEL, WEIGHT, OFFSET)
        )
    except Exception as error:
        is_sparks = isinstance(error, PySparkException) or is_from_the_jvm(error)
        if not is_sparks or machine_failed(error):
            raise
        line = first_line(error)
        raise FitError(
            f"the GLM did not fit: {line}; look for levels without claims or columns that "
            "determine each other, or set glm.alpha"
        ) from error
    iterations = model.summary.numIterations
    converged = iterations < settings.glm.max_iter
    if not converged:
        event(f"the GLM used all {iterations} iterations; raise glm.max_iter or look at its levels")
    fit = _by_level(model, features, scales, iterations, converged)
    return replace(fit, intercept=fit.intercept + math.log(unit))


def _unit(rows: DataFrame, settings: ModelSettings) -> float:
    """Return the divisor of a Tweedie model's label: its weighted mean.

    MLlib starts from a mean of 0.1 for every label of zero, which is a good guess only for labels
    near one. On amounts in currency the steps diverged (a balance of 1e105 was measured).
    """
    if settings.family != "tweedie" or settings.glm.link != "log":
        return 1.0
    row = rows.agg((F.sum(F.col(LABEL) * F.col(WEIGHT)) / F.sum(WEIGHT)).alias("mean")).first()
    assert row is not None
    return float(row["mean"])


def _scales(rows: DataFrame, features: Sequence[Feature]) -> dict[str, float]:
    names = [feature.name for feature in features if feature.kind == "numeric"]
    if not names:
        return {}
    row = rows.agg(*(F.stddev_pop(name).alias(name) for name in names)).first()
    assert row is not None
    return {name: row[name] or 1.0 for name in names}


def _by_level(
    model: GeneralizedLinearRegressionModel,
    features: Sequence[Feature],
    scales: Mapping[str, float],
    iterations: int,
    converged: bool,
) -> GlmFit:
    values = iter(model.coefficients.toArray().tolist())
    tables, slopes, intercept = {}, {}, float(model.intercept)
    for feature in features:
        if feature.kind == "numeric":
            slopes[feature.name] = next(values) / scales[feature.name]
            intercept -= slopes[feature.name] * float(feature.impute or 0.0)
        else:
            tables[feature.name] = [0.0] * len(feature.levels)
            for level in _nonbase_codes(feature):
                tables[feature.name][level] = next(values)
    return GlmFit(intercept, tables, slopes, iterations, rows_held="mllib", converged=converged)


def _nonbase_codes(feature: Feature) -> list[int]:
    return [code for code in range(len(feature.levels)) if code != feature.base_code]
