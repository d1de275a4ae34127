"""Bring a batch's policies and predictions together: in this process if they fit, else in Spark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame

from kyros_spark.aggregates.rows import collected
from kyros_spark.config import EvaluateSettings
from kyros_spark.errors import ConfigError
from kyros_spark.evaluation.judged_rows import ExecutorJudgedRows, JudgedRows, LocalJudgedRows
from kyros_spark.evaluation.local_join import LocalJoin
from kyros_spark.evaluation.rows import with_predictions
from kyros_spark.evaluation.sample import (
    local_stratified,
    local_whole,
    stratified,
    whole,
    with_hashes,
)
from kyros_spark.evaluation.stability import (
    local_reference_bins,
    reference_bins,
    reference_values,
)
from kyros_spark.evaluation.subjects import WITH_EXCESS, EvaluatedModel
from kyros_spark.runs.batch_rows import BatchRows
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.spark.persisted import persisted
from kyros_spark.stages.evaluate.prediction_rows import (
    PredictionSource,
    collected_rows,
    reference_of,
    source_of,
)
from kyros_spark.stages.evaluate.stored_predictions import Selection
from kyros_spark.tables.ddl import quoted
from kyros_spark.tables.prepared import targets

NO_REFERENCE = "table predictions does not hold its training batch"
OTHER_REFERENCE = "table predictions holds its training batch by another version"


@dataclass(frozen=True)
class JudgedInput:
    """A batch's joined rows, and the bins of each model's training batch.

    no_bins: why a model has none, by the model's number.
    """

    rows: JudgedRows
    bins: list[dict[str, Any]]
    no_bins: Mapping[int, str]


class BatchReader:
    """Reads the rows that a batch is judged by."""

    def __init__(
        self,
        portfolio: Portfolio,
        settings: EvaluateSettings,
        selection: Selection,
        batch: str,
        factors: Sequence[str],
    ) -> None:
        """Take what is judged, and the factors to judge by.

        Raises:
            ConfigError: a model is judged by a target that table prepared does not have.
        """
        self._portfolio, self._settings, self._selection = portfolio, settings, selection
        self._batch, self._factors = batch, factors
        self._key = portfolio.config.sources.policies.key
        self._count = selection.stored.prepared.rows_out
        self._targets = [target.name for target in targets(portfolio.config.prepare)]
        self._check_targets()
        references = {m.number: reference_of(portfolio, m) for m in selection.models}
        self._references = {n: source for n, source in references.items() if source is not None}

    def _check_targets(self) -> None:
        known = {"exposure", *self._targets}
        known |= {WITH_EXCESS} if "claim_excess" in known else set()
        for model in self._selection.stored.models:
            judged = model.settings
            if judged is not None and not {judged.target, judged.per} <= known:
                raise ConfigError(
                    f"model {model.reference}: expected a target and a unit of table prepared "
                    f"({', '.join(sorted(known))}), found {judged.target} per {judged.per}; "
                    f"declare it in prepare.targets, or another one in evaluate.judged.{model.name}"
                )

    @contextmanager
    def judged(self) -> Iterator[JudgedInput]:
        """Yield the joined rows and bins; nothing of them is kept after the block."""
        if self._is_local(self._count):
            yield self._local()
            return
        with persisted(self._joined()) as wide:
            bins = self._bins(list(self._references))
            yield self._input(ExecutorJudgedRows(wide, self._count), bins)

    def _is_local(self, count: int) -> bool:
        return 0 < count <= self._portfolio.config.spark.local_rows

    def _input(self, rows: JudgedRows, bins: list[dict[str, Any]]) -> JudgedInput:
        missing = {m.number: NO_REFERENCE for m in self._selection.models}
        with_bins = {row["subject"] for row in bins}
        for number in self._references:
            missing[number] = "" if number in with_bins else OTHER_REFERENCE
        return JudgedInput(rows, bins, missing)

    def _local(self) -> JudgedInput:
        """Return rows of this process: Spark is asked for the policies and for the predictions."""
        if self._settings.tier == "fast":
            drawn = collected(with_hashes(self._prepared(), self._key), self._count).table
            prepared = local_stratified(drawn, self._targets, self._settings.sample_rows)
        else:
            of_batch = {self._batch: self._selection.stored.prepared}
            files = BatchRows(self._portfolio, "prepared", of_batch, self._count)
            prepared = local_whole(files.held(self._columns(), self._key))
        join, bins, is_judged = LocalJoin(prepared, self._key), [], self._own_sources()
        references = {n: s for n, s in self._references.items() if self._holds_reference(s)}
        sources = [*is_judged, *references.values()]
        tables, most = self._portfolio.tables, self._portfolio.config.spark.local_rows
        for source, predictions in collected_rows(tables, sources, self._key, self._count, most):
            if source in is_judged:
                join.add(is_judged[source], predictions)
            for number, reference in references.items():
                if reference == source:
                    model = self._model(number)
                    bins += local_reference_bins(model, predictions, self._settings.quantiles)
        bins += self._bins([n for n in self._references if n not in references])
        return self._input(LocalJudgedRows(join.rows()), bins)

    def _own_sources(self) -> dict[PredictionSource, EvaluatedModel]:
        return {source_of(m, self._batch): m for m in self._selection.stored.models}

    def _model(self, number: int) -> EvaluatedModel:
        return next(m for m in self._selection.models if m.number == number)

    def _holds_reference(self, source: PredictionSource) -> bool:
        """Return whether the rows of a training batch fit in this process."""
        prepared = self._portfolio.ledger.last_run("prepare", source.batch)
        return prepared is not None and self._is_local(prepared.rows_out)

    def _prepared(self) -> DataFrame:
        version = self._selection.stored.prepared.outputs["prepared"]
        prepared = self._portfolio.tables.read("prepared", version, [self._batch])
        return prepared.select(*map(quoted, self._columns()))

    def _columns(self) -> list[str]:
        return [*self._key, "exposure", "split", *self._targets, *self._factors]

    def _joined(self) -> DataFrame:
        """Return the joined rows as a DataFrame."""
        rows, settings, key = self._prepared(), self._settings, self._key
        fast = settings.tier == "fast"
        rows = stratified(rows, key, self._targets, settings.sample_rows) if fast else whole(rows)
        own = self._own_sources()
        predictions = [(m, source.rows(self._portfolio.tables)) for source, m in own.items()]
        return with_predictions(rows, predictions, key)

    def _bins(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return the bins of models' training batches, computed on the executors."""
        tables = self._portfolio.tables
        rows = [(self._model(n), self._references[n].rows(tables)) for n in numbers]
        if not rows:
            return []
        with persisted(reference_values(rows, self._count)) as values:
            return reference_bins(values, self._settings.quantiles)
