"""Explain policies of a batch as they are asked for, without a table and without a run."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame

from kyros_spark.config import ExplainSettings
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
    """Explained policies: what explains them, the model's registered name, and their task."""

    entry: Entry
    ready: Explaining
    task: ExplainTask

    @property
    def links(self) -> set[str]:
        """Return the links of the prices."""
        return {price.link for price in self.ready.prices}

    def rows(self) -> DataFrame:
        """Return the rows that table `explanations` would hold, whenever they are read."""
        return self.task.rows()


def explained_on_demand(
    portfolio: Portfolio, batch: str, model: str, settings: ExplainSettings
) -> OnDemand:
    """Explain a model's prices of the policies of `settings.where`.

    A composite's alternatives, which predict writes beside it, are left out.

    Raises:
        UnknownModelError, BatchMissingError, FeatureMismatchError: as explain raises them.
        FeatureDefinitionError: the condition cannot be computed.
    """
    (entry,) = portfolio.registry.find(model)
    source = ScoringInput(portfolio, batch, fused=False, reader="explain")
    run = Run("explain", batch, new_run_id())
    source.identity()
    plan = scoring_plan(portfolio.registry, [entry], {})
    source.check(run, plan.models)
    ready = explaining(plan, settings, Reference(portfolio, settings))
    own = [
        price
        for price, output in zip(ready.prices, plan.outputs, strict=True)
        if output.name == entry.name or entry.method != "composite"
    ]
    ready = ready.narrowed(own)
    task = ExplainTask(ExplainedBatch(source, settings), ready, tuple(plan.paths), run)
    return OnDemand(entry, ready, task)
