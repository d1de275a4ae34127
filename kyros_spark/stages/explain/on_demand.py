"""Explain policies of a batch as they are asked for, without a table and without a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.config import ExplainSettings
from kyros_spark.explanation.price import ExplainedRows
from kyros_spark.registry import Entry
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run, new_run_id
from kyros_spark.stages.explain.batch import ExplainedBatch
from kyros_spark.stages.explain.explaining import Explaining, explaining
from kyros_spark.stages.explain.reference import Reference
from kyros_spark.stages.explain.task import ExplainTask
from kyros_spark.stages.predict.scoring_input import ScoringInput
from kyros_spark.stages.predict.scoring_plan import scoring_plan


@dataclass(frozen=True)
class OnDemand:
    """Explained policies: the models as registered, what explains them, and their task."""

    entries: tuple[Entry, ...]
    ready: Explaining
    task: ExplainTask

    @property
    def links(self) -> set[str]:
        """Return the links of the prices."""
        return {price.link for price in self.ready.prices}

    def rows(self, among: DataFrame | None = None) -> DataFrame:
        """Return the rows that table `explanations` would hold, whenever they are read.

        among: the keys of the policies to explain; by default all of the batch.
        """
        return self.task.rows(among)

    def held(self, policies: pa.Table) -> list[tuple[pa.RecordBatch, list[ExplainedRows]]]:
        """Return what each price of policies is made of, explained in this process.

        policies: with the columns of ``task.columns``, few of them.
        """
        explain = self.ready.here().opened()
        return [(batch, explain(batch)) for batch in policies.combine_chunks().to_batches()]


def explained_on_demand(
    portfolio: Portfolio, batch: str, models: Sequence[str], settings: ExplainSettings
) -> OnDemand:
    """Explain models' prices of the policies of `settings.where`.

    A composite's alternatives, which predict writes beside it, are left out.

    Raises:
        UnknownModelError, BatchMissingError, FeatureMismatchError: as explain raises them.
        FeatureDefinitionError: the condition cannot be computed.
    """
    entries = tuple(portfolio.registry.find(*models))
    source = ScoringInput(portfolio, batch, fused=False, reader="explain")
    run = Run("explain", batch, new_run_id())
    source.identity()
    plan = scoring_plan(portfolio.registry, entries, {})
    source.check(run, plan.models)
    ready = explaining(plan, settings, Reference(portfolio, settings))
    composites = {entry.name for entry in entries if entry.method == "composite"}
    beside = [name for price in ready.prices if (name := price.name).partition(".")[0] in composites
              and name not in composites]  # fmt: skip
    ready = ready.narrowed([price for price in ready.prices if price.name not in beside])
    task = ExplainTask(ExplainedBatch(source, settings), ready, tuple(plan.paths), run)
    return OnDemand(entries, ready, task)
