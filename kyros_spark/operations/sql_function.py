"""Register a model as a SQL function, for scoring by hand and for what-if questions."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.errors import PlatformError, UsageError
from kyros_spark.model.manifest import Feature
from kyros_spark.model.predicted_column import PredictedColumn
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.scoring.udf import score_function
from kyros_spark.spark.session import can_broadcast
from kyros_spark.spark_version import has_sql_functions
from kyros_spark.stages.predict.scoring_plan import ScoringPlan, scoring_plan
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.predicted import value_sql


def register_predict(
    spark: SparkSession, config: Config, model: str | None = None, name: str = "kyros_predict"
) -> str:
    """Register a model as a SQL function of this session, and return its signature.

    The function takes the model's features as table `prepared` holds them, by name or in order. It
    returns the prediction per unit, equal to the one that `predict` writes for the same values.

    model: NAME, NAME@VERSION or NAME@champion; default the first that the settings apply.
    name: the function's name in SQL; it exists until the session ends.

    Raises:
        UnknownModelError: the model is not in the registry.
        UsageError: the model has several outputs, or no model is given and the settings have none.
        PlatformError: this Spark has no SQL functions (before 4.0).
    """
    check_has_functions(spark, name, "predict")
    registry = Portfolio(spark, config).registry
    entry = registry.find(model or default_model(config, name))[0]
    plan = scoring_plan(registry, [entry], {})
    output = only_output(plan, entry.name)
    paths = None if can_broadcast(spark) else plan.paths
    score = score_function(spark, plan.models, paths, config.predict.kernel)
    scores_name = f"{name}__scores"  # the struct of all scores, which the function calls
    spark.udf.register(scores_name, score.call)
    value = value_sql(output, f"{quoted(scores_name)}({', '.join(score.arguments)})")
    says = f"what {entry.reference} predicts per {entry.per or 'row'}"
    return create_function(spark, name, plan.features, "DOUBLE", value, says)


def create_function(
    spark: SparkSession, name: str, features: Sequence[Feature], returns: str, sql: str, says: str
) -> str:
    """Create a SQL function of a model's features for this session, and return its signature.

    returns: its type. sql: its value. says: its comment.
    """
    parameters = ", ".join(f"{quoted(f.name)} {_type(f)}" for f in features)
    signature = f"{name}({parameters.replace('`', '')})"
    spark.sql(
        f"CREATE OR REPLACE TEMPORARY FUNCTION {quoted(name)}({parameters}) RETURNS {returns} "
        f"COMMENT {text(f'{signature}: {says}')} RETURN {sql}"
    )
    return signature


def check_has_functions(spark: SparkSession, name: str, stage: str) -> None:
    """Refuse a Spark that has no SQL functions. stage: what may be run instead.

    Raises:
        PlatformError: it is older than 4.0.
    """
    if not has_sql_functions(spark.version):
        raise PlatformError(
            f"{name}: expected Spark 4.0 or later, which has SQL functions, found {spark.version}; "
            f"run kyros {stage} on a prepared batch instead"
        )


def default_model(config: Config, name: str) -> str:
    """Return the first model that the settings apply. name: the function that asks for one.

    Raises:
        UsageError: there is none.
    """
    models = config.predict.models or tuple(config.train.models if config.train else ())
    if not models:
        raise UsageError(f"{name}: expected a model, found none in predict.models; name one")
    return models[0]


def only_output(plan: ScoringPlan, name: str) -> PredictedColumn:
    """Return the output of a model's own name.

    Raises:
        UsageError: the model has several.
    """
    for output in plan.outputs:
        if output.name == name:
            return output
    raise UsageError(
        f"model {name}: expected one output, found {', '.join(o.name for o in plan.outputs)}; a "
        "SQL function is of one price: run kyros predict or kyros explain instead"
    )


def _type(feature: Feature) -> str:
    return "STRING" if feature.kind == "levels" and not feature.cuts else "DOUBLE"
