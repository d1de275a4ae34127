"""prepare: clean policies and claims -> `prepared` and `feature_log`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession

from kyros_spark.config import Config
from kyros_spark.config.target_columns import known_targets
from kyros_spark.delta.batch_files import read_batch
from kyros_spark.delta.tables import Written
from kyros_spark.delta.where import batch as of_batch
from kyros_spark.errors import BatchMissingError
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.micro_batches import (
    in_micro_batches,
    rows_per_micro_batch,
    slices_of,
    staged_write,
)
from kyros_spark.runs.portfolio import Portfolio, batch_of
from kyros_spark.runs.run import LastRun, Run
from kyros_spark.spark.driver_heap import heap_holds
from kyros_spark.spark_version import has_to_arrow
from kyros_spark.stages.prepare.checks import (
    check_rows,
    check_values,
    defined_policies,
)
from kyros_spark.stages.prepare.defining import reference, settings_of
from kyros_spark.stages.prepare.feature_log import (
    FrozenFeatures,
    champion_features,
    counted_rows,
    log_rows,
    tell_unknown_targets,
    unseen_marks,
    value_counts,
)
from kyros_spark.stages.prepare.split_keys import split_keys
from kyros_spark.tables.feature_log import FEATURE_LOG
from kyros_spark.tables.prepared import prepared as prepared_table
from kyros_spark.transforms.prepared import claim_sums, prepared_rows
from kyros_spark.transforms.targets import claim_targets, unknown_claim_targets, with_claims


def prepare(
    spark: SparkSession, config: Config, batch: str | None = None, run_id: str | None = None
) -> Run:
    """Join claims to policies, and compute exposure, targets, split and features of one batch.

    Raises:
        BatchMissingError: the batch has not been cleaned.
        ExposureError: exposure is missing, not positive, or above its range; nothing was written.
    """
    return execute(prepare_work(Portfolio(spark, config), batch), run_id)


def prepare_work(portfolio: Portfolio, batch: str | None) -> Work[LastRun]:
    """Return what prepare would do on a batch."""
    config, label = portfolio.config, batch_of("prepare", batch, portfolio.config)

    def inputs() -> Inputs[LastRun]:
        cleaned = portfolio.last_run("clean", label, "prepare")
        names = _tables_read(config, label)
        return Inputs({n: f"{cleaned.outputs[n]} of run {cleaned.run_id}" for n in names}, cleaned)

    settings = settings_of(config)
    return Work(portfolio, "prepare", label, inputs, settings, lambda *do: _prepare(portfolio, *do))


def _tables_read(config: Config, batch: str) -> list[str]:
    return ["policies", "claims"] if config.claims_known(batch) else ["policies"]


def _prepare(portfolio: Portfolio, run: Run, cleaned: LastRun) -> None:
    config, settings = portfolio.config, portfolio.config.prepare
    with run.phase("check"):
        policies = defined_policies(portfolio, run, cleaned)
        frozen = champion_features(portfolio.registry, settings)
        in_driver = _fit_in_driver(portfolio, run, cleaned)
        if not in_driver:
            count = int(cleaned.details["policies"]["rows_out"])
            check_values(run, policies, settings, split_keys(settings.split, count))
    if in_driver:
        counts = _prepare_in_driver(portfolio, run, policies, cleaned, frozen)
    else:
        run.outputs["prepared"] = _write_prepared(portfolio, run, policies, cleaned)
    run.rows_out = run.outputs["prepared"].rows
    with run.phase("write"):
        versions = {n: cleaned.outputs[n] for n in _tables_read(config, run.batch)}
        if not in_driver:
            counts = _count_values(portfolio, run, frozen)
        tell_unknown_targets(run, settings, counts)
        rows = log_rows(run, settings, counts, frozen, versions)
        run.outputs["feature_log"] = portfolio.tables.replace_rows(
            FEATURE_LOG, rows, run.run_id, of_batch(run.batch), batch=run.batch
        )


def _fit_in_driver(portfolio: Portfolio, run: Run, cleaned: LastRun) -> bool:
    """Tell whether the driver can hold the batch, and need not write it slice by slice."""
    config, rows = portfolio.config, int(cleaned.details["policies"]["rows_out"])
    if rows > config.spark.local_rows or not has_to_arrow(portfolio.spark.version):
        return False
    columns = prepared_table(config.sources.policies, config.prepare).columns
    if not heap_holds(portfolio.spark, (column.type for column in columns), rows):
        return False
    most = rows_per_micro_batch(config, run.stage, run.batch)
    return most is None or rows <= most


def _prepare_in_driver(
    portfolio: Portfolio, run: Run, policies: DataFrame, cleaned: LastRun, frozen: FrozenFeatures
) -> dict[str, Any]:
    """Ask Spark once for the rows; check, write and count them here."""
    config = portfolio.config
    contract = prepared_table(config.sources.policies, config.prepare)
    keys = split_keys(config.prepare.split, int(cleaned.details["policies"]["rows_out"]))
    rows = _rows(portfolio, run, policies, cleaned, keys)
    with run.phase("compute"):
        marks = unseen_marks(config.prepare, frozen)
        held = rows.select("*", *(mark.alias(name) for name, mark in marks.items())).toArrow()
        check_rows(run, held, config.prepare)
    with run.phase("write"):
        size, where = config.tables.rows_per_file, of_batch(run.batch)
        written = portfolio.tables.replace_arrow(
            contract, held, run.run_id, where, size, batch=run.batch
        )
        run.outputs["prepared"] = written
    return counted_rows(config.prepare, held)


def _write_prepared(
    portfolio: Portfolio, run: Run, policies: DataFrame, cleaned: LastRun
) -> Written:
    """Write the batch's rows: in one commit, or slice by slice where no slice needs another."""
    config, where = portfolio.config, of_batch(run.batch)
    most, parts = rows_per_micro_batch(config, run.stage, run.batch), [policies]
    if most is not None:
        with run.phase("plan"):
            version = cleaned.outputs["policies"]
            parts = slices_of(portfolio, run, "policies", version, run.rows_in, most)
    if len(parts) > 1:
        staged = staged_write(portfolio, run)
        return in_micro_batches(
            run, staged, parts, lambda part: _rows(portfolio, run, part, cleaned), where
        )
    contract = prepared_table(config.sources.policies, config.prepare)
    rows, size = _rows(portfolio, run, policies, cleaned), config.tables.rows_per_file
    with run.phase("write"):
        return portfolio.tables.replace(contract, rows, run.run_id, where, size, batch=run.batch)


