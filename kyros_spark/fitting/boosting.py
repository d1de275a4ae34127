"""Boost trees with xgboost: base margins for offsets, early stopping by the validation part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.aggregates.batches import is_text, with_columns
from kyros_spark.aggregates.keyed_sums import Grouped, sums_of
from kyros_spark.aggregates.rows import DriverRows, ExecutorRows, RowSource, rows_of
from kyros_spark.config import BoostingSettings, ModelSettings
from kyros_spark.errors import (
    ConfigError,
    TrainingDataError,
)
from kyros_spark.fitting.local_boosting import MARGIN, VALIDATION, boosted, library
from kyros_spark.fitting.metrics import by_split
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, of_split, unit_of
from kyros_spark.fitting.spark_boosting import boosted_on_executors
from kyros_spark.model.manifest import Feature
from kyros_spark.scoring.arrow_features import as_doubles, encoded

# By family: xgboost's objective, and the metric of the validation part that stops it.
_OBJECTIVES = {
    "poisson": ("count:poisson", "poisson-nloglik"),
    "gamma": ("reg:gamma", "gamma-deviance"),
    "tweedie": ("reg:tweedie", "tweedie-nloglik"),
    "binomial": ("binary:logistic", "logloss"),
}


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

    The trees are added to the link of the training part's mean, which is what an intercept-only
    model predicts. A row's margin is that plus the row's offset.

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
    start = _mean_score(rows, settings.boosting, settings.link)
    rows = boosting_rows(rows, features, start)
    if isinstance(rows, DriverRows):
        booster = boosted(rows.table, len(features), options)
    else:
        assert isinstance(rows, ExecutorRows)
        booster = boosted_on_executors(
            rows.as_frame(), len(features), options, settings.boosting.workers
        )
    rounds = int(booster.num_boosted_rounds())
    if settings.boosting.early_stopping:
        rounds = int(booster.best_iteration) + 1
    return BoostingFit(bytes(booster.save_raw("ubj")), start, rounds)


def _options(settings: ModelSettings) -> dict[str, Any]:
    boosting, (objective, metric) = settings.boosting, _OBJECTIVES[settings.family]
    options: dict[str, Any] = {}
    if settings.family == "tweedie":
        options["tweedie_variance_power"] = settings.tweedie_power
        metric = f"{metric}@{settings.tweedie_power}"
    return {
        "objective": objective,
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


def _mean_score(rows: RowSource, boosting: BoostingSettings, link: str = "log") -> float:
    """Return the link of the training part's mean response per unit; check the validation part."""

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
    claims, units = parts["train"]["claims"], parts["train"]["units"]
    return math.log(claims / (units - claims if link == "logit" else units))
