"""Read the policies of a batch that are explained: all, or those of a SQL condition."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import ExplainSettings
from kyros_spark.errors import FeatureDefinitionError
from kyros_spark.foreign_errors import first_line, machine_failed
from kyros_spark.runs.run import Run
from kyros_spark.stages.predict.scoring_input import ScoringInput


@dataclass(frozen=True)
class ExplainedBatch:
    """The policies of a prepared batch that meet explain.where."""

    source: ScoringInput
    settings: ExplainSettings

    def held(self, columns: list[str]) -> pa.Table:
        """Return columns of the policies as Arrow."""
        if self.settings.where is None:
            return self.source.held(columns)
        return self.chosen(self.source.rows()).select(*columns).toArrow()

    def rows(self) -> DataFrame:
        """Return the policies."""
        return self.chosen(self.source.rows())

    def slices(self, run: Run) -> list[DataFrame]:
        """Return the policies in slices of the batch of about explain.rows_per_micro_batch rows."""
        return list(map(self.chosen, self.source.slices(run, self.settings.rows_per_micro_batch)))

    def chosen(self, rows: DataFrame) -> DataFrame:
        """Return the rows that meet the condition.

        Raises:
            FeatureDefinitionError: the condition cannot be computed from table prepared.
        """
        condition = self.settings.where
        if condition is None:
            return rows
        try:
            # As a column first: this also refuses aggregates, windows and generators of rows.
            _ = rows.withColumn("_condition", F.expr(condition).cast("boolean")).schema
            return rows.where(F.expr(condition))
        except AnalysisException as error:
            raise FeatureDefinitionError(
                f"explain.where: '{condition}' is no condition on a row of table prepared "
                f"({', '.join(rows.columns)}): {first_line(error)}"
            ) from error
        except Exception as error:  # a parse error is not an AnalysisException on every Spark
            if machine_failed(error):
                raise
            raise FeatureDefinitionError(
                f"explain.where: '{condition}' is not Spark SQL: {error}"
            ) from error
