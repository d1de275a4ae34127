"""Measure, on a prepared batch, what contributions are compared with: means, a sample, covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from kyros_spark.aggregates.rows import BATCH_ROWS, DriverRows, ExecutorRows, RowSource, collected
from kyros_spark.config import ExplainSettings
from kyros_spark.delta.batch_files import batch_rows, read_batch
from kyros_spark.errors import ConfigError
from kyros_spark.explanation.explaining_pass import ExplainingModel, ExplainingPass
from kyros_spark.explanation.price import Price, PricePart
from kyros_spark.fitting.sample import DRAW, with_draw
from kyros_spark.model.manifest import Feature
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun
from kyros_spark.scoring.arrow_features import encoded
from kyros_spark.scoring.scoring_pass import ScoringModel, inputs_of
from kyros_spark.stages.explain.levels import levels_by_feature
from kyros_spark.stages.explain.summary import SummaryPlan, mean_terms

_COVER_ROWS = 1_000_000  # of a batch that covers are measured on; more change no price visibly


class Reference:
    """The batch that stands for the portfolio: the settings', or the first that is trained on."""

    def __init__(self, portfolio: Portfolio, settings: ExplainSettings) -> None:
        """Take the portfolio; nothing is read yet."""
        self._portfolio, self._settings = portfolio, settings

    @property
    def batch(self) -> str | None:
        """Return the batch; None if the settings name none and train nothing."""
        train = self._portfolio.config.train
        return self._settings.reference_batch or (train.batches[0] if train is not None else None)

    def identity(self) -> dict[str, str]:
        """Return what identifies its rows, nothing where they are not prepared."""
        last_run = self._portfolio.ledger.last_run("prepare", self.batch) if self.batch else None
        if last_run is None:
            return {}
        return {f"reference {self.batch}": f"{last_run.outputs['prepared']} of {last_run.run_id}"}

    def means(self, model: ExplainingModel, features: Sequence[Feature]) -> np.ndarray:
        """Return the mean of each feature's term of a GLM, float64[features], by exposure.

        model: measured from the base level.
        """
        names = tuple(feature.name for feature in features)
        all_features = tuple(range(len(names)))
        price = Price("mean", "", "log", names, (PricePart(0, 0, all_features, all_features),))
        explaining = ExplainingPass((model,), tuple((f, True) for f in features), (price,))
        plan = SummaryPlan((price,), levels_by_feature(features, {}), ())
        columns = ["exposure", *names]
        rows = self._rows(columns)
        return mean_terms(rows.aggregate(columns, lambda: plan.state(explaining.opened())), names)

    def background(self, model: ScoringModel) -> tuple[np.ndarray, ...]:
        """Return the encoded columns of a sample of policies, by a hash of the key."""
        return next(self._encoded(model, self._sample(self._settings.background_rows)))

    def cover_batches(self, model: ScoringModel) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the encoded columns of the batch's policies, at most a million."""
        return self._encoded(model, self._sample(_COVER_ROWS), BATCH_ROWS)

    @cached_property
    def _prepared(self) -> LastRun:
        if self.batch is None:
            raise ConfigError(
                "explain.reference_batch: expected a prepared batch to measure means, covers or a "
                "background sample on, found none, and no section train to take its batch from"
            )
        return self._portfolio.last_run("prepare", self.batch, "explain")

    def _rows(self, columns: list[str]) -> RowSource:
        """Return columns of the batch, in this process where few and readable without Spark."""
        tables, prepared = self._portfolio.tables, self._prepared
        version, batch = prepared.outputs["prepared"], str(self.batch)
        if prepared.rows_out <= self._portfolio.config.spark.local_rows:
            held = batch_rows(tables, "prepared", version, batch, columns)
            if held is not None:
                return DriverRows(held)
        return ExecutorRows(read_batch(tables, "prepared", version, batch))

    def _sample(self, most: int) -> pa.Table:
        """Return at most so many rows, drawn by a hash of the key: the same on every cluster."""
        key = self._portfolio.config.sources.policies.key
        version = self._prepared.outputs["prepared"]
        rows = read_batch(self._portfolio.tables, "prepared", version, str(self.batch))
        if self._prepared.rows_out > most:
            share = 1.2 * most / self._prepared.rows_out  # nearly surely enough, and few to sort
            rows = with_draw(rows, key).where(F.col(DRAW) <= F.lit(share))
            rows = rows.orderBy(DRAW, *key).limit(most)
        return collected(rows).table

    def _encoded(
        self, model: ScoringModel, rows: pa.Table, size: int | None = None
    ) -> Iterator[tuple[np.ndarray, ...]]:
        inputs, (reads,) = inputs_of([model])
        for batch in rows.combine_chunks().to_batches(max_chunksize=size or rows.num_rows or 1):
            columns = [encoded(f, batch.column(f.name), impute) for f, impute in inputs]
            yield tuple(columns[n] for n in reads)
