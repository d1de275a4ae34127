"""Judge one source of a batch: read it, type its columns, compare its rows, mark broken rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import CleanSettings, SourceSettings
from kyros_spark.errors import (
    ConfigError,
    EmptySourceError,
)
from kyros_spark.foreign_errors import first_line
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.spark.driver_heap import can_collect
from kyros_spark.spark.persisted import persisted
from kyros_spark.spark_version import has_to_arrow
from kyros_spark.stages.clean.extract import read_list, read_raw, source_types
from kyros_spark.stages.clean.judged_frame import JudgedFrame
from kyros_spark.stages.clean.judged_table import JudgedTable
from kyros_spark.stages.clean.reconcile import amount_totals, row_counts
from kyros_spark.stages.clean.refusals import refuse_failed, refuse_rejects
from kyros_spark.transforms.column_rules import column_rules
from kyros_spark.transforms.duplicates import with_duplicates_marked, with_sums
from kyros_spark.transforms.reference import claim_rules, policy_keys, with_policy_known
from kyros_spark.transforms.row_rules import row_rules, with_rows_compared
from kyros_spark.transforms.rules import Rule
from kyros_spark.transforms.typed import with_raw_record, with_typed_columns
from kyros_spark.transforms.values import RAW
from kyros_spark.transforms.verdicts import rows_for_driver, with_verdicts

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class RowsWithVerdicts(Protocol):
    """Rows with their verdicts, on the executors or in the driver."""

    def counts(self, profiled: bool) -> list[dict[str, Any]]:
        """Return the rows of `verdict_counts`; with ``profiled`` the totals of columns too."""

    def examples(self) -> Mapping[int, str | None]:
        """Return a refused value by the number of the first rule that it broke."""

    def sampled(self, rows: int, total: int) -> pd.DataFrame:
        """Return about ``rows`` of the ``total`` accepted rows."""

    def accepted(self, names: Sequence[str]) -> DataFrame:
        """Return columns of the accepted rows."""

    def copies(self) -> DataFrame:
        """Return the source's columns of the copies that were taken out."""

    def clean(self, batch: str, run_id: str) -> DataFrame | pa.Table:
        """Return the accepted rows as their table holds them."""

    def rejected(self, name: str, batch: str, run_id: str) -> DataFrame | pa.Table:
        """Return the refused rows in the columns of `rejects`."""

    def repaired(self, name: str, batch: str, run_id: str) -> DataFrame | pa.Table:
        """Return the repaired values in the columns of `repairs`; at least one rule repairs."""


@dataclass(frozen=True)
class JudgedSource:
    """The rows of one source with their verdicts, which are numbers into ``rules``.

    types: the types that the source itself gives its columns, if it gives any.
    """

    source: SourceSettings
    rules: list[Rule]
    rows: RowsWithVerdicts
    types: dict[str, str]


def rules_of(name: str, source: SourceSettings) -> list[Rule]:
    """Return every rule that a source is judged by, in the order of judging."""
    of_claims = claim_rules(source) if name == "claims" else ()
    return [*column_rules(source), *of_claims, *row_rules(source)]


@contextmanager
def judged_source(
    portfolio: Portfolio,
    name: str,
    source: SourceSettings,
    most_rows: int | None,
    batch: str,
    policies: JudgedSource | None,
) -> Iterator[JudgedSource]:
    """Judge a source's rows and hold them during the block: in the driver, if they are few.

    most_rows: the most rows that the source should have, if that is known before it is read.
    policies: those that its claims refer to.

    Raises:
        ConfigError: an expression of the settings cannot be computed from the source's columns.
    """
    spark, config = portfolio.spark, portfolio.config
    raw = read_raw(spark, name, source, batch)
    rules, types = rules_of(name, source), source_types(source, raw)
    verdicts = _verdicts(spark, name, source, raw, rules, batch, policies)
    rows = rows_for_driver(verdicts, source, rules, config.clean.profile_rows > 0)
    if _fit_in_driver(config.spark.local_rows, raw, rows, most_rows):
        yield JudgedSource(source, rules, JudgedTable(rows, source, rules), types)
        return
    with persisted(verdicts) as frame:
        yield JudgedSource(source, rules, JudgedFrame(frame, source, rules), types)


