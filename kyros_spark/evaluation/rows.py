"""Join predictions to prepared policies, and define which rows judge a model and by what."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.evaluation.subjects import WITH_EXCESS, EvaluatedModel
from kyros_spark.fitting.rows import is_usable, model_rows

STANDS_FOR, GROUP = "_stands_for", "_group"
WHOLE = "all"
# Families whose interval takes the number of units as given.
GIVEN = ("gamma", "negative_binomial")
# Families whose interval follows from sums: of counts, and of shares of trials.
EXACT = ("poisson", "binomial")
SUMS = ("rows", "units", "exposure", "claims", "observed", "expected", "spread")


def with_predictions(
    prepared: DataFrame, predictions: Sequence[tuple[EvaluatedModel, DataFrame]], key: Sequence[str]
) -> DataFrame:
    """Add one column of predictions per model; NULL where a policy has none."""
    long = [
        rows.select(*key, F.lit(model.number).alias("_model"), "prediction")
        for model, rows in predictions
    ]
    columns = [
        F.max(F.when(F.col("_model") == model.number, F.col("prediction"))).alias(model.prediction)
        for model, _ in predictions
    ]
    wide = reduce(DataFrame.unionByName, long).groupBy(*key).agg(*columns)
    if "claim_excess" in prepared.columns:
        with_excess = F.col("claim_amount") + F.col("claim_excess")
        prepared = prepared.withColumn(WITH_EXCESS, with_excess)
    return prepared.join(wide, on=list(key), how="left")


def usable(model: EvaluatedModel) -> Column:
    """Return whether a row judges the model; without labels, whether its units are positive."""
    return is_usable(model.judged) if model.labelled else F.col(model.judged.per) > 0


def expected(model: EvaluatedModel) -> Column:
    """Return the amount or count the model expects of a row: prediction x units."""
    return F.col(model.prediction) * F.col(model.judged.per)


def observed(model: EvaluatedModel) -> Column:
    """Return the target, or NULL where the batch does not know it."""
    return F.col(model.judged.target) if model.labelled else F.lit(None).cast("double")


def spread(model: EvaluatedModel) -> Column:
    """Return a row's share of the estimated variance of the summed target.

    Counts and shares: 0, as their intervals are exact. Amounts per exposure (compound Poisson): the
    amount squared. Amounts per claim, the number of claims being given: the residual squared.
    """
    if model.judged.family in EXACT:
        return F.lit(0.0)
    is_given = model.judged.family in GIVEN
    deviation = observed(model) - expected(model) if is_given else observed(model)
    return deviation * deviation


def measures(model: EvaluatedModel, claims: Column) -> list[Column]:
    """Return the columns of SUMS for one model's rows, before they are summed."""
    return [
        F.lit(1.0).alias("rows"),
        F.col(model.judged.per).cast("double").alias("units"),
        F.col("exposure"),
        claims.cast("double").alias("claims"),
        observed(model).alias("observed"),
        expected(model).alias("expected"),
        spread(model).alias("spread"),
    ]


def claims_of(rows: DataFrame) -> Column:
    """Return the number of claims; NULL where the portfolio does not count them."""
    return F.col("claim_count") if "claim_count" in rows.columns else F.lit(None)


def judged_rows(wide: DataFrame, model: EvaluatedModel) -> DataFrame:
    """Return the rows that judge a model; with labels also label, weight and offset."""
    if model.labelled:
        return model_rows(wide, model.judged)
    return wide.where(usable(model))


def row_columns(models: Sequence[EvaluatedModel], *more: str) -> list[str]:
    """Return the columns of the joined rows that judging models needs, and more columns."""
    names = ["split", "exposure", STANDS_FOR, GROUP, *more]
    for model in models:
        names.append(model.prediction)
        if model.settings is not None:
            names += [model.settings.target, model.settings.per]
    return list(dict.fromkeys(names))
