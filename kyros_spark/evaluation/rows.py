"""Bring predictions to prepared policies, and say of each model which rows judge it, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.evaluation.subjects import WITH_EXCESS, EvaluatedModel
from kyros_spark.fitting.metrics import unit_deviance
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, is_usable, model_rows

STANDS_FOR, GROUP = "_stands_for", "_group"
WHOLE = "all"
_GIVEN = ("gamma", "negative_binomial")  # the number of units being given
SUMS = ("rows", "units", "exposure", "claims", "observed", "expected", "spread")


def with_predictions(
    prepared: DataFrame, predictions: Sequence[tuple[EvaluatedModel, DataFrame]], key: Sequence[str]
) -> DataFrame:
    """Add a column of predictions for each model; NULL where a policy has none."""
    told = [
        rows.select(*key, F.lit(one.number).alias("_model"), "prediction")
        for one, rows in predictions
    ]
    each = [
        F.max(F.when(F.col("_model") == one.number, F.col("prediction"))).alias(one.prediction)
        for one, _ in predictions
    ]
    wide = reduce(DataFrame.unionByName, told).groupBy(*key).agg(*each)
    if "claim_excess" in prepared.columns:
        whole = F.col("claim_amount") + F.col("claim_excess")
        prepared = prepared.withColumn(WITH_EXCESS, whole)
    return prepared.join(wide, on=list(key), how="left")


def usable(one: EvaluatedModel) -> Column:
    """Tell whether a row judges the model; without labels, whether there is a unit to be per."""
    return is_usable(one.judged) if one.labelled else F.col(one.judged.per) > 0


def expected(one: EvaluatedModel) -> Column:
    """Return what the model expects of a row: prediction times what it is per."""
    return F.col(one.prediction) * F.col(one.judged.per)


def observed(one: EvaluatedModel) -> Column:
    """Return the target, or NULL where the batch does not know it."""
    return F.col(one.judged.target) if one.labelled else F.lit(None).cast("double")


def spread(one: EvaluatedModel) -> Column:
    """Return a row's part in the variance of the sum of the target.

    Counts: 0, the interval is Poisson's. Amounts per exposure, compound Poisson: the amount
    squared. Amounts per claim, whose number is given: the residual squared.
    """
    if one.judged.family == "poisson":
        return F.lit(0.0)
    left = observed(one) - expected(one) if one.judged.family in _GIVEN else observed(one)
    return left * left


def measures(one: EvaluatedModel, claims: Column, of: Column | None = None) -> list[Column]:
    """Return the columns of SUMS for one model's rows, before they are summed."""
    return [
        F.lit(1.0).alias("rows"),
        F.col(one.judged.per).cast("double").alias("units"),
        F.col("exposure"),
        claims.cast("double").alias("claims"),
        observed(one).alias("observed"),
        (expected(one) if of is None else of).alias("expected"),
        spread(one).alias("spread"),
    ]


def claims_of(rows: DataFrame) -> Column:
    """Return the number of claims, NULL where the portfolio does not count them."""
    return F.col("claim_count") if "claim_count" in rows.columns else F.lit(None)


def judged_rows(wide: DataFrame, one: EvaluatedModel) -> DataFrame:
    """Return the rows that judge a model, with label, weight and offset where they have labels."""
    if one.labelled:
        return model_rows(wide, one.judged)
    return wide.where(usable(one))


def loss_rows(
    wide: DataFrame, subjects: Sequence[EvaluatedModel], null_means: Mapping[tuple[int, str], float]
) -> DataFrame:
    """Return a row a labelled model and policy: deviance, null deviances, errors.

    null_means: the mean target a unit, by model and part (and WHOLE).
    """
    return reduce(DataFrame.unionByName, [_losses(wide, one, null_means) for one in subjects])


def _losses(
    wide: DataFrame, one: EvaluatedModel, null_means: Mapping[tuple[int, str], float]
) -> DataFrame:
    rows, settings = model_rows(wide, one.judged), one.judged
    unit = F.exp(OFFSET)
    means = {part: mean for (number, part), mean in null_means.items() if number == one.number}
    own = F.lit(None).cast("double")
    for part, mean in means.items():
        own = F.when(F.col("split") == part, mean).otherwise(own)
    error = observed(one) - expected(one)

    def loss(rate: Column) -> Column:
        return F.col(WEIGHT) * unit_deviance(F.col(LABEL), rate * unit, settings)

    return rows.select(
        F.lit(one.number).alias("subject"),
        F.col("split").alias("part"),
        STANDS_FOR,
        GROUP,
        *measures(one, claims_of(wide)),
        loss(F.col(one.prediction)).alias("deviance"),
        loss(own).alias("null_deviance"),
        loss(F.lit(means[WHOLE])).alias("null_deviance_whole"),
        F.abs(error).alias("absolute"),
        (error * error).alias("square"),
    )


def summed(rows: DataFrame, by: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """Sum columns by groups, each row as often as it stands for; count the rows themselves."""
    sums = [F.sum(F.col(c) * F.col(STANDS_FOR)).alias(c) for c in columns]
    return rows.groupBy(*by).agg(*sums, F.count(F.lit(1)).alias("sampled"))
