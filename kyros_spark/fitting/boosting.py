"""Boost trees with xgboost.spark: offset by base margin, early stopping on the validation part."""

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
ATTEMPTS = 4  # as Spark tries a task
_REFUSED = re.compile(r"XGBoostError: (.*)")
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
        ConfigError: the settings shape the trees by features that the model does not have.
        FitError: xgboost stopped without a model.
        WorkerLostError: its Python workers died, each time that it was tried.
    """
    try:
        from xgboost.spark import SparkXGBRegressor
    except ImportError as error:
        raise PlatformError(
            f"boosting needs xgboost and scikit-learn ({error}); pip install 'kyros-spark[local]'"
        ) from error
    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
    start = _mean_score(rows)
    given = settings.boosting.workers
    workers = fitting_tasks(rows.sparkSession) if given == "auto" else given
    if not settings.boosting.early_stopping:
        # xgboost.spark fails on a validation part without rows, which a split into folds has.
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
        **_shape(features, settings.boosting),
    )
    model = _fitted(regressor, rows)
    booster = model.get_booster()
    rounds = int(getattr(booster, "best_iteration", booster.num_boosted_rounds() - 1)) + 1
    return BoostingFit(bytes(booster.save_raw("ubj")), start, rounds)


def _fitted(regressor: Any, rows: DataFrame) -> Any:
    """Fit; again where a worker died: tasks that wait for each other are not tried again by Spark.

    The same rows in the same order give the same model, whichever attempt it was.
    """
    from py4j.protocol import Py4JJavaError

    attempt = 1
    while True:
        try:
            return regressor.fit(rows)
        except (PySparkException, Py4JJavaError) as error:
            refused = _REFUSED.findall(str(error))
            lost = lost_worker(error)
            if not lost and refused:
                raise FitError(f"xgboost stopped without a model: {refused[-1]}") from error
            if not lost:
                raise  # a full device, a damaged file: the stage knows their names
            if attempt == ATTEMPTS:
                raise WorkerLostError(
                    f"boosting: expected Python workers to live, found them killed {ATTEMPTS} "
                    f"times ({lost}): often for memory, since xgboost holds its rows; train on "
                    "fewer rows, or give the workers more memory, then give the same command again"
                ) from error
            event(f"a Python worker died while xgboost fitted ({lost}), fitting again")
            attempt += 1


def _options(settings: ModelSettings) -> dict[str, Any]:
    chosen, metric = settings.boosting, _METRICS[settings.family]
    options: dict[str, Any] = {}
    if chosen.early_stopping:
        options["early_stopping_rounds"] = chosen.early_stopping
        options["validation_indicator_col"] = VALIDATION
    if settings.family == "tweedie":
        options["tweedie_variance_power"] = settings.tweedie_power
        metric = f"{metric}@{settings.tweedie_power}"
    return {
        "objective": _OBJECTIVES[settings.family],
        "eval_metric": metric,
        "n_estimators": chosen.rounds,
        "max_depth": chosen.max_depth,
        "learning_rate": chosen.eta,
        "min_child_weight": chosen.min_child_weight,
        "subsample": chosen.subsample,
        "colsample_bytree": chosen.colsample,
        "reg_lambda": chosen.reg_lambda,
        "max_bin": chosen.max_bin,
        "random_state": chosen.seed,
        **options,
    }


def _shape(features: Sequence[Feature], chosen: BoostingSettings) -> dict[str, Any]:
    """Return what holds the trees in shape: directions, groups, and which features are categories.

    Raises:
        ConfigError: it names a feature that the model does not have, or a direction for levels.
    """
    names = [feature.name for feature in features]
    numbers = [feature.name for feature in features if feature.kind == "numeric"]
    for setting, named, known in (
        ("monotone", chosen.monotone, numbers),
        ("interactions", [one for group in chosen.interactions for one in group], names),
    ):
        unknown = [one for one in named if one not in known]
        if unknown:
            raise ConfigError(
                f"boosting.{setting}: expected features of the model"
                f"{' of kind numeric' if known is numbers else ''}, {', '.join(known) or 'none'}, "
                f"found {', '.join(unknown)}"
            )
    shape: dict[str, Any] = {}
    if chosen.monotone:
        signs = [str(chosen.monotone.get(name, 0)) for name in names]
        shape["monotone_constraints"] = f"({','.join(signs)})"
    if chosen.interactions:
        groups = [[names.index(one) for one in group] for group in chosen.interactions]
        shape["interaction_constraints"] = str(groups)
    if chosen.categorical:
        kinds = {"numeric": "float", "levels": "c"}
        shape["feature_types"] = [kinds[feature.kind] for feature in features]
    return shape


def in_order(rows: DataFrame, workers: int) -> DataFrame:
    """Lay rows out for the workers, in an order that only their content decides.

    xgboost adds float32 gradients in the order of the rows, so that another order gives another
    model in the last digits. Rows alike in all columns are interchangeable.
    """
    columns = [F.col(name) for name in rows.columns]
    key = F.xxhash64(*columns)
    return rows.repartition(workers, key).sortWithinPartitions(key, *columns)


def _mean_score(rows: DataFrame) -> float:
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
