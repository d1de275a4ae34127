"""Finish a fitted model: balance, large-loss load, interval; and judge it as it will be applied."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings
from kyros_spark.fitting.balance import EXCESS, flat_load, rebalance_factor
from kyros_spark.fitting.interval import EXCESS_A_UNIT, conformal_interval
from kyros_spark.fitting.metrics import PREDICTED, quality
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, model_rows
from kyros_spark.model.artefact import Model
from kyros_spark.spark.persisted import persisted


def calibrate(
    name: str, model: Model, score: Column, prepared: DataFrame, settings: ModelSettings
) -> tuple[Model, dict[str, float]]:
    """Return the model with what its training part teaches beyond the fit, and its metrics.

    score: the fit's response a unit, over the columns of ``prepared``.
    The metrics judge the rebalanced model against the capped target, before the large-loss load.

    Raises:
        FitError: the fit is far from its own training part.
        TrainingDataError: the validation part has too few rows for the interval.
    """
    rows = model_rows(prepared, settings)
    load = flat_load(rows, settings) if settings.large_loss_load else 0.0
    beyond = F.col(EXCESS) / F.col(settings.per) if settings.large_loss_load else F.lit(0.0)
    needed = ("split", LABEL, WEIGHT, OFFSET, beyond.alias(EXCESS_A_UNIT))
    with persisted(rows.select(*needed, score.alias(PREDICTED))) as scored:
        factor = rebalance_factor(name, scored) if settings.is_rebalanced else 1.0
        balanced = scored.withColumn(PREDICTED, F.col(PREDICTED) * F.lit(factor))
        metrics = quality(balanced, settings)
        loaded = balanced.withColumn(PREDICTED, F.col(PREDICTED) + F.lit(load))
        interval = conformal_interval(name, loaded, settings) if settings.interval else None
    metrics["all_rows"] = sum(v for k, v in metrics.items() if k.endswith("_rows"))
    metrics |= {"rebalance": factor, "large_loss_load": load}
    learnt = {"rebalance": factor, "large_loss_load": load, "interval": interval}
    # No metrics and no run in the file: the same fit is then the same file, whoever ran it.
    return Model(model.manifest.model_copy(update=learnt), model.arrays), metrics
