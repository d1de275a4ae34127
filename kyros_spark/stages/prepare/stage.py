"""prepare: clean policies and claims -> `prepared` and `feature_log`."""

from __future__ import annotations

from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import Config, PrepareSettings
from kyros_spark.delta.tables import Written
from kyros_spark.errors import (
    BatchMissingError,
    ConfigError,
    ExposureError,
    FeatureDefinitionError,
    SplitError,
    first_line,
)
from kyros_spark.registry import Registry
from kyros_spark.runs.execute import (
    execute,
)
from kyros_spark.runs.micro_batches import gathered, in_micro_batches, parts_of, rows_each
from kyros_spark.runs.portfolio import (
    Portfolio,
    start,
)
from kyros_spark.runs.run import LastRun, Run
from kyros_spark.stages.prepare.feature_log import Frozen, champions_features, counted, log_rows
from kyros_spark.tables.ddl import batch_is
from kyros_spark.tables.feature_log import FEATURE_LOG
from kyros_spark.tables.prepared import prepared as prepared_table
from kyros_spark.transforms.features import (
    check_definitions,
    exposure_value,
    feature_value,
    split_value,
)
from kyros_spark.transforms.targets import claimed, claims_by_policy, claims_unknown, with_claims


def prepare(
    spark: SparkSession,
    config: Config,
    batch: str | None = None,
    run_id: str | None = None,
    portfolio: Portfolio | None = None,
) -> Run:
    """Join claims to policies, and compute exposure, targets, split and features of one batch.

    Raises:
        BatchMissingError: the batch has not been cleaned.
        ExposureError: exposure is missing, not positive, or above its range; nothing was written.
    """
    portfolio = portfolio or Portfolio(spark, config)
    run = start("prepare", batch, config, run_id)

    def inputs() -> dict[str, str]:
        done = portfolio.done("clean", run.batch, "prepare")
        return {n: f"{done.outputs[n]} of run {done.run_id}" for n in _needed(config, run.batch)}

    settings = {
        "prepare": config.prepare.defining(),
        "keys": [config.sources.policies.key, _reference(config)],
    }
    return execute(portfolio, run, inputs, settings, lambda run: _work(portfolio, run))


def _needed(config: Config, batch: str) -> list[str]:
    return ["policies", "claims"] if config.claims_known(batch) else ["policies"]


def _reference(config: Config) -> tuple[str, ...]:
    return config.sources.claims.reference if config.sources.claims is not None else ()


def _work(portfolio: Portfolio, run: Run) -> None:
    settings = portfolio.config.prepare
    done = portfolio.done("clean", run.batch, "prepare")
    with run.phase("check"):
        policies = checked_policies(portfolio, run, done)
        registry = Registry(portfolio.tables, portfolio.config.tables.artefact_folder())
        frozen = champions_features(registry, settings)
    run.outputs["prepared"] = _written(portfolio, run, policies, done)
    run.rows_out = run.outputs["prepared"].rows
    with run.phase("write"):
        tables = {name: done.outputs[name] for name in _needed(portfolio.config, run.batch)}
        log = log_rows(
            portfolio.spark, run, settings, _seen(portfolio, run, frozen), frozen, tables
        )
        run.outputs["feature_log"] = portfolio.tables.replace(
            FEATURE_LOG, log, run.run_id, batch_is(run.batch)
        )


def _written(portfolio: Portfolio, run: Run, policies: DataFrame, done: LastRun) -> Written:
    """Write the batch's rows: in one commit, or slice by slice where no slice needs another."""
    config, where = portfolio.config, batch_is(run.batch)
    most, parts = rows_each(config, run.stage, run.batch), [policies]
    if most is not None:
        with run.phase("plan"):
            version = done.outputs["policies"]
            parts = parts_of(portfolio, run, "policies", version, run.rows_in, most)
    if len(parts) > 1:
        return in_micro_batches(
            run,
            gathered(portfolio, run),
            parts,
            lambda p: _prepared_rows(portfolio, run, p, done),
            where,
        )
    contract = prepared_table(config.sources.policies, config.prepare)
    rows, size = _prepared_rows(portfolio, run, policies, done), config.tables.rows_per_file
    with run.phase("write"):
        return portfolio.tables.replace(contract, rows, run.run_id, where, size)


def checked_policies(portfolio: Portfolio, run: Run, done: LastRun) -> DataFrame:
    """Return the clean policies of a batch, once the settings' expressions and exposure pass.

    Raises:
        FeatureDefinitionError: an expression of the settings cannot be computed.
        ExposureError: exposure is missing, not positive, or above its range.
    """
    settings, columns = portfolio.config.prepare, portfolio.config.sources.policies.columns
    policies = portfolio.tables.read("policies", done.outputs["policies"], [run.batch])
    derived = {name: column.sql for name, column in columns.items() if column.sql is not None}
    check_definitions(policies, settings, derived)
    _check_exposure(run, policies, settings)
    return policies


