"""Complete a fitted model with balance, large-loss load and interval, and measure its quality."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings
from kyros_spark.fitting.balance import EXCESS, flat_load, rebalance_factor
from kyros_spark.fitting.interval import EXCESS_PER_UNIT, conformal_interval
from kyros_spark.fitting.metrics import PREDICTED, quality
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, model_rows
from kyros_spark.model.artefact import Model
from kyros_spark.spark.persisted import persisted


def calibrate(
    name: str, model: Model, score: Column, prepared: DataFrame, settings: ModelSettings
) -> tuple[Model, dict[str, float]]:
    """Return the model with its balance, load and interval, and the model's metrics.

    score: the fit's response per unit, an expression over the columns of ``prepared``.
    The metrics compare the rebalanced model with the capped target, before the large-loss load.

    Raises:
        FitError: the fit's sum on its training part is far from the observed one.
        TrainingDataError: the validation part has too few rows for the interval.
    """
    rows = model_rows(prepared, settings)
    load = flat_load(rows, settings) if settings.large_loss_load else 0.0
    excess = F.col(EXCESS) / F.col(settings.per) if settings.large_loss_load else F.lit(0.0)
    columns = ("split", LABEL, WEIGHT, OFFSET, excess.alias(EXCESS_PER_UNIT))
    with persisted(rows.select(*columns, score.alias(PREDICTED))) as scored:
        factor = rebalance_factor(name, scored) if settings.is_rebalanced else 1.0
        balanced = scored.withColumn(PREDICTED, F.col(PREDICTED) * F.lit(factor))
        metrics = quality(balanced, settings)
        loaded = balanced.withColumn(PREDICTED, F.col(PREDICTED) + F.lit(load))
        interval = conformal_interval(name, loaded, settings) if settings.interval else None
    metrics["all_rows"] = sum(value for name, value in metrics.items() if name.endswith("_rows"))
    metrics |= {"rebalance": factor, "large_loss_load": load}
    calibration = {"rebalance": factor, "large_loss_load": load, "interval": interval}
    # The file holds no metrics and no run id, so the same fit gives the same file in every run.
    return Model(model.manifest.model_copy(update=calibration), model.arrays), metrics
