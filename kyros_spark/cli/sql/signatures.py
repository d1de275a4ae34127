"""Tell which models a query can call."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.errors import KyrosError
from kyros_spark.registry.versions import champion_of
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.spark_version import has_sql_functions
from kyros_spark.stages.predict.scoring_plan import scoring_plan

_SHOWN = 8


def signatures(spark: SparkSession, config: Config) -> Iterator[str]:
    """Yield how the champions are called in SQL, at most eight; the rest by name.

    None where this Spark has no SQL functions. A model that cannot be read is left out: its own
    error comes when it is called.
    """
    if not has_sql_functions(spark.version):
        return
    registry = Portfolio(spark, config).registry
    entries = registry.entries()
    names = dict.fromkeys(entry.name for entry in entries)
    champions = [c for name in names if (c := champion_of(name, entries)) is not None]
    for entry in champions[:_SHOWN]:
        try:
            features = [f.name for f in scoring_plan(registry, [entry], {}).features]
        except KyrosError:
            continue
        yield f"kyros_predict_{entry.name}({', '.join(features)}), the same for kyros_explain_"
    if further := [entry.name for entry in champions[_SHOWN:]]:
        yield f"kyros_predict_NAME, kyros_explain_NAME, also of {', '.join(further)}"