def scoring_rows(policies: DataFrame, config: Config) -> DataFrame:
    """Return of clean policies what a model scores: key, exposure, features, as prepared has it."""
    features = config.prepare.features
    return policies.select(
        *config.sources.policies.key,
        exposure_value(config.prepare),
        *(feature_value(name, feature) for name, feature in features.items()),
    )


def _seen(portfolio: Portfolio, run: Run, frozen: Frozen) -> dict[str, Any]:
    """Count what was written, over columns of files: five times as fast as an observation."""
    written = portfolio.tables.read("prepared", run.outputs["prepared"].version, [run.batch])
    told = written.agg(*counted(portfolio.config.prepare, frozen)).first()
    return told.asDict() if told is not None else {}


def _prepared_rows(portfolio: Portfolio, run: Run, policies: DataFrame, done: LastRun) -> DataFrame:
    config, settings = portfolio.config, portfolio.config.prepare
    key = config.sources.policies.key
    joined, targets = policies, {}
    if settings.claims is not None:
        if config.sources.claims is None:
            raise ConfigError("prepare.claims is given, but sources.claims is not")
        targets = claims_unknown()
        if config.claims_known(run.batch):
            claims = portfolio.tables.read("claims", done.outputs["claims"], [run.batch])
            try:
                sums = claims_by_policy(claims, _reference(config), settings.claims)
            except AnalysisException as error:
                line = first_line(error)
                raise FeatureDefinitionError(
                    "prepare.claims: count, amount or where cannot be computed from table claims "
                    f"({', '.join(claims.columns)}): {line}"
                ) from error
            known = _claims_cleaned(done, run.batch)
            parts = _shuffle_partitions(portfolio.spark)
            joined, targets = with_claims(policies, sums, key, known, parts), claimed()
    # Behind the join, whose rows are then no wider than policies. The sums have names that no
    # expression of the settings reaches until every feature is computed.
    kept = {f"_feature_{name}": feature_value(name, f) for name, f in settings.features.items()}
    rows = joined.withColumns({**kept, "_exposure": exposure_value(settings)})
    rows = rows.withColumn("split", split_value(settings.split)).withColumns(targets)
    try:
        return rows.select(
            *key,
            F.col("_exposure").alias("exposure"),
            *targets,
            *(F.expr(sql).cast("double").alias(name) for name, sql in settings.targets.items()),
            "split",
            *(F.col(f"_feature_{name}").alias(name) for name in settings.features),
            F.lit(run.batch).alias("batch_id"),
            F.lit(run.run_id).alias("run_id"),
        )
    except AnalysisException as error:
        line = first_line(error)
        raise FeatureDefinitionError(f"prepare.targets: cannot be computed: {line}") from error


def _claims_cleaned(done: LastRun, batch: str) -> int:
    if "claims" not in done.details:
        raise BatchMissingError(
            f"prepare {batch}: expected its claims from stage clean, found that it was cleaned "
            f"before sources.claims.batches named it; run: kyros clean --batch {batch}"
        )
    return int(done.details["claims"]["rows_out"])


def _shuffle_partitions(spark: SparkSession) -> int:
    told = spark.conf.get("spark.sql.shuffle.partitions") or ""
    return int(told) if told.isdigit() else 200  # 'auto' on Databricks


def _check_exposure(run: Run, policies: DataFrame, settings: PrepareSettings) -> None:
    part = split_value(settings.split)
    told = (
        policies.select(exposure_value(settings), part.alias("_part"))
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.count_if(_out_of_range(settings)).alias("bad"),
            F.expr("count_if(coalesce(_part NOT IN ('train', 'valid', 'test'), true))").alias(
                "lost"
            ),
            F.min(F.when(_out_of_range(settings), F.col("exposure"))).alias("least"),
            F.max(F.when(_out_of_range(settings), F.col("exposure"))).alias("most"),
        )
        .first()
    )
    assert told is not None
    run.rows_in = told["rows"]
    if told["lost"]:
        raise SplitError(
            f"policies, batch {run.batch}, prepare.split.sql: expected train, "
            f"valid or test for each row, found {told['lost']} of {told['rows']} rows without; map "
            "every value in prepare.split.parts, nothing was written"
        )
    if told["bad"]:
        raise ExposureError(
            f"policies, batch {run.batch}, exposure '{settings.exposure}': expected above 0 and at "
            f"most {settings.max_exposure:g}, found {told['bad']} of {told['rows']} rows outside "
            f"(from {told['least']} to {told['most']}, or missing); add min and max to the column "
            "so that clean rejects them, nothing was written"
        )


def _out_of_range(settings: PrepareSettings) -> Column:
    value = F.col("exposure")
    above = (value > settings.max_exposure) | F.isnan(value)
    return value.isNull() | (value <= 0) | above
