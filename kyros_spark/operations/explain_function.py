"""Register a model's explanation as a SQL function, beside that of its prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import Config, ExplainSettings
from kyros_spark.explanation.explaining_pass import ExplainingPass
from kyros_spark.explanation.ranking import listed
from kyros_spark.operations.sql_function import (
    check_has_functions,
    create_function,
    default_model,
    only_output,
)
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.scoring.udf import sent
from kyros_spark.stages.explain.explaining import explaining
from kyros_spark.stages.explain.reference import Reference
from kyros_spark.stages.predict.scoring_plan import scoring_plan
from kyros_spark.tables.ddl import quoted
from kyros_spark.tables.explanations import CONTRIBUTIONS
from kyros_spark.transforms.encode import encoded_sql

Batch = tuple[pd.Series, ...]
_RETURNS = f"prediction:double,base:double,contributions:{CONTRIBUTIONS},rest:double,load:double"


def register_explain(
    spark: SparkSession, config: Config, model: str | None = None, name: str = "kyros_explain"
) -> str:
    """Register a model's explanation as a SQL function of this session; return its signature.

    The function takes the model's features as table `prepared` holds them, by name or in order. It
    returns a struct of prediction, base, contributions, rest and load, as table `explanations`
    has them with the settings of explain.

    model: NAME, NAME@VERSION or NAME@champion; default the first that the settings apply.
    name: the function's name in SQL; it exists until the session ends.

    Raises:
        UnknownModelError: the model is not in the registry.
        UsageError: the model has several outputs, or no model is given and the settings have none.
        ModelNotSupportedError: the price is no sum on one scale.
        PlatformError: this Spark has no SQL functions (before 4.0).
    """
    check_has_functions(spark, name, "explain")
    portfolio, settings = Portfolio(spark, config), config.explain or ExplainSettings()
    entry = portfolio.registry.find(model or default_model(config, name))[0]
    plan = scoring_plan(portfolio.registry, [entry], {})
    output = only_output(plan, entry.name)
    ready = explaining(plan, settings, Reference(portfolio, settings))
    ready = ready.narrowed([price for price in ready.prices if price.name == output.name])
    explained = ready.sent(lambda _, data: sent(spark, data))
    top = None if settings.top == "all" else int(settings.top)
    call = F.pandas_udf(_function(explained, top), _RETURNS)  # type: ignore[call-overload]
    inner = f"{name}__explained"  # the UDF, which the function calls
    spark.udf.register(inner, call)
    arguments = [encoded_sql(*wanted) for wanted in explained.inputs]
    arguments += [quoted(feature) for feature in ready.prices[0].features]
    value = f"{quoted(inner)}({', '.join(arguments)})"
    says = f"what the price of {entry.reference} per {entry.per or 'row'} is made of"
    return create_function(spark, name, plan.features, f"STRUCT<{_RETURNS}>", value, says)


def _function(
    explaining_pass: ExplainingPass, top: int | None
) -> Callable[[Iterator[Batch]], Iterator[pd.DataFrame]]:
    """Return the UDF. It takes the encoded inputs, then the price's features as they are."""
    count, load = len(explaining_pass.inputs), explaining_pass.prices[0].shown_load

    def explained(batches: Iterator[Batch]) -> Iterator[pd.DataFrame]:
        explain = explaining_pass.opened_encoded()
        for batch in batches:
            (rows,) = explain([series.to_numpy() for series in batch[:count]])
            features = [pa.Array.from_pandas(series) for series in batch[count:]]
            contributions, rest = listed(rows, features, top)
            yield pd.DataFrame(
                {
                    "prediction": rows.prediction,
                    "base": np.full(rest.size, rows.base),
                    "contributions": contributions.to_pylist(),
                    "rest": rest,
                    "load": np.full(rest.size, load),
                }
            )

    return explained
