"""Boost trees with xgboost.spark: offset by base margin, early stopping on the validation part."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings
from kyros_spark.errors import FitError, PlatformError, first_line
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.model.manifest import Feature
from kyros_spark.transforms.encode import encoded

MARGIN, VALIDATION = "_margin", "_validation"
_OBJECTIVES = {"poisson": "count:poisson", "gamma": "reg:gamma", "tweedie": "reg:tweedie"}
_METRICS = {"poisson": "poisson-nloglik", "gamma": "gamma-deviance", "tweedie": "tweedie-nloglik"}


@dataclass(frozen=True)
class BoostingFit:
    """A boosted ensemble: xgboost's own bytes, and the score that its trees are added to."""

    booster: bytes
    start: float
    rounds: int


def boosting_rows(rows: DataFrame, features: Sequence[Feature], start: float) -> DataFrame:
    """Return the columns xgboost reads: features, NaN where missing, label, weight, margin, part.

    Features go by number: xgboost.spark keeps names such as 'weight' for itself.
    """
    nan = F.lit(float("nan"))
    return rows.select(
        *(
            F.coalesce(encoded(feature, impute=False).cast("double"), nan).alias(f"x{number}")
            for number, feature in enumerate(features)
        ),
        LABEL,
        WEIGHT,
        (F.col(OFFSET) + F.lit(start)).alias(MARGIN),
        (F.col("split") == "valid").alias(VALIDATION),
    )


def fit_boosting(
    rows: DataFrame, features: Sequence[Feature], settings: ModelSettings
) -> BoostingFit:
    """Boost on the training part; the validation part decides when to stop.

    Every tree is added to the log of the training part's mean, as an intercept-only model would
    predict; a row's margin is that and its offset.

    Raises:
        PlatformError: xgboost is not installed.
        FitError: xgboost stopped without a model.
    """
    try:
        from xgboost.spark import SparkXGBRegressor
    except ImportError as error:
        raise PlatformError(
            f"boosting needs xgboost and scikit-learn ({error}); pip install 'kyros-spark[local]'"
        ) from error
    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
    chosen = settings.boosting
    start = _mean_score(rows)
    options: dict[str, Any] = {}
    if chosen.early_stopping:
        options["early_stopping_rounds"] = chosen.early_stopping
        options["validation_indicator_col"] = VALIDATION
    else:  # xgboost.spark fails on a validation part without rows, which a fold split has
        rows = rows.where(F.col("split") == "train")
    metric = _METRICS[settings.family]
    if settings.family == "tweedie":
        options["tweedie_variance_power"] = settings.tweedie_power
        metric = f"{metric}@{settings.tweedie_power}"
    regressor = SparkXGBRegressor(
        features_col=[f"x{number}" for number in range(len(features))],
        label_col=LABEL,
        weight_col=WEIGHT,
        base_margin_col=MARGIN,
        objective=_OBJECTIVES[settings.family],
        eval_metric=metric,
        n_estimators=chosen.rounds,
        max_depth=chosen.max_depth,
        learning_rate=chosen.eta,
        min_child_weight=chosen.min_child_weight,
        subsample=chosen.subsample,
        colsample_bytree=chosen.colsample,
        reg_lambda=chosen.reg_lambda,
        max_bin=chosen.max_bin,
        tree_method="hist",
        random_state=chosen.seed,
        num_workers=chosen.workers,
        verbosity=0,
        verbose=False,
        **options,
    )
    try:
        model = regressor.fit(boosting_rows(rows, features, start))
    except PySparkException as error:
        line = first_line(error)
        raise FitError(f"xgboost stopped without a model: {line}") from error
    booster = model.get_booster()
    rounds = int(getattr(booster, "best_iteration", booster.num_boosted_rounds() - 1)) + 1
    return BoostingFit(bytes(booster.save_raw("ubj")), start, rounds)


def _mean_score(rows: DataFrame) -> float:
    weight = F.col(WEIGHT) * F.exp(OFFSET)
    row = (
        rows.where(F.col("split") == "train")
        .agg(
            F.sum(F.col(LABEL) * F.col(WEIGHT)).alias("claims"),
            F.sum(weight).alias("weight"),
        )
        .first()
    )
    assert row is not None
    return math.log(row["claims"] / row["weight"])
