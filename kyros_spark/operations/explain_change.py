"""Say why prices changed: between two batches, or between two versions of a model."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import Config, ExplainSettings
from kyros_spark.errors import UsageError
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.stages.explain.on_demand import explained_on_demand
from kyros_spark.transforms.explained_change import explained_change


def explain_change(
    spark: SparkSession,
    config: Config,
    model: str,
    before: str,
    after: str,
    model_after: str | None = None,
    where: str | None = None,
) -> DataFrame:
    """Return what changed each policy's price, factor by factor, exactly.

    model: NAME, NAME@VERSION or NAME@champion. before, after: prepared batches; the same one twice,
    to compare two versions on it. model_after: the version that prices the batch after, if it is
    another. where: SQL over table prepared, for the policies of the batch after.

    Everything is computed anew, from the batches and the models: table explanations, which lists
    the largest contributions only, is not read. `transforms.explained_change` says what the columns
    are. Policies that are in one of the batches only are left out. A GLM's reference and a
    background sample are those of explain's settings, on either side.

    Raises:
        UnknownModelError: a model is not in the registry.
        UsageError: the two models have different links.
        BatchMissingError: a batch is not prepared.
        FeatureMismatchError: a batch was prepared with other features than the model's.
        FeatureDefinitionError: the condition cannot be computed.
    """
    portfolio, settings = Portfolio(spark, config), config.explain or ExplainSettings()
    wanted = settings.model_copy(update={"top": "all", "where": None})
    narrowed = wanted.model_copy(update={"where": where})
    old = explained_on_demand(portfolio, before, [model], wanted)
    new = explained_on_demand(portfolio, after, [model_after or model], narrowed)
    (entry_before,), (entry_after,) = old.entries, new.entries
    if old.links != new.links:
        raise UsageError(
            f"explain_change: expected two models of one link, found {entry_before.reference} "
            f"({', '.join(sorted(old.links))}) and {entry_after.reference} "
            f"({', '.join(sorted(new.links))}), whose contributions are on different scales"
        )
    # A class's rows stand under NAME.CLASS, and the two models may have different names.
    suffix = F.substring("model_name", len(entry_before.name) + 1, 1000)
    named = F.concat(F.lit(entry_after.name), suffix)
    keys = new.task.batch.rows().select(*config.sources.policies.key)
    rows_before = old.rows(keys if where is not None else None).withColumn("model_name", named)
    return explained_change(rows_before, new.rows(), config.sources.policies.key)
