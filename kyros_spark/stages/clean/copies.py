"""Say what exact copies were: how many, and the exposure and amounts that went with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from kyros_spark.config import Config
from kyros_spark.errors import TooManyDuplicatesError
from kyros_spark.foreign_errors import machine_failed
from kyros_spark.log import event
from kyros_spark.runs.run import Run
from kyros_spark.stages.clean.judge import JudgedSource
from kyros_spark.tables.ddl import quoted

_KEPT = "copy:(record)"  # as `column_rules` names the rule by which kept copies are counted


def check_copies(run: Run, name: str, judged: JudgedSource, config: Config) -> None:
    """Warn of many exact copies, and refuse the batch if they are more than the settings allow.

    What went with the copies is in ``details.SOURCE.duplicates_took``.

    Raises:
        TooManyDuplicatesError: more than ``clean.max_duplicate_share`` of the rows are copies.
    """
    details, settings = run.details[name], config.clean
    rows, copies = details["rows_in"], details["duplicates"]
    kept = details.get("warned", {}).get(_KEPT, 0)
    if kept > settings.duplicate_warning_share * rows:
        event(
            f"{name}, batch {run.batch}: {kept} of {rows} rows ({kept / rows:.2%}) equal an "
            f"earlier row and are kept, since rows are identified by their number; if they are the "
            f"same record again: sources.{name}.duplicates: remove",
            level=30,
        )
    if copies <= settings.duplicate_warning_share * rows:
        return
    took = sums_of_copies(judged.rows.copies(), _amounts(name, config))
    details["duplicates_took"] = took
    with_them = ", ".join(f"{title} {value:,.2f}" for title, value in took.items())
    with_sums = f"{copies} of {rows} ({copies / rows:.2%})" + (f" with {with_them}" if took else "")
    if copies > settings.max_duplicate_share * rows:
        raise TooManyDuplicatesError(
            f"{name}, batch {run.batch}: expected at most {settings.max_duplicate_share:.2%} of "
            f"rows to be exact copies of others, found {with_sums}; if equal rows are different "
            f"records: sources.{name}.duplicates: keep, with a key that tells them apart, or no "
            "key, so that rows are numbered; if they are copies, raise clean.max_duplicate_share; "
            "nothing was written"
        )
    event(f"{name}, batch {run.batch}: exact copies were taken out: {with_sums}", level=30)


def _amounts(name: str, config: Config) -> dict[str, str]:
    """Return what may go with a copy, as SQL over the source's columns."""
    prepare = config.prepare
    if name == "policies":
        return {"exposure": prepare.exposure, **prepare.targets}
    if prepare.claims is None:
        return {}
    counts, which = prepare.claims, f"CASE WHEN {prepare.claims.where} THEN"
    return {
        "claim_count": f"{which} {counts.count} END",
        "claim_amount": f"{which} {counts.amount} END",
    }


def sums_of_copies(copies: DataFrame, amounts: Mapping[str, str]) -> dict[str, float]:
    """Return the sums over rows, exact to a millionth; without those that cannot be computed.

    That an expression of prepare fails is for prepare to say.
    """
    sums = {
        title: f"sum(try_cast(({sql}) AS DECIMAL(24, 6))) AS {quoted(title)}"
        for title, sql in amounts.items()
    }
    together = _row(copies, list(sums.values()))
    if together is None:
        rows = {title: _row(copies, [sql]) for title, sql in sums.items()}
        together = {t: row[t] for t, row in rows.items() if row is not None}
    return {title: float(value) for title, value in together.items() if value is not None}


def _row(copies: DataFrame, sums: list[str]) -> dict[str, Any] | None:
    try:
        row = copies.selectExpr(*sums).first() if sums else None
    except Exception as error:  # a parse error is not an AnalysisException on every Spark
        if machine_failed(error) or not isinstance(error, PySparkException):
            raise
        return None
    return row.asDict() if row is not None else {}
