"""Register a model as a SQL function, for scoring by hand and for what-if questions."""

from __future__ import annotations

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.errors import PlatformError, UsageError
from kyros_spark.model.manifest import Feature
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.scoring.udf import score_function
from kyros_spark.spark.session import can_broadcast
from kyros_spark.spark_version import has_sql_functions
from kyros_spark.stages.predict.scoring_plan import ScoringPlan, scoring_plan
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.predicted import PredictedColumn, value_sql


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
    if not has_sql_functions(spark.version):
        raise PlatformError(
            f"{name}: expected Spark 4.0 or later, which has SQL functions, found {spark.version}; "
            "run kyros predict on a prepared batch instead"
        )
    registry = Portfolio(spark, config).registry
    entry = registry.find(model or _default_model(config))[0]
    plan = scoring_plan(registry, [entry], {})
    output = _only_output(plan, entry.name)
    paths = None if can_broadcast(spark) else plan.paths
    score = score_function(spark, plan.models, paths, config.predict.kernel)
    scores_name = f"{name}__scores"  # the struct of all scores, which the function calls
    spark.udf.register(scores_name, score.call)
    parameters = ", ".join(f"{quoted(f.name)} {_type(f)}" for f in plan.features)
    value = value_sql(output, f"{quoted(scores_name)}({', '.join(score.arguments)})")
    signature = f"{name}({parameters.replace('`', '')})"
    comment = f"{signature}: what {entry.reference} predicts per {entry.per or 'row'}"
    spark.sql(
        f"CREATE OR REPLACE TEMPORARY FUNCTION {quoted(name)}({parameters}) RETURNS DOUBLE "
        f"COMMENT {text(comment)} RETURN {value}"
    )
    return signature


def _default_model(config: Config) -> str:
    models = config.predict.models or tuple(config.train.models if config.train else ())
    if not models:
        raise UsageError("kyros_predict: expected a model, found none in predict.models; name one")
    return models[0]


def _only_output(plan: ScoringPlan, name: str) -> PredictedColumn:
    for output in plan.outputs:
        if output.name == name:
            return output
    raise UsageError(
        f"model {name}: expected one output, found {', '.join(o.name for o in plan.outputs)}; a "
        "SQL function returns one number: run kyros predict instead"
    )


def _type(feature: Feature) -> str:
    return "STRING" if feature.kind == "levels" and not feature.cuts else "DOUBLE"
