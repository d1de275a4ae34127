"""Hold the judged rows of a source on the executors; each question is a pass over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame

from kyros_spark.config import SourceSettings
from kyros_spark.spark.session import arrow_transfer
from kyros_spark.transforms import verdicts
from kyros_spark.transforms.duplicates import COPY
from kyros_spark.transforms.profile import sample
from kyros_spark.transforms.rules import Rule

if TYPE_CHECKING:
    import pandas as pd


class JudgedFrame:
    """Judged rows as a DataFrame; it is persisted, since it is read several times."""

    def __init__(self, rows: DataFrame, source: SourceSettings, rules: Sequence[Rule]) -> None:
        """Take the rows as `with_verdicts` returns them."""
        self._rows, self._source, self._rules = rows, source, rules

    def counts(self, profiled: bool) -> list[dict[str, Any]]:
        """Return the rows of `verdict_counts`."""
        counts = verdicts.verdict_counts(self._rows, self._source, self._rules, profiled)
        return [row.asDict() for row in counts.collect()]

    def examples(self) -> dict[int, str | None]:
        """Return a refused value by the number of the first rule that it broke."""
        rows = verdicts.examples(self._rows, self._rules).collect()
        return {row["rule"]: row["found"] for row in rows}

    def sampled(self, rows: int, total: int) -> pd.DataFrame:
        """Return about ``rows`` of the ``total`` accepted rows."""
        with arrow_transfer(self._rows.sparkSession):
            return sample(verdicts.accepted(self._rows), self._source, rows, total).toPandas()

    def accepted(self, names: Sequence[str]) -> DataFrame:
        """Return columns of the accepted rows."""
        return verdicts.accepted(self._rows).select(*names)

    def copies(self) -> DataFrame:
        """Return the source's columns of the copies that were taken out."""
        return self._rows.where(COPY).select(*self._source.columns)

    def clean(self, batch: str, run_id: str) -> DataFrame:
        """Return the accepted rows as their table holds them."""
        return verdicts.clean_rows(self._rows, self._source, batch, run_id)

    def rejected(self, name: str, batch: str, run_id: str) -> DataFrame:
        """Return the refused rows in the columns of `rejects`."""
        return verdicts.rejected_rows(self._rows, self._rules, name, batch, run_id)

    def repaired(self, name: str, batch: str, run_id: str) -> DataFrame:
        """Return the repaired values of accepted rows in the columns of `repairs`."""
        return verdicts.repaired_rows(self._rows, self._source, self._rules, name, batch, run_id)
