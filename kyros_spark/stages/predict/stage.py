"""predict: one prepared batch and registered models -> `predictions`, all models in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import Config
from kyros_spark.delta.listed_files import NotCertain
from kyros_spark.delta.where import Among, Where
from kyros_spark.delta.where import batch as of_batch
from kyros_spark.errors import ConfigError, UsageError
from kyros_spark.model.predicted_column import ROWS
from kyros_spark.registry import Entry
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.micro_batches import in_micro_batches, staged_write
from kyros_spark.runs.portfolio import Portfolio, batch_of
from kyros_spark.runs.run import Run
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.udf import predictions
from kyros_spark.spark.session import arrow_batch_rows, can_broadcast
from kyros_spark.spark.writers import files_at_once
from kyros_spark.stages.predict.account import tell_totals
from kyros_spark.stages.predict.by_files import FilePredictor, say_why_not
from kyros_spark.stages.predict.in_process import columns_read, predicted_rows, rows_fit
from kyros_spark.stages.predict.outdated_report import mark_report
from kyros_spark.stages.predict.scoring_input import ScoringInput
from kyros_spark.stages.predict.scoring_plan import ScoringPlan, scoring_plan
from kyros_spark.tables.predictions import predictions as predictions_table
from kyros_spark.transforms.predicted import (
    is_not_finite,
    long_rows,
    prediction_totals,
    scored,
)


def predict(
    spark: SparkSession,
    config: Config,
    batch: str | None = None,
    run_id: str | None = None,
    models: Sequence[str] = (),
    fuse: bool = False,
) -> Run:
    """Apply registered models to one prepared batch.

    models: NAME, NAME@VERSION or NAME@champion; default the settings' predict.models, or every
    model of train. Products of the settings are written where all their parts are applied.
    fuse: compute the features of the clean policies on the way, so that table prepared, which
    nobody else may need, is not written.

    Raises:
        UnknownModelError: a model is not in the registry.
        ModelFileError: a model's file is missing or not the one that was registered.
        FeatureMismatchError: the batch was prepared with other features than a model's.
    """
    return execute(predict_work(Portfolio(spark, config), batch, models, fuse), run_id)


def predict_work(
    portfolio: Portfolio, batch: str | None, models: Sequence[str] = (), fuse: bool = False
) -> Work[list[Entry]]:
    """Return what predict would do on a batch."""
    config, label = portfolio.config, batch_of("predict", batch, portfolio.config)
    scoring_input = ScoringInput(portfolio, label, fuse)

    def inputs() -> Inputs[list[Entry]]:
        rows = scoring_input.identity()
        wanted = models or config.predict.models or (config.train.models if config.train else ())
        if not wanted:
            raise ConfigError("predict: name models in predict.models, or give --model NAME")
        chosen = portfolio.registry.find(*wanted)
        _check_names(config, chosen, whole=not models)
        versions = {f"model {entry.name}": f"{entry.version} {entry.sha256}" for entry in chosen}
        return Inputs({**rows, **versions}, chosen)

    # How many rows a micro-batch has changes none of them, nor does who reads them.
    own = config.predict.model_dump(mode="json", exclude={"rows_per_micro_batch", "read"})
    settings = own | scoring_input.settings()
    do = partial(_predict, scoring_input)
    return Work(portfolio, "predict", label, inputs, settings, do, is_ad_hoc=bool(models))


def _check_names(config: Config, chosen: Sequence[Entry], whole: bool) -> None:
    names = [entry.name for entry in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"predict: {', '.join(twice)} is asked for twice; table predictions holds one version "
            "of a model name at a time, so apply the versions one after the other"
        )
    for name, parts in config.predict.products.items():
        unknown = [part for part in parts if part not in names]
        if name in names:  # its rows would stand among the model's own
            raise ConfigError(f"predict.products.{name} has the name of a registered model")
        if whole and unknown:
            raise ConfigError(
                f"predict.products.{name}: expected models among {', '.join(names)}, found "
                f"'{', '.join(unknown)}'"
            )


def _predict(scoring_input: ScoringInput, run: Run, chosen: list[Entry]) -> None:
    portfolio = scoring_input.portfolio
    config, spark = portfolio.config, portfolio.spark
    with run.phase("load models"):
        plan = scoring_plan(portfolio.registry, chosen, config.predict.products)
        scoring_input.check(run, plan.models)
    report = HostReport(spark)
    run.in_python = report.spent
    fit = rows_fit(spark, config, plan, scoring_input.row_count)
    totals = None
    if config.predict.by_files(driver_may=fit):
        totals = _by_files(scoring_input, run, plan, report)
    if totals is None and fit:
        totals = _in_driver(scoring_input, run, plan, report)
    if totals is None:
        totals = _on_executors(scoring_input, run, plan, report)
    run.rows_out = run.outputs["predictions"].rows
    run.afterwards.append(partial(mark_report, portfolio, run))
    tell_totals(run, config, plan, totals)
    run.details["hosts"] = report.hosts()


def _by_files(
    scoring_input: ScoringInput, run: Run, plan: ScoringPlan, report: HostReport
) -> dict[str, Any] | None:
    """Let tasks read and write the files; return the totals, or None where Spark has to."""
    portfolio = scoring_input.portfolio
    try:
        totals = FilePredictor(scoring_input, run, plan, report).predict(_replaced(run, plan))
    except NotCertain as reason:
        run.details["read"] = say_why_not(run, reason)
        return None
    run.details["read"] = {"by": "files"}
    if totals is None:
        with run.phase("count"):
            totals = _count(portfolio, run, plan, scoring_input.rows())
    return totals


def _in_driver(
    scoring_input: ScoringInput, run: Run, plan: ScoringPlan, report: HostReport
) -> dict[str, Any]:
    """Score and write a batch of few rows in this process, and return its totals."""
    portfolio = scoring_input.portfolio
    with run.phase("score"):
        rows = scoring_input.held(columns_read(plan, portfolio.config))
        predicted, totals = predicted_rows(plan, rows, portfolio.config, run, report)
    with run.phase("write"):
        contract = predictions_table(portfolio.config.sources.policies)
        where = _replaced(run, plan)
        run.outputs["predictions"] = portfolio.tables.replace_arrow(
            contract, predicted, run.run_id, where, batch=run.batch
        )
    return totals


def _on_executors(
    scoring_input: ScoringInput,
    run: Run,
    plan: ScoringPlan,
    report: HostReport,
) -> dict[str, Any]:
    """Score and write the slices of a batch, and return the totals of the whole batch."""
    portfolio = scoring_input.portfolio
    config, spark = portfolio.config, portfolio.spark
    with run.phase("plan"):
        parts = scoring_input.slices(run, config.predict.rows_per_micro_batch)
    paths = None if can_broadcast(spark) else plan.paths
    score = predictions(spark, plan.models, paths, config.predict.kernel, report)
    at_once = files_at_once(spark, len(plan.outputs))
    with arrow_batch_rows(spark, config.predict.rows_per_arrow_batch), at_once:
        if len(parts) == 1:
            return _write_whole(portfolio, run, plan, score, parts[0])
        rows_of = partial(_rows, portfolio, run, plan, score)
        where = _replaced(run, plan)
        written = in_micro_batches(run, staged_write(portfolio, run), parts, rows_of, where)
        run.outputs["predictions"] = written
        with run.phase("count"):
            return _count(portfolio, run, plan, scoring_input.rows())


def _write_whole(
    portfolio: Portfolio, run: Run, plan: ScoringPlan, score: Column, prepared: DataFrame
) -> dict[str, Any]:
    """Write the batch in one commit, and return the totals observed on the way."""
    observation = Observation()
    contract = predictions_table(portfolio.config.sources.policies)
    with run.phase("write"):
        rows = _rows(portfolio, run, plan, score, prepared, observation)
        where = _replaced(run, plan)
        run.outputs["predictions"] = portfolio.tables.replace(
            contract, rows, run.run_id, where, batch=run.batch
        )
    totals: dict[str, Any] = observation.get
    return totals


def _rows(
    portfolio: Portfolio,
    run: Run,
    plan: ScoringPlan,
    score: Column,
    prepared: DataFrame,
    observation: Observation | None = None,
) -> DataFrame:
    """Return the rows of `predictions` for prepared rows: one per policy and output."""
    key = portfolio.config.sources.policies.key
    rows = scored(prepared, key, plan.features, score, plan.outputs)
    if observation is not None:
        totals = prediction_totals(plan.features, plan.outputs)
        rows = rows.observe(observation, F.count(F.lit(1)).alias(ROWS), *totals)
    return long_rows(rows, key, plan.outputs, run.batch, run.run_id)


def _replaced(run: Run, plan: ScoringPlan) -> Where:
    """Return the condition on the rows of `predictions` that the run replaces."""
    models = dict.fromkeys(output.name.partition(".")[0] for output in plan.outputs)
    # A class's rows stand under NAME.CLASS; the version before may have had other classes.
    named = Among(("model_name",), tuple((name,) for name in models), head=True)
    return Where((*of_batch(run.batch).conditions, named))


def _count(
    portfolio: Portfolio, run: Run, plan: ScoringPlan, prepared: DataFrame
) -> dict[str, Any]:
    """Count over the whole batch, micro-batches of other runs included."""
    version = run.outputs["predictions"].version
    written = portfolio.tables.read("predictions", version, [run.batch])
    bad = F.count_if(is_not_finite(F.col("prediction"))).alias("bad")
    sums = written.groupBy("model_name").agg(F.sum("expected").alias("expected"), bad).collect()
    of_models = {row["model_name"]: row for row in sums}
    totals = prepared.agg(
        F.count(F.lit(1)).alias(ROWS), *prediction_totals(plan.features, [])
    ).first()
    assert totals is not None
    return totals.asDict() | {
        f"{kind}{output.column}": of_models[output.name][kind]
        for output in plan.outputs
        if output.name in of_models
        for kind in ("expected", "bad")
    }
