"""Check clean policies before anything of them is prepared: expressions, split and exposure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.extremes import extremes
from kyros_spark.config import PrepareSettings
from kyros_spark.delta.batch_files import read_batch
from kyros_spark.errors import ExposureError, SplitError
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun, Run
from kyros_spark.stages.prepare.split_keys import SPLIT_KEY, note_few_keys
from kyros_spark.transforms.features import check_definitions, exposure_value, split_value


def checked_policies(portfolio: Portfolio, run: Run, cleaned: LastRun) -> DataFrame:
    """Return the clean policies of a batch, once the settings' expressions and exposure pass.

    cleaned: the run of clean that wrote them. Counts the batch's rows into the run.

    Raises:
        FeatureDefinitionError: an expression of the settings cannot be computed.
        SplitError: a row falls into no part.
        ExposureError: exposure is missing, not positive, or above its range.
    """
    policies = defined_policies(portfolio, run, cleaned)
    check_values(run, policies, portfolio.config.prepare, {})
    return policies


def defined_policies(portfolio: Portfolio, run: Run, cleaned: LastRun) -> DataFrame:
    """Return the clean policies of a batch, once the settings' expressions pass.

    Raises:
        FeatureDefinitionError: an expression of the settings cannot be computed.
    """
    settings, source = portfolio.config.prepare, portfolio.config.sources.policies
    policies = read_batch(portfolio.tables, "policies", cleaned.outputs["policies"], run.batch)
    check_definitions(policies, settings, source.computed)
    return policies


def check_values(
    run: Run, policies: DataFrame, settings: PrepareSettings, keys: Mapping[str, Column]
) -> None:
    """Count policies into the run, and refuse a batch with a bad exposure or part.

    keys: `split_keys`, if it is to be told where they are few.

    Raises:
        SplitError, ExposureError: as `checked_policies` raises them.
    """
    part = split_value(settings.split)
    counts = (
        policies.select(
            exposure_value(settings),
            part.alias("_part"),
            *(key.alias(name) for name, key in keys.items()),
        )
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.count_if(_out_of_range(settings)).alias("bad"),
            F.expr("count_if(coalesce(_part NOT IN ('train', 'valid', 'test'), true))").alias(
                "lost"
            ),
            F.min(F.when(_out_of_range(settings), F.col("exposure"))).alias("least"),
            F.max(F.when(_out_of_range(settings), F.col("exposure"))).alias("most"),
            *(F.count(name).alias("counted") for name in keys),
            *(F.size(F.collect_set(name)).alias("keys") for name in keys),
        )
        .first()
    )
    assert counts is not None
    _refuse(run, settings, counts.asDict())


def check_rows(run: Run, rows: pa.Table, settings: PrepareSettings) -> None:
    """Do what `check_values` does, on rows of `prepared` that the driver holds.

    Raises:
        SplitError, ExposureError: as `checked_policies` raises them.
    """
    exposure = rows["exposure"]
    above, below = pc.greater(exposure, 0), pc.less_equal(exposure, settings.max_exposure)
    bad = rows.filter(pc.invert(pc.fill_null(pc.and_(above, below), False)))["exposure"]
    lost = pc.invert(pc.is_in(rows["split"], pa.array(["train", "valid", "test"])))
    least, most = extremes(bad)
    counts = {"rows": rows.num_rows, "bad": len(bad), "least": least, "most": most}
    if SPLIT_KEY in rows.column_names:
        keys = rows[SPLIT_KEY].drop_null()
        counts |= {"counted": len(keys), "keys": pc.count_distinct(keys).as_py()}
    _refuse(run, settings, {**counts, "lost": pc.sum(lost).as_py()})


def _refuse(run: Run, settings: PrepareSettings, counts: Mapping[str, Any]) -> None:
    """Refuse a batch by the counts of its bad rows; warn of one by those of its split keys."""
    run.rows_in = counts["rows"]
    if counts["lost"]:
        raise SplitError(
            f"policies, batch {run.batch}, prepare.split.sql: expected train, "
            f"valid or test for each row, found {counts['lost']} of {counts['rows']} rows without; "
            "map every value in prepare.split.parts, nothing was written"
        )
    if counts["bad"]:
        raise ExposureError(
            f"policies, batch {run.batch}, exposure '{settings.exposure}': expected above 0 and at "
            f"most {settings.max_exposure:g}, found {counts['bad']} of {counts['rows']} rows "
            f"outside (from {counts['least']} to {counts['most']}, or missing); add min and max to "
            "the column so that clean rejects them, nothing was written"
        )
    if "keys" in counts:
        note_few_keys(run, settings.split, counts["rows"], counts["counted"], counts["keys"])


def _out_of_range(settings: PrepareSettings) -> Column:
    exposure = F.col("exposure")
    above = (exposure > settings.max_exposure) | F.isnan(exposure)
    return exposure.isNull() | (exposure <= 0) | above
