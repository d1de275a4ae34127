"""What predict scores: table `prepared`, or clean policies, features computed on the way."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame

from kyros_spark.errors import FeatureMismatchError
from kyros_spark.runs.micro_batches import parts_of
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import LastRun, Run
from kyros_spark.scoring.udf import ScoringModel
from kyros_spark.stages.prepare.stage import checked_policies, scoring_rows
from kyros_spark.transforms.definitions import definition_hash
from kyros_spark.transforms.features import expression_of, row_wise


@dataclass(frozen=True)
class ScoringInput:
    """A batch as predict reads it; ``fused`` where `prepared` is left out."""

    portfolio: Portfolio
    run: Run
    fused: bool

    @property
    def table(self) -> str:
        """Return the table that is read."""
        return "policies" if self.fused else "prepared"

    def done(self) -> LastRun:
        """Return the run that wrote it.

        Raises:
            BatchMissingError: there is none.
        """
        return self.portfolio.done("clean" if self.fused else "prepare", self.run.batch, "predict")

    def inputs(self) -> dict[str, str]:
        """Return what identifies the rows."""
        done = self.done()
        return {self.table: f"{done.outputs[self.table]} of run {done.run_id}"}

    def settings(self) -> dict[str, object]:
        """Return the settings that the rows depend on, beyond those of the run that wrote them."""
        if not self.fused:
            return {}
        return {"prepare": self.portfolio.config.prepare.defining()}

    def check(self, served: list[ScoringModel]) -> None:
        """Refuse features that are not those which a model was trained on, and rows out of range.

        Raises:
            FeatureMismatchError: names model and feature.
            ExposureError: an exposure is out of range, where no prepare stage saw to it.
        """
        found = self._definitions()
        for one in served:
            for feature in one.model.manifest.features:
                tagged = self.portfolio.config.prepare.features.get(feature.name)
                if tagged is not None and not tagged.may_rate:
                    raise FeatureMismatchError(
                        f"model {one.name}, feature {feature.name}: expected one that may rate, "
                        "found it tagged rating_use: no or available_at_scoring: no; train a model "
                        "without it"
                    )
                defined, told = found.get(feature.name, (None, "no such feature"))
                if defined != feature.definition_hash:
                    raise FeatureMismatchError(
                        f"{self.table}, batch {self.run.batch}, feature {feature.name}: expected "
                        f"the definition that model {one.name} was trained on (hash "
                        f"{feature.definition_hash[:12]}), found {told}; prepare the "
                        "batch with the model's settings, or train the model again"
                    )
        if self.fused:
            checked_policies(self.portfolio, self.run, self.done())

    def rows(self) -> DataFrame:
        """Return the batch whole."""
        version = self.done().outputs[self.table]
        return self._made(self.portfolio.tables.read(self.table, version, [self.run.batch]))

    def slices(self, rows: int) -> list[DataFrame]:
        """Return the batch in slices of about so many rows."""
        done, alone = self.done(), not self.fused or row_wise(self.portfolio.config.prepare)
        held = done.rows_out if not self.fused else done.details["policies"]["rows_out"]
        version, most = done.outputs[self.table], rows if alone else held
        parts = parts_of(self.portfolio, self.run, self.table, version, held, most)
        return [self._made(part) for part in parts]

    def _made(self, rows: DataFrame) -> DataFrame:
        return scoring_rows(rows, self.portfolio.config) if self.fused else rows

    def _definitions(self) -> dict[str, tuple[str, str]]:
        """Return of each feature of the batch the hash of its definition, and the definition."""
        features = self.portfolio.config.prepare.features
        if self.fused:
            return {n: (definition_hash(f), expression_of(n, f)) for n, f in features.items()}
        version = self.done().outputs["feature_log"]
        log = self.portfolio.tables.read("feature_log", version, [self.run.batch])
        return {r["feature"]: (r["definition_hash"], r["definition"]) for r in log.collect()}
