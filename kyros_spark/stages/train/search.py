"""Search a model's parameters on folds of its training part; every trial is a row of `runs`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.batches import with_columns
from kyros_spark.aggregates.rows import RowSource, held
from kyros_spark.config import ModelSettings, SearchSettings
from kyros_spark.errors import ConfigError, FitError
from kyros_spark.fitting.calibrate import scored_rows
from kyros_spark.fitting.metrics import quality
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, modelled
from kyros_spark.fitting.scored import feature_names
from kyros_spark.fitting.search import Outcome, Parameters, Trial, search
from kyros_spark.fitting.train_model import train_model
from kyros_spark.log import event
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.scoring.arrow_features import as_doubles
from kyros_spark.stages.train.training_rows import TrainingRows, model_columns
from kyros_spark.transforms.folds import FOLD, with_fold


def searched(
    portfolio: Portfolio, run: Run, name: str, settings: ModelSettings, prepared: TrainingRows
) -> ModelSettings:
    """Return the model's settings with the best parameters, and record the trials.

    Each fold is held out in turn as the validation part. The model's own validation and test parts
    are left for the final fit.

    Raises:
        ConfigError: the folds' columns are in neither table prepared nor table policies.
        FitError: every trial was given up.
    """
    search_settings = settings.search
    if search_settings is None:
        return settings
    train = prepared.frame.where(F.col("split") == "train")
    folded = _folded(portfolio, name, search_settings, train)
    with run.phase(f"search {name}"), prepared.held(folded, [FOLD]) as rows:
        columns = model_columns(name, settings, portfolio.config.prepare)

        def judge(parameters: Parameters) -> Iterator[tuple[float, float]]:
            event(f"trial of {name}: {parameters}")
            trial = with_parameters(settings, parameters)
            for fold in range(search_settings.folds):
                yield _deviances(portfolio, name, trial, _held_out(rows, fold, columns))

        section = settings.glm if settings.method == "glm" else settings.boosting
        outcome = search(search_settings, section, judge)
    portfolio.ledger.record(*(_row(run, name, trial, outcome) for trial in outcome.trials))
    best = outcome.best()
    event(f"search {name}: {outcome.stopped}; trial {best.number} is best: {best.parameters}")
    return with_parameters(settings, best.parameters)


def with_parameters(settings: ModelSettings, parameters: Parameters) -> ModelSettings:
    """Return the settings with parameters of their method's section replaced."""
    section = settings.glm if settings.method == "glm" else settings.boosting
    return settings.model_copy(update={settings.method: section.model_copy(update=parameters)})


def _folded(
    portfolio: Portfolio, name: str, settings: SearchSettings, train: DataFrame
) -> DataFrame:
    """Add the fold; columns that prepared lacks come from table policies."""
    sources = portfolio.config.sources.policies
    by = settings.by or portfolio.config.prepare.split.by or sources.key
    others = [column for column in by if column not in train.columns]
    unknown = [column for column in others if column not in sources.columns]
    if unknown:
        raise ConfigError(
            f"train.models.{name}.search.by: expected columns of table policies or prepared, found "
            f"{', '.join(unknown)}"
        )
    if others:
        key = ["batch_id", *sources.key]
        policies = portfolio.tables.read("policies").select(*key, *others)
        train = train.join(policies, key, how="left")
    return with_fold(train, by, settings.folds).drop(*others)


def _held_out(rows: RowSource, fold: int, columns: Sequence[str]) -> RowSource:
    """Make one fold the validation part and the others the training part."""

    def parted(batch: pa.RecordBatch) -> pa.RecordBatch:
        split = np.where(as_doubles(batch.column(FOLD)) == fold, "valid", "train")
        return with_columns(batch, columns, {"split": split})

    return rows.changed([*columns, FOLD], parted)


def _deviances(
    portfolio: Portfolio, name: str, settings: ModelSettings, parts: RowSource
) -> tuple[float, float]:
    """Return the held-out fold's deviance under a fit to the others, and the null model's."""
    try:
        model = train_model(name, parts, settings, portfolio.config.prepare, {})
    except FitError as error:
        event(f"trial of {name}: {error}")
        return math.nan, math.nan
    settings = _judging(settings)
    columns = [*feature_names([model]), "split"]
    rows = modelled(parts, settings, columns)
    ends = [*columns, LABEL, WEIGHT, OFFSET]
    with held(scored_rows(rows, ends, [model], settings)) as scored:
        metrics = quality(scored, settings)
    null_deviance = metrics.get("valid_null_deviance", math.nan)
    return metrics.get("valid_deviance", math.nan), null_deviance


def _judging(settings: ModelSettings) -> ModelSettings:
    """Return settings whose deviance is the same in every trial: no profiled power or theta.

    Each fit has its own, and deviances of different ones are not comparable.
    """
    if settings.family == "negative_binomial" and settings.theta == "profile":
        return settings.model_copy(update={"family": "poisson"})
    return settings.model_copy(update={"tweedie_power": settings.screening_power})


def _row(run: Run, name: str, trial: Trial, outcome: Outcome) -> Run:
    """Return a trial as a row of the ledger."""
    details = {
        "model": name,
        "parameters": trial.parameters,
        "fold_deviances": [_number(value) for value in trial.deviances],
        "fold_null_deviances": [_number(value) for value in trial.null_deviances],
        "deviance": _number(trial.score),
        "exploded": trial.exploded,
        "search": outcome.stopped,
    }
    return Run(
        "trial",
        f"{name}.{trial.number}",
        run.run_id,
        started=trial.began,
        ended=trial.began + trial.seconds,
        status="done",
        inputs=run.inputs,
        details=details,
    )


def _number(value: float) -> float | None:
    """Return the number, or None where JSON has none: it has no NaN."""
    return value if math.isfinite(value) else None
