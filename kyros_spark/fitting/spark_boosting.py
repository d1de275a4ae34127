"""Boost trees with xgboost.spark, where the rows are on the executors."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Literal

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.errors import FitError, WorkerLostError
from kyros_spark.fitting.local_boosting import MARGIN, VALIDATION
from kyros_spark.fitting.rows import LABEL, WEIGHT
from kyros_spark.foreign_errors import is_from_the_jvm, lost_worker
from kyros_spark.log import event
from kyros_spark.spark.session import fitting_tasks

_FEATURES = "_features"
ATTEMPTS = 4  # as often as Spark tries a task
_XGBOOST_ERROR = re.compile(r"XGBoostError: (.*)")


def boosted_on_executors(
    rows: DataFrame, width: int, options: Mapping[str, Any], configured: int | Literal["auto"]
) -> Any:
    """Return the booster that xgboost.spark trains on the rows; see `local_boosting.boosted`.

    configured: the number of workers, or auto

    Raises:
        FitError: xgboost stopped without a model.
        WorkerLostError: its Python workers died in every attempt.
    """
    from xgboost.spark import SparkXGBRegressor

    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
    parameters = dict(options)
    parameters["n_estimators"] = parameters.pop("rounds")
    if patience := parameters.pop("early_stopping"):
        parameters["early_stopping_rounds"] = patience
        parameters["validation_indicator_col"] = VALIDATION
    workers = fitting_tasks(rows.sparkSession) if configured == "auto" else configured
    regressor = SparkXGBRegressor(
        features_col=_FEATURES,
        feature_names=_names(width),
        label_col=LABEL,
        weight_col=WEIGHT,
        base_margin_col=MARGIN,
        num_workers=workers,
        verbose=False,
        **parameters,
    )
    return _fitted(regressor, _as_arrays(in_order(rows, workers), width)).get_booster()


def _names(width: int) -> list[str]:
    return [f"x{number}" for number in range(width)]


def _as_arrays(rows: DataFrame, width: int) -> DataFrame:
    """Return the rows with their features in one array, and what xgboost reads beside them.

    With a column each, xgboost.spark (3.2) ends in a KeyError at an Arrow batch whose rows are all
    of the training part or all of the validation part: the few rows of a last batch, or equal rows,
    which the order by content puts together.
    """
    features = F.array(*_names(width)).cast("array<float>").alias(_FEATURES)
    return rows.select(features, LABEL, WEIGHT, MARGIN, VALIDATION)


def _fitted(regressor: Any, rows: DataFrame) -> Any:
    """Fit, and fit again when a worker died.

    Spark does not retry these tasks itself, because they wait for each other (barrier stage). The
    same rows in the same order give the same model in every attempt.
    """
    attempt = 1
    while True:
        try:
            return regressor.fit(rows)
        except Exception as error:
            if not (isinstance(error, PySparkException) or is_from_the_jvm(error)):
                raise
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


def in_order(rows: DataFrame, workers: int) -> DataFrame:
    """Distribute rows over the workers in an order that depends on their content alone.

    xgboost adds float32 gradients in the order of the rows, so another order changes the last
    digits of the model. Rows that are equal in all columns are interchangeable.
    """
    columns = [F.col(name) for name in rows.columns]
    key = F.xxhash64(*columns)
    return rows.repartition(workers, key).sortWithinPartitions(key, *columns)
