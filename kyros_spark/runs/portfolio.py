"""Open what every stage works with: the session, the settings, the tables, ledger and registry."""

from __future__ import annotations

from functools import cached_property

from pyspark.sql import SparkSession

from kyros_spark.config import BATCH_PATTERN, Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.errors import BatchMissingError, UsageError
from kyros_spark.registry import Registry
from kyros_spark.runs.ledger import Ledger
from kyros_spark.runs.run import LastRun


class Portfolio:
    """One portfolio as a stage sees it."""

    def __init__(self, spark: SparkSession, config: Config) -> None:
        """Take the session and the settings; nothing is read yet."""
        self.spark = spark
        self.config = config
        self.tables = DeltaTables(spark, config.tables)
        self.ledger = Ledger(self.tables, config.portfolio)

    @cached_property
    def registry(self) -> Registry:
        """Return the registry of the portfolio's models."""
        return Registry(self.tables, self.config.tables.artefact_folder())

    def last_run(self, stage: str, batch: str, needed_by: str) -> LastRun:
        """Return the last finished run of an earlier stage.

        Raises:
            BatchMissingError: that stage has not written the batch.
        """
        last_run = self.ledger.last_run(stage, batch)
        if last_run is None:
            raise BatchMissingError(
                f"{needed_by} {batch}: expected batch '{batch}' from stage {stage}, found none in "
                f"{self.tables.location('runs')}; run: kyros {stage} --batch {batch}"
            )
        return last_run


def batch_of(stage: str, batch: str | None, config: Config) -> str:
    """Return the batch to work on; without a batch id, the settings must name exactly one.

    Raises:
        UsageError: no batch was given, and there is not exactly one to take.
    """
    if batch is None:
        if len(config.batches) != 1:
            raise UsageError(
                f"{stage}: give --batch ID; the settings name {', '.join(config.batches) or 'none'}"
            )
        batch = config.batches[0]
    if not BATCH_PATTERN.match(batch):
        raise UsageError(
            f"{stage} --batch {batch!r}: expected letters, digits, '.', '_', '-' (64 at most), "
            "starting with a letter or a digit"
        )
    return batch
