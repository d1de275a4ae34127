"""Register a model as a SQL function, for scoring by hand: what would this policy be priced at?"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.errors import PlatformError, UsageError
from kyros_spark.model.manifest import Feature
from kyros_spark.registry import Registry
from kyros_spark.scoring.udf import score_function
from kyros_spark.spark.session import can_broadcast
from kyros_spark.spark_version import has_sql_functions
from kyros_spark.stages.predict.scoring_plan import ScoringPlan, service
from kyros_spark.tables.ddl import quoted, text
from kyros_spark.transforms.predicted import PredictedColumn, value_sql


def register_predict(
    spark: SparkSession, config: Config, model: str | None = None, name: str = "kyros_predict"
) -> str:
    """Register a model as a SQL function of this session, and return its signature.

    The function takes the model's features as table `prepared` holds them, by name or in order, and
    returns the prediction per unit: what `predict` writes for the same values.

    model: NAME, NAME@VERSION or NAME@champion; default the first that the settings apply.
    name: what SQL calls it; it is gone when the session ends.

    Raises:
        UnknownModelError: the model is not in the registry.
        UsageError: the model has several outputs, or there is none to take.
        PlatformError: this Spark has no SQL functions (before 4.0).
    """
    if not has_sql_functions(spark.version):
        raise PlatformError(
            f"{name}: expected Spark 4.0 or later, which has SQL functions, found {spark.version}; "
            "run kyros predict on a prepared batch instead"
        )
    reference = model or _first_of(config)
    registry = Registry(DeltaTables(spark, config.tables), config.tables.artefact_folder())
    entry = registry.find(reference)[0]
    found = service(registry, [entry], {})
    output = _only_output(found, entry.name)
    paths = None if can_broadcast(spark) else found.paths
    score = score_function(spark, found.served, paths, config.predict.kernel)
    inner = f"{name}__scores"
    spark.udf.register(inner, score.call)
    takes = ", ".join(f"{quoted(f.name)} {_type(f)}" for f in _features(found))
    value = value_sql(output, f"{quoted(inner)}({', '.join(score.arguments)})")
    signature = f"{name}({takes.replace('`', '')})"
    about = f"{signature}: what {entry.reference} predicts per {entry.per or 'row'}"
    spark.sql(
        f"CREATE OR REPLACE TEMPORARY FUNCTION {quoted(name)}({takes}) RETURNS DOUBLE "
        f"COMMENT {text(about)} RETURN {value}"
    )
    return signature


def _first_of(config: Config) -> str:
    known = config.predict.models or tuple(config.train.models if config.train else ())
    if not known:
        raise UsageError("kyros_predict: expected a model, found none in predict.models; name one")
    return known[0]


def _only_output(found: ScoringPlan, name: str) -> PredictedColumn:
    for output in found.outputs:
        if output.name == name:
            return output
    raise UsageError(
        f"model {name}: expected one output, found {', '.join(o.name for o in found.outputs)}; a "
        "SQL function returns one number: run kyros predict instead"
    )


def _features(found: ScoringPlan) -> Sequence[Feature]:
    return list({f.name: f for one in found.served for f in one.model.manifest.features}.values())


def _type(feature: Feature) -> str:
    return "STRING" if feature.kind == "levels" and not feature.cuts else "DOUBLE"
