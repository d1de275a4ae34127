"""explain: one prepared batch and registered models -> `explanations` and their summary."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pyspark.sql import SparkSession

from kyros_spark.config import Config, ExplainSettings
from kyros_spark.registry import Entry
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.portfolio import Portfolio, batch_of
from kyros_spark.runs.run import Run
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.stages.explain.batch import ExplainedBatch
from kyros_spark.stages.explain.chosen import chosen_models
from kyros_spark.stages.explain.explaining import explaining
from kyros_spark.stages.explain.reference import Reference
from kyros_spark.stages.explain.task import ExplainTask
from kyros_spark.stages.predict.scoring_input import ScoringInput
from kyros_spark.stages.predict.scoring_plan import scoring_plan
from kyros_spark.tables.explanation_summary import EXPLANATION_SUMMARY


def explain(
    spark: SparkSession,
    config: Config,
    batch: str | None = None,
    run_id: str | None = None,
    models: Sequence[str] = (),
) -> Run:
    """Say what each policy's price is made of, feature by feature.

    models: NAME, NAME@VERSION or NAME@champion; default explain.models, or those that predict
    applies. A name without version has to be the version that the batch was priced with.

    Raises:
        BatchMissingError: the batch is not prepared, or was priced with another version.
        UnknownModelError: a model is not in the registry.
        FeatureMismatchError: the batch was prepared with other features than a model's.
        ModelNotSupportedError: a price is no sum on one scale, or its tables are over
            explain.max_table_mb.
        ConfigError: means, covers or a sample are to be measured, and no batch is named.
    """
    return execute(explain_work(Portfolio(spark, config), batch, models), run_id)


def explain_work(
    portfolio: Portfolio, batch: str | None, models: Sequence[str] = ()
) -> Work[list[Entry]]:
    """Return what explain would do on a batch."""
    config, label = portfolio.config, batch_of("explain", batch, portfolio.config)
    settings = config.explain or ExplainSettings()
    source = ScoringInput(portfolio, label, fused=False, reader="explain")
    reference = Reference(portfolio, settings)

    def inputs() -> Inputs[list[Entry]]:
        rows = source.identity()
        chosen = chosen_models(portfolio, label, models, settings)
        versions = {f"model {entry.name}": f"{entry.version} {entry.sha256}" for entry in chosen}
        is_measured = settings.reference == "mean" or settings.trees == "background"
        measured = reference.identity() if is_measured else {}
        return Inputs({**rows, **versions, **measured}, chosen)

    # How many rows are explained at a time changes none of them.
    sizes = {"rows_per_micro_batch", "rows_per_arrow_batch", "max_table_mb"}
    own = settings.model_dump(mode="json", exclude=sizes)
    own["products"] = config.predict.model_dump(mode="json")["products"]
    do = partial(_explain, ExplainedBatch(source, settings), reference)
    return Work(portfolio, "explain", label, inputs, own, do, is_ad_hoc=bool(models))


def _explain(batch: ExplainedBatch, reference: Reference, run: Run, chosen: list[Entry]) -> None:
    portfolio, settings = batch.source.portfolio, batch.settings
    with run.phase("load models"):
        plan = scoring_plan(portfolio.registry, chosen, portfolio.config.predict.products)
        batch.source.check(run, plan.models)
        ready = explaining(plan, settings, reference)
    hosts = HostReport(portfolio.spark)
    run.in_python = hosts.spent
    task = ExplainTask(batch, ready, tuple(plan.paths), run, hosts)
    sums = task.write()
    if sums is not None:
        with run.phase("summary"):
            rows = task.summary.rows(sums, run.batch, run.run_id)
            run.outputs[EXPLANATION_SUMMARY.name] = portfolio.tables.replace_rows(
                EXPLANATION_SUMMARY, rows, run.run_id, task.replaced, batch=run.batch
            )
            run.rows_in = run.rows_in or task.summary.policies(sums)
    run.rows_out = sum(written.rows for written in run.outputs.values())
    run.details |= {
        "models": {price.name: price.version for price in ready.prices},
        "top": settings.top,
        "covers_measured": list(ready.measured),
        "hosts": hosts.hosts(),
    }
