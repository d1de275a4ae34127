"""Boost trees with xgboost: base margins for offsets, early stopping by the validation part."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.batches import is_text, with_columns
from kyros_spark.aggregates.keyed_sums import Grouped, sums_of
from kyros_spark.aggregates.rows import DriverRows, ExecutorRows, RowSource, rows_of
from kyros_spark.config import BoostingSettings, ModelSettings
from kyros_spark.errors import (
    ConfigError,
    FitError,
    TrainingDataError,
    WorkerLostError,
    lost_worker,
)
from kyros_spark.fitting.local_boosting import boosted, library
from kyros_spark.fitting.metrics import by_split
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, of_split, unit_of
from kyros_spark.log import event
from kyros_spark.model.manifest import Feature
from kyros_spark.scoring.arrow_features import as_doubles, encoded
from kyros_spark.spark.session import fitting_tasks

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


def boosting_rows(rows: RowSource, features: Sequence[Feature], start: float) -> RowSource:
    """Return the columns that xgboost reads: features, label, weight, margin, validation flag.

    Missing values are NaN. Feature columns are numbered (x0, x1, ...), because xgboost.spark
    reserves names such as 'weight'.
    """

    def columns_of(batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = {
            f"x{number}": encoded(feature, batch.column(feature.name), impute=False).astype(float)
            for number, feature in enumerate(features)
        }
        label, weight, offset = (as_doubles(batch.column(n)) for n in (LABEL, WEIGHT, OFFSET))
        ends = {LABEL: label, WEIGHT: weight, MARGIN: offset + start}
        valid = is_text(batch.column("split"), ("valid",))
        return with_columns(batch, (), columns | ends | {VALIDATION: valid})

    names = [feature.name for feature in features]
    return rows.changed([*names, LABEL, WEIGHT, OFFSET, "split"], columns_of)


def fit_boosting(
    training: RowSource | DataFrame, features: Sequence[Feature], settings: ModelSettings
) -> BoostingFit:
    """Boost on the training part and stop by the validation part.

    The trees are added to the log of the training part's mean, which is what an intercept-only
    model predicts. A row's margin is that log plus the row's offset.

    Raises:
        PlatformError: xgboost is not installed.
        ConfigError: the settings constrain the trees by features that the model does not have.
        TrainingDataError: early stopping without a validation part.
        FitError: xgboost stopped without a model.
        WorkerLostError: its Python workers died in every attempt.
    """
    rows = rows_of(training)
    library()  # refuses here, by name, where there is none
    options = {**_options(settings), **_constraints(features, settings.boosting)}
    if not settings.boosting.early_stopping:
        # xgboost.spark fails on an empty validation part, which a split into folds has.
        names = [feature.name for feature in features]
        rows = of_split(rows, [*names, LABEL, WEIGHT, OFFSET, "split"], ("train",))
    start = _mean_score(rows, settings.boosting)
    rows = boosting_rows(rows, features, start)
    if isinstance(rows, DriverRows):
        ends = (LABEL, WEIGHT, MARGIN, VALIDATION)
        booster = boosted(rows.table, len(features), options, ends)
    else:
        assert isinstance(rows, ExecutorRows)
        booster = _boosted_on_executors(rows.as_frame(), len(features), settings, options)
    rounds = int(booster.num_boosted_rounds())
    if settings.boosting.early_stopping:
        rounds = int(booster.best_iteration) + 1
    return BoostingFit(bytes(booster.save_raw("ubj")), start, rounds)


def _boosted_on_executors(
    rows: DataFrame, width: int, settings: ModelSettings, options: Mapping[str, Any]
) -> Any:
    from xgboost.spark import SparkXGBRegressor

    logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
    parameters = dict(options)
    parameters["n_estimators"] = parameters.pop("rounds")
    if patience := parameters.pop("early_stopping"):
        parameters["early_stopping_rounds"] = patience
        parameters["validation_indicator_col"] = VALIDATION
    configured = settings.boosting.workers
    workers = fitting_tasks(rows.sparkSession) if configured == "auto" else configured
    regressor = SparkXGBRegressor(
        features_col=[f"x{number}" for number in range(width)],
        label_col=LABEL,
        weight_col=WEIGHT,
        base_margin_col=MARGIN,
        num_workers=workers,
        verbose=False,
        **parameters,
    )
    return _fitted(regressor, in_order(rows, workers)).get_booster()


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
    if settings.family == "tweedie":
        options["tweedie_variance_power"] = settings.tweedie_power
        metric = f"{metric}@{settings.tweedie_power}"
    return {
        "objective": _OBJECTIVES[settings.family],
        "eval_metric": metric,
        "tree_method": "hist",
        "verbosity": 0,
        "rounds": boosting.rounds,
        "early_stopping": boosting.early_stopping,
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


def _mean_score(rows: RowSource, boosting: BoostingSettings) -> float:
    """Return the log of the training part's mean response per unit; check the validation part."""

    def grouping(batch: pa.RecordBatch) -> Iterator[Grouped]:
        label, weight = (as_doubles(batch.column(name)) for name in (LABEL, WEIGHT))
        yield by_split(batch, {"claims": label * weight, "units": weight * unit_of(batch)})

    columns = ("split", LABEL, WEIGHT, OFFSET)
    parts = sums_of(rows, columns, ("claims", "units"), grouping)["split"]
    if boosting.early_stopping and "valid" not in parts:
        raise TrainingDataError(
            "boosting: expected rows in the validation part, which decides when to stop, found "
            "none; give prepare.split.valid a share, or set boosting.early_stopping: 0"
        )
    return math.log(parts["train"]["claims"] / parts["train"]["units"])
