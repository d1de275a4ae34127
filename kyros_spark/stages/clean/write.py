"""Write what clean made of a batch: rejects, repairs, profiles, claims, policies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.config import SourceSettings
from kyros_spark.delta.tables import Written
from kyros_spark.delta.where import batch as of_batch
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.spark.arrow_frames import frame_of
from kyros_spark.stages.clean.judge import JudgedSource
from kyros_spark.tables.claims import claims as claims_table
from kyros_spark.tables.contract import Table
from kyros_spark.tables.policies import policies as policies_table
from kyros_spark.tables.profiles import PROFILES
from kyros_spark.tables.rejects import REJECTS
from kyros_spark.tables.repairs import REPAIRS


def write(
    portfolio: Portfolio,
    run: Run,
    judged: Mapping[str, JudgedSource],
    profiles: Sequence[Mapping[str, Any]],
) -> None:
    """Replace the batch in each table by its new rows, the policies last."""
    where, tables = of_batch(run.batch), portfolio.tables
    claims, policies = portfolio.config.sources.claims, portfolio.config.sources.policies
    contract = policies_table(policies)
    optional = [claims_table(claims)] if claims is not None else []
    # Before the first of them is written.
    tables.check(REJECTS, REPAIRS, PROFILES, contract, *optional)
    parts = [j.rows.rejected(name, run.batch, run.run_id) for name, j in judged.items()]
    rejects = _together(portfolio, parts)
    run.outputs["rejects"] = _replace(portfolio, run, REJECTS, rejects, run.rows_rejected)
    run.outputs["repairs"] = _write_repairs(portfolio, run, judged)
    if profiles:
        run.outputs["profiles"] = tables.replace_rows(
            PROFILES, profiles, run.run_id, where, batch=run.batch
        )
    if claims is not None and "claims" in judged:
        run.outputs["claims"] = _replace_source(portfolio, run, judged, "claims", claims)
    elif claims is not None:  # they are not known yet
        run.outputs["claims"] = tables.replace_rows(
            claims_table(claims), [], run.run_id, where, batch=run.batch
        )
    run.outputs["policies"] = _replace_source(portfolio, run, judged, "policies", policies)
    run.rows_out = sum(run.outputs[n].rows for n in ("policies", "claims") if n in run.outputs)


def _write_repairs(portfolio: Portfolio, run: Run, judged: Mapping[str, JudgedSource]) -> Written:
    """Replace the batch in `repairs`; sources of which nothing was repaired are not read again."""
    counts = {name: run.details[name].get("repaired", {}) for name in judged}
    parts = [
        judged[name].rows.repaired(name, run.batch, run.run_id)
        for name, by_rule in counts.items()
        if by_rule
    ]
    if not parts:
        return portfolio.tables.replace_rows(
            REPAIRS, [], run.run_id, of_batch(run.batch), batch=run.batch
        )
    count = sum(rows for by_rule in counts.values() for rows in by_rule.values())
    return _replace(portfolio, run, REPAIRS, _together(portfolio, parts), count)


def _together(portfolio: Portfolio, parts: Sequence[DataFrame | pa.Table]) -> DataFrame | pa.Table:
    """Return rows of several sources as one; in the driver, if those of all are."""
    in_driver = [part for part in parts if isinstance(part, pa.Table)]
    if len(in_driver) == len(parts):
        return pa.concat_tables(in_driver)
    frames = (
        frame_of(portfolio.spark, part) if isinstance(part, pa.Table) else part for part in parts
    )
    return reduce(DataFrame.unionByName, frames)


def _replace_source(
    portfolio: Portfolio,
    run: Run,
    judged: Mapping[str, JudgedSource],
    name: str,
    source: SourceSettings,
) -> Written:
    """Replace the batch in the table of a source."""
    table = policies_table(source) if name == "policies" else claims_table(source)
    key = source.key if portfolio.config.tables.cluster_by_key else ()
    rows = judged[name].rows.clean(run.batch, run.run_id)
    return _replace(portfolio, run, table, rows, run.details[name]["rows_out"], key)


def _replace(
    portfolio: Portfolio,
    run: Run,
    table: Table,
    rows: DataFrame | pa.Table,
    count: int,
    key: Sequence[str] = (),
) -> Written:
    """Replace the batch in a table by so many rows, in files of a good size.

    key: the columns to sort by. Each file then holds a range of keys, and a question about one
    policy reads one file.
    """
    tables, size, where = (
        portfolio.tables,
        portfolio.config.tables.rows_per_file,
        of_batch(run.batch),
    )
    if isinstance(rows, pa.Table):
        order = [(name, "ascending") for name in key]
        ordered = rows.sort_by(order, null_placement="at_start") if key else rows
        return tables.replace_arrow(table, ordered, run.run_id, where, size, batch=run.batch)
    files = max(math.ceil(count / size), 1)
    if key:
        rows = rows.repartitionByRange(files, *key).sortWithinPartitions(*key)
    else:
        rows = rows.coalesce(files)
    return tables.replace(table, rows, run.run_id, where, batch=run.batch)
