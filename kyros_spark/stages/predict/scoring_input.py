"""Read what predict scores: `prepared`, or clean policies with features computed on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.delta.batch_files import batch_rows, read_batch
from kyros_spark.delta.partition_rows import small_rows
from kyros_spark.errors import FeatureMismatchError
from kyros_spark.model.manifest import Feature
from kyros_spark.runs.micro_batches import slices_of
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun, Run
from kyros_spark.scoring.udf import ScoringModel
from kyros_spark.spark.arrow_frames import arrow_of
from kyros_spark.stages.prepare.checks import checked_policies
from kyros_spark.stages.prepare.defining import has_present_settings
from kyros_spark.stages.prepare.feature_log import definition_text
from kyros_spark.transforms.definitions import definition_hash
from kyros_spark.transforms.features import expression_of, row_wise
from kyros_spark.transforms.prepared import scoring_rows


@dataclass(frozen=True)
class ScoringInput:
    """A batch as predict reads it; ``fused`` where `prepared` is left out.

    reader: the stage that reads it.
    """

    portfolio: Portfolio
    batch: str
    fused: bool
    reader: str = "predict"

    @property
    def table(self) -> str:
        """Return the name of the table that is read."""
        return "policies" if self.fused else "prepared"

    @cached_property
    def source_run(self) -> LastRun:
        """Return the run that wrote the table.

        Raises:
            BatchMissingError: there is none.
        """
        return self.portfolio.last_run(
            "clean" if self.fused else "prepare", self.batch, self.reader
        )

    def identity(self) -> dict[str, str]:
        """Return what identifies the rows."""
        source_run = self.source_run
        return {self.table: f"{source_run.outputs[self.table]} of run {source_run.run_id}"}

    def settings(self) -> dict[str, object]:
        """Return the settings that the rows depend on, beyond those of the run that wrote them."""
        if not self.fused:
            return {}
        return {"prepare": self.portfolio.config.prepare.defining()}

    def check(self, run: Run, models: Sequence[ScoringModel]) -> None:
        """Refuse features other than those a model was trained on, and rows out of range.

        Raises:
            FeatureMismatchError: names model and feature.
            ExposureError: an exposure is out of range, where no prepare stage has checked it.
        """
        definitions = self._definitions()
        for model in models:
            for feature in model.model.manifest.features:
                self._check_feature(model.name, feature, definitions)
        if self.fused:
            checked_policies(self.portfolio, run, self.source_run)

    def rows(self) -> DataFrame:
        """Return the batch whole."""
        version = self.source_run.outputs[self.table]
        rows = read_batch(self.portfolio.tables, self.table, version, self.batch)
        return self._with_features(rows)

    def held(self, columns: list[str]) -> pa.Table:
        """Return columns of the batch whole, as Arrow: without Spark, if it is only to be read."""
        version, tables = self.source_run.outputs[self.table], self.portfolio.tables
        if not self.fused:
            rows = batch_rows(tables, self.table, version, self.batch, columns)
            if rows is not None:
                return rows
        return arrow_of(self.rows().select(*columns), self.row_count)

    @property
    def row_count(self) -> int:
        """Return the number of the batch's rows."""
        source_run = self.source_run
        return int(
            source_run.details["policies"]["rows_out"] if self.fused else source_run.rows_out
        )

    def slices(self, run: Run, rows: int) -> list[DataFrame]:
        """Return the batch in slices of about so many rows."""
        source_run, prepare = self.source_run, self.portfolio.config.prepare
        total = self.row_count
        divisible = not self.fused or row_wise(prepare)
        version, most = source_run.outputs[self.table], rows if divisible else total
        if total <= most:
            return [self.rows()]
        slices = slices_of(self.portfolio, run, self.table, version, total, most)
        return [self._with_features(part) for part in slices]

    def _with_features(self, rows: DataFrame) -> DataFrame:
        return scoring_rows(rows, self.portfolio.config) if self.fused else rows

    def _check_feature(
        self, model_name: str, feature: Feature, definitions: dict[str, tuple[str, str]]
    ) -> None:
        declared = self.portfolio.config.prepare.features.get(feature.name)
        if declared is not None and not declared.may_rate:
            raise FeatureMismatchError(
                f"model {model_name}, feature {feature.name}: expected one that may rate, "
                "found it tagged rating_use: no or available_at_scoring: no; train a model "
                "without it"
            )
        hashed, definition = definitions.get(feature.name, (None, "no such feature"))
        if hashed != feature.definition_hash:
            raise FeatureMismatchError(
                f"{self.table}, batch {self.batch}, feature {feature.name}: expected "
                f"the definition that model {model_name} was trained on (hash "
                f"{feature.definition_hash[:12]}), found {definition}; prepare the "
                "batch with the model's settings, or train the model again"
            )

    def _definitions(self) -> dict[str, tuple[str, str]]:
        """Return, per feature of the batch, the hash of its definition and the definition."""
        features = self.portfolio.config.prepare.features
        if self.fused:
            return {n: (definition_hash(f), expression_of(n, f)) for n, f in features.items()}
        if has_present_settings(self.source_run, self.portfolio.config):  # as the log has them
            return {n: (definition_hash(f), definition_text(f)) for n, f in features.items()}
        version = self.source_run.outputs["feature_log"]
        columns, of_batch = ["feature", "definition_hash", "definition"], {"batch_id": self.batch}
        log = small_rows(self.portfolio.tables, "feature_log", version, columns, of_batch)
        return {r["feature"]: (r["definition_hash"], r["definition"]) for r in log}