def _count_values(portfolio: Portfolio, run: Run, frozen: FrozenFeatures) -> dict[str, Any]:
    """Count over the written files' columns, which is five times as fast as an observation."""
    written = portfolio.tables.read("prepared", run.outputs["prepared"].version, [run.batch])
    counts = written.agg(*value_counts(portfolio.config.prepare, frozen)).first()
    return counts.asDict() if counts is not None else {}


def _rows(
    portfolio: Portfolio,
    run: Run,
    policies: DataFrame,
    cleaned: LastRun,
    beside: Mapping[str, Column] | None = None,
) -> DataFrame:
    """Return the rows of `prepared`, and columns over policies beside them."""
    source = portfolio.config.sources.policies
    key, settings = source.key, known_targets(source, portfolio.config.prepare, run.batch)
    policies = policies.withColumns(dict(beside)) if beside else policies
    with_sums, targets = _with_claims(portfolio, run, policies, cleaned)
    return prepared_rows(
        with_sums, key, settings, targets, run.batch, run.run_id, tuple(beside or ())
    )


def _with_claims(
    portfolio: Portfolio, run: Run, policies: DataFrame, cleaned: LastRun
) -> tuple[DataFrame, dict[str, Column]]:
    """Return the policies with the sums of their claims, and the targets made of them."""
    config, settings = portfolio.config, portfolio.config.prepare
    if settings.claims is None:
        return policies, {}
    if not config.claims_known(run.batch):
        return policies, unknown_claim_targets()
    if "claims" not in cleaned.details:
        raise BatchMissingError(
            f"prepare {run.batch}: expected its claims from stage clean, found that it was cleaned "
            f"before sources.claims.batches named it; run: kyros clean --batch {run.batch}"
        )
    claims = read_batch(portfolio.tables, "claims", cleaned.outputs["claims"], run.batch)
    rows = int(cleaned.details["claims"]["rows_out"])
    sums = claim_sums(claims, reference(config), settings.claims)
    key, partitions = config.sources.policies.key, _shuffle_partitions(portfolio.spark)
    return with_claims(policies, sums, key, rows, partitions), claim_targets()


def _shuffle_partitions(spark: SparkSession) -> int:
    setting = spark.conf.get("spark.sql.shuffle.partitions") or ""
    return int(setting) if setting.isdigit() else 200  # 'auto' on Databricks
