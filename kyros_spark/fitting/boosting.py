"""Boost trees with xgboost.spark: base margins for offsets, early stopping by validation part."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import BoostingSettings, ModelSettings
from kyros_spark.errors import (
    ConfigError,
    FitError,
    PlatformError,
    WorkerLostError,
    lost_worker,
)
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.log import event
from kyros_spark.model.manifest import Feature
from kyros_spark.spark.session import fitting_tasks
from kyros_spark.transforms.encode import encoded
from kyros_spark.transforms.exact import exact_sum

MARGIN, VALIDATION = "_margin", "_validation"
ATTEMPTS = 4  # as often as Spark tries a task
_XGBOOST_ERROR = re.compile(r"XGBoostError: (.*)")
_OBJECTIVES = {"poisson": "count:poisson", "gamma": "reg:gamma", "tweedie": "reg:tweedie"}
_METRICS = {"poisson": "poisson-nloglik", "gamma": "gamma-deviance", "tweedie": "tweedie-nloglik"}


@dataclass(frozen=True)
class BoostingFit:
    """A boosted ensemble: xgboost's own bytes, the start score its trees add to, and its rounds."""

    booster: bytes
    start: float
    rounds: int


def boosting_rows(rows: DataFrame, features: Sequence[Feature], start: float) -> DataFrame:
    """Return the columns that xgboost reads: features, label, weight, margin, validation flag.

    Missing values are NaN. Feature columns are numbered (x0, x1, ...), because xgboost.spark
    reserves names such as 'weight'.
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
    """Boost on the training part and stop by the validation part.

    The trees are added to the log of the training part's mean, which is what an intercept-only
    model predicts. A row's margin is that log plus the row's offset.

    Raises:
        PlatformError: xgboost is not installed.
        ConfigError: the settings constrain the trees by features that the model does not have.
        FitError: xgboost stopped without a model.
        WorkerLostError: its Python workers died in every attempt.
    """
    try:
        from xgboost.spark import SparkXGBRegressor
    except ImportError as error:
        raise PlatformError(
            f"boosting needs xgboost and scikit-learn ({error}); pip install 'kyros-spark[local]'"
        ) from error
    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
    start = _mean_score(rows)
    configured = settings.boosting.workers
    workers = fitting_tasks(rows.sparkSession) if configured == "auto" else configured
    if not settings.boosting.early_stopping:
        # xgboost.spark fails on an empty validation part, which a split into folds has.
        rows = rows.where(F.col("split") == "train")
    rows = in_order(boosting_rows(rows, features, start), workers)
    regressor = SparkXGBRegressor(
        features_col=[f"x{number}" for number in range(len(features))],
        label_col=LABEL,
        weight_col=WEIGHT,
        base_margin_col=MARGIN,
        tree_method="hist",
        num_workers=workers,
        verbosity=0,
        verbose=False,
        **_options(settings),
        **_constraints(features, settings.boosting),
    )
    model = _fitted(regressor, rows)
    booster = model.get_booster()
    rounds = int(getattr(booster, "best_iteration", booster.num_boosted_rounds() - 1)) + 1
    return BoostingFit(bytes(booster.save_raw("ubj")), start, rounds)


def _fitted(regressor: Any, rows: DataFrame) -> Any:
    """Fit, and fit again when a worker died.

    Spark does not retry these tasks itself, because they wait for each other (barrier stage). The
    same rows in the same order give the same model in every attempt.
    """
    from py4j.protocol import Py4JJavaError

    attempt = 1
    while True:
        try:
            return regressor.fit(rows)
        except (PySparkException, Py4JJavaError) as error:
            messages = _XGBOOST_ERROR.findall(str(error))
            cause = lost_worker(error)
            if not cause and messages:
                raise FitError(f"xgboost stopped without a model: {messages[-1]}") from error
            if not cause:
                raise  # a full device, a damaged file: the stage translates these
            if attempt == ATTEMPTS:
                raise WorkerLostError(
                    f"boosting: expected Python workers to live, found them killed {ATTEMPTS} "
                    f"times ({cause}): often for memory, since xgboost holds its rows; train on "
                    "fewer rows, or give the workers more memory, then give the same command again"
                ) from error
            event(f"a Python worker died while xgboost fitted ({cause}), fitting again")
            attempt += 1


def _options(settings: ModelSettings) -> dict[str, Any]:
    boosting, metric = settings.boosting, _METRICS[settings.family]
    options: dict[str, Any] = {}
    if boosting.early_stopping:
        options["early_stopping_rounds"] = boosting.early_stopping
        options["validation_indicator_col"] = VALIDATION
    if settings.family == "tweedie":
        options["tweedie_variance_power"] = settings.tweedie_power
        metric = f"{metric}@{settings.tweedie_power}"
    return {
        "objective": _OBJECTIVES[settings.family],
        "eval_metric": metric,
        "n_estimators": boosting.rounds,
        "max_depth": boosting.max_depth,
        "learning_rate": boosting.eta,
        "min_child_weight": boosting.min_child_weight,
        "subsample": boosting.subsample,
        "colsample_bytree": boosting.colsample,
        "reg_lambda": boosting.reg_lambda,
        "max_bin": boosting.max_bin,
        "random_state": boosting.seed,
        **options,
    }


def _constraints(features: Sequence[Feature], boosting: BoostingSettings) -> dict[str, Any]:
    """Return xgboost's options that constrain the trees.

    These are monotone directions, groups of features that may interact, and the features that are
    categories.

    Raises:
        ConfigError: a setting names a feature that the model does not have, or gives a direction
            to a feature with levels.
    """
    names = [feature.name for feature in features]
    numbers = [feature.name for feature in features if feature.kind == "numeric"]
    for setting, used, allowed in (
        ("monotone", boosting.monotone, numbers),
        ("interactions", [name for group in boosting.interactions for name in group], names),
    ):
        unknown = [name for name in used if name not in allowed]
        if unknown:
            raise ConfigError(
                f"boosting.{setting}: expected features of the model"
                f"{' of kind numeric' if allowed is numbers else ''}, "
                f"{', '.join(allowed) or 'none'}, "
                f"found {', '.join(unknown)}"
            )
    options: dict[str, Any] = {}
    if boosting.monotone:
        signs = [str(boosting.monotone.get(name, 0)) for name in names]
        options["monotone_constraints"] = f"({','.join(signs)})"
    if boosting.interactions:
        groups = [[names.index(name) for name in group] for group in boosting.interactions]
        options["interaction_constraints"] = str(groups)
    if boosting.categorical:
        kinds = {"numeric": "float", "levels": "c"}
        options["feature_types"] = [kinds[feature.kind] for feature in features]
    return options


def in_order(rows: DataFrame, workers: int) -> DataFrame:
    """Distribute rows over the workers in an order that depends on their content alone.

    xgboost adds float32 gradients in the order of the rows, so another order changes the last
    digits of the model. Rows that are equal in all columns are interchangeable.
    """
    columns = [F.col(name) for name in rows.columns]
    key = F.xxhash64(*columns)
    return rows.repartition(workers, key).sortWithinPartitions(key, *columns)


def _mean_score(rows: DataFrame) -> float:
    """Return the log of the training part's weighted mean response per unit."""
    weight = F.col(WEIGHT) * F.exp(OFFSET)
    row = (
        rows.where(F.col("split") == "train")
        .agg(
            exact_sum(F.col(LABEL) * F.col(WEIGHT)).alias("claims"),
            exact_sum(weight).alias("weight"),
        )
        .first()
    )
    assert row is not None
    return math.log(row["claims"] / row["weight"])
