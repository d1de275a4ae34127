"""What every stage works with: the session, the settings, the tables and the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from kyros_spark.config import BATCH_PATTERN, Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.errors import BatchMissingError, UsageError
from kyros_spark.runs.ledger import Ledger
from kyros_spark.runs.run import LastRun, Run, new_run_id


@dataclass
class Portfolio:
    """What a stage works with: the session, the settings, the tables, the ledger."""

    spark: SparkSession
    config: Config
    # Not None in a chain, which writes the ledger rows of its skipped steps in one commit, at its
    # end, and keeps the right to write until then: no other driver comes between two steps.
    waiting: list[Run] | None = None
    # Only tell what a run would do: nothing is worked, and nothing recorded.
    only_asking: bool = False
    tables: DeltaTables = field(init=False)
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        """Open the tables and the ledger of the portfolio."""
        self.tables = DeltaTables(self.spark, self.config.tables)
        self.ledger = Ledger(self.tables, self.config.portfolio)

    def step_ended(self) -> None:
        """Give the right to write back, unless a chain goes on with it."""
        if self.waiting is None:
            self.tables.release()

    def done(self, stage: str, batch: str, needed_by: str) -> LastRun:
        """Return the last finished run of an earlier stage.

        Raises:
            BatchMissingError: that stage has not written the batch.
        """
        done = self.ledger.last_done(stage, batch)
        if done is None:
            raise BatchMissingError(
                f"{needed_by} {batch}: expected batch '{batch}' from stage {stage}, found none in "
                f"{self.tables.location('runs')}; run: kyros {stage} --batch {batch}"
            )
        return done


def start(stage: str, batch: str | None, config: Config, run_id: str | None) -> Run:
    """Begin a run; without a batch id, the settings must name exactly one batch.

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
    return Run(stage, batch, run_id or new_run_id())