def _fit_in_driver(most: int, raw: DataFrame, rows: DataFrame, bound: int | None) -> bool:
    """Tell whether the driver can hold the rows; they are counted only where the bound is vague."""
    if not most or not has_to_arrow(raw.sparkSession.version):
        return False
    if bound is not None and bound <= most and can_collect(rows, bound):
        return True
    if bound is not None and bound > most:
        return False
    count = raw.count()
    return count <= most and can_collect(rows, count)


def _verdicts(
    spark: SparkSession,
    name: str,
    source: SourceSettings,
    raw: DataFrame,
    rules: Sequence[Rule],
    batch: str,
    policies: JudgedSource | None,
) -> DataFrame:
    """Return raw rows typed and with their verdicts."""
    with_record = with_raw_record(raw)
    lists = {
        rule.id: read_list(spark, rule.id, rule.listed_in, batch)
        for rule in source.rules
        if rule.listed_in is not None
    }
    try:
        # Only the raw record goes through the shuffle; types are computed again behind it.
        marked = with_duplicates_marked(with_typed_columns(with_record, source), source, (RAW,))
        typed = with_sums(with_typed_columns(marked, source), source)
        typed = with_rows_compared(typed, source, lists)
        if policies is not None:
            key, columns = policies.source.key, policies.source.columns
            clean = policies.rows.accepted(key if source.period is None else tuple(columns))
            keys = policy_keys(clean, key, source.period)
            typed = with_policy_known(typed, keys, source)
        return with_verdicts(typed, source, rules)
    except AnalysisException as error:
        _check_conditions(spark, name, source)
        line = first_line(error)
        raise ConfigError(
            f"sources.{name}.columns: an sql, min, max or allowed cannot be computed, or a rule of "
            f"sources.{name}.rules, from the columns {', '.join(source.columns)}: {line}"
        ) from error


def _check_conditions(spark: SparkSession, name: str, source: SourceSettings) -> None:
    """Refuse a condition that is not SQL under its own name: later it is part of a longer text."""
    for rule in source.rules:
        conditions = {f"repair.{column}": sql for column, sql in rule.repair.items()}
        if rule.check is not None:
            conditions["check"] = rule.check
        for setting, sql in conditions.items():
            try:
                _ = spark.range(0).select(F.expr(sql)).schema
            except ParseException as error:
                line = first_line(error)
                raise ConfigError(
                    f"sources.{name}.rules, rule {rule.id}, {setting}: '{sql}' is not Spark SQL: "
                    f"{line}"
                ) from error
            except AnalysisException:
                continue  # it names columns, which are not here


def count(
    run: Run, name: str, judged: JudgedSource, settings: CleanSettings
) -> list[dict[str, Any]]:
    """Count rows by verdict, and stop before anything is written if too many are refused.

    Returns the counts of the accepted rows, with the totals of their columns if a profile is
    wanted.

    Raises:
        DataContractError: the batch as a whole is refused; class and message give the reason.
    """
    counts = judged.rows.counts(settings.profile_rows > 0)
    details = row_counts(counts, judged.rules)
    if judged.source.amounts:
        details["amounts"] = amount_totals(counts, judged.source)
    run.details[name] = details
    run.rows_in += details["rows_in"]
    run.rows_duplicate += details["duplicates"]
    run.rows_rejected += details["rejected"]
    if details["rows_in"] == 0:
        raise EmptySourceError(
            f"{name}, batch {run.batch}: expected rows, found none; check the extract, "
            "nothing was written"
        )
    undecoded = any(rule.startswith("encoding:") for rule in details["rules"])
    if undecoded or details["rejected"] > settings.max_rejected_share * details["rows_in"]:
        refuse_rejects(run, name, judged.source, judged.rows.examples(), judged.rules, settings)
    if "failed" in details:
        refuse_failed(run, name, judged.rules)
    return [row for row in counts if not row["copy"] and row["rule"] is None]
