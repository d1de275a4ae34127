"""Look up what monitor rests on: the batch, its predictions, its baseline, the batch before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kyros_spark.config import Config
from kyros_spark.delta.partition_rows import small_rows
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun
from kyros_spark.stages.graph import training_batches
from kyros_spark.stages.prepare.defining import has_present_settings
from kyros_spark.transforms.definitions import definition_hash


@dataclass(frozen=True)
class MonitoredBatch:
    """A batch and the runs that monitor reads of it and compares it with.

    prepared   its run of prepare; None where it was predicted without table prepared
    predicted  its run of predict, if that read what is prepared now
    baseline   the batches to compare with, and the run of prepare of each; None where it has none
    previous   the batch before, and the run of monitor on it
    """

    portfolio: Portfolio
    batch: str
    prepared: LastRun | None
    predicted: LastRun | None
    baseline: dict[str, LastRun | None]
    previous: tuple[str, LastRun] | None

    @property
    def is_baseline(self) -> bool:
        """Return whether the batch is one of those that others are compared with."""
        return self.batch in self.baseline

    @property
    def baseline_label(self) -> str:
        """Return the batches to compare with, joined."""
        return "+".join(self.baseline)

    @property
    def no_baseline(self) -> str:
        """Return why there is nothing to compare with; "" where there is."""
        if not self.baseline:
            return "no batch is trained on, and monitor.baseline names none"
        missing = [batch for batch, run in self.baseline.items() if run is None]
        if missing:
            batches = " ".join(f"--batch {batch}" for batch in missing)
            return (
                f"baseline batch {', '.join(missing)} is not prepared; run: kyros run {batches} "
                "--stages clean,prepare"
            )
        return ""

    @property
    def rows(self) -> int:
        """Return the number of the batch's policies."""
        if self.prepared is not None:
            return self.prepared.rows_out
        models = self.predicted.details.get("models", {}) if self.predicted is not None else {}
        return self.predicted.rows_out // max(len(models), 1) if self.predicted is not None else 0

    def identity(self) -> dict[str, str]:
        """Return what identifies all that is read."""
        identity = {}
        if self.prepared is not None:
            identity["prepared"] = written_by(self.prepared, "prepared")
        if self.predicted is not None:
            identity["predictions"] = written_by(self.predicted, "predictions")
        for batch, run in self.baseline.items():
            if run is not None and batch != self.batch:
                identity[f"baseline {batch}"] = written_by(run, "prepared")
                predicted = self.portfolio.ledger.last_run("predict", batch)
                if predicted is not None:
                    identity[f"predictions of {batch}"] = written_by(predicted, "predictions")
        if self.previous is not None:
            identity[f"previous {self.previous[0]}"] = f"run {self.previous[1].run_id}"
        return identity


def monitored_batch(portfolio: Portfolio, batch: str) -> MonitoredBatch:
    """Return a batch and the runs that monitor reads.

    Raises:
        BatchMissingError: the batch is neither prepared nor predicted.
    """
    ledger, config = portfolio.ledger, portfolio.config
    prepared, predicted = ledger.last_run("prepare", batch), ledger.last_run("predict", batch)
    cleaned = ledger.last_run("clean", batch)
    if predicted is not None and not _is_current(predicted, prepared, cleaned):
        predicted = None
    if prepared is None and predicted is None:
        prepared = portfolio.last_run("prepare", batch, "monitor")
    baseline = {b: ledger.last_run("prepare", b) for b in baseline_batches(config)}
    previous = next(_earlier(portfolio, batch), None)
    return MonitoredBatch(portfolio, batch, prepared, predicted, baseline, previous)


def baseline_batches(config: Config) -> tuple[str, ...]:
    """Return the batches that others are compared with."""
    return config.monitor.baseline or training_batches(config)


def definitions(portfolio: Portfolio, batch: str, prepared: LastRun) -> dict[str, str]:
    """Return the hash of each feature's definition in a prepared batch."""
    if has_present_settings(prepared, portfolio.config):  # as the log has them
        features = portfolio.config.prepare.features
        return {name: definition_hash(feature) for name, feature in features.items()}
    version, columns = prepared.outputs["feature_log"], ["feature", "definition_hash"]
    of_batch = {"batch_id": batch}
    rows = small_rows(portfolio.tables, "feature_log", version, columns, of_batch)
    return {row["feature"]: row["definition_hash"] for row in rows}


def written_by(run: LastRun, table: str) -> str:
    """Return what identifies the rows of a table that a run wrote."""
    return f"{run.outputs[table]} of run {run.run_id}"


def _is_current(predicted: LastRun, prepared: LastRun | None, cleaned: LastRun | None) -> bool:
    """Return whether predictions are of what is prepared now, or of what is clean now."""
    if "prepared" in predicted.inputs:
        return prepared is not None and predicted.inputs["prepared"] == written_by(
            prepared, "prepared"
        )
    return cleaned is not None and predicted.inputs.get("policies") == written_by(
        cleaned, "policies"
    )


def _earlier(portfolio: Portfolio, batch: str) -> Iterator[tuple[str, LastRun]]:
    """Yield the monitored batches before this one in the order of the settings, the last first."""
    order = list(portfolio.config.batches)
    before = order[: order.index(batch)] if batch in order else order
    for earlier in reversed(before):
        last_run = portfolio.ledger.last_run("monitor", earlier)
        if last_run is not None:
            yield earlier, last_run
