"""Divide the change of each policy's price by factor, exactly: two explanations of it, subtracted.

On the scale of the link, contributions and bases are subtracted. With a log link each difference
times L = (p1 - p0) / ln(p1 / p0), the logarithmic mean of the two prices without load, is its share
of the change in money: the shares add up to the change, whatever the order of the factors.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

BASE, REST, LOAD = "(base)", "(rest)", "(load)"
ROUNDING = 1e-9  # a rest below it is what rounding left

_OF_FEATURE = """transform(
  array_union(transform({b}, c -> c.feature), transform({a}, c -> c.feature)),
  f -> named_struct('feature', f,
    'value_before', get(filter({b}, c -> c.feature = f), 0).value,
    'value_after', get(filter({a}, c -> c.feature = f), 0).value,
    'contribution', coalesce(get(filter({a}, c -> c.feature = f), 0).contribution, 0D)
                  - coalesce(get(filter({b}, c -> c.feature = f), 0).contribution, 0D)))"""
_WITHOUT_VALUE = (
    "named_struct('feature', '{name}', 'value_before', CAST(NULL AS STRING), "
    "'value_after', CAST(NULL AS STRING), 'contribution', {sql})"
)
_SHORT_OF_LOGARITHM = 1e-4  # below it, the logarithmic mean is a series: its quotient is rounding


def explained_change(before: DataFrame, after: DataFrame, key: Sequence[str]) -> DataFrame:
    """Return one row per policy, price and factor whose part in the price changed.

    before, after: rows of table `explanations`, at most one per policy and model name. Policies
    that are in one of them only are left out.
    Columns: key, model_name, prediction_before, prediction_after, feature (or (base), (rest),
    (load)), value_before, value_after, contribution (the difference on the link's scale), factor
    (exp of it, with a log or logit link) and amount (its share of the change, with a log or
    identity link).
    """
    names = ("contributions", "prediction", "base", "rest", "load", "link")
    sides = [
        side.select(*key, "model_name", *(F.col(name).alias(f"_{name}_{n}") for name in names))
        for n, side in enumerate((before, after))
    ]
    both = sides[0].join(sides[1], [*key, "model_name"], "inner")
    of_features = _OF_FEATURE.format(b="_contributions_0", a="_contributions_1")
    each = F.expr(f"inline(concat({of_features}, array({', '.join(_others())})))")
    rows = both.withColumn("_mean", F.expr(_mean_sql())).select(
        *key,
        "model_name",
        F.col("_prediction_0").alias("prediction_before"),
        F.col("_prediction_1").alias("prediction_after"),
        F.col("_link_1").alias("_link"),
        F.expr("_load_1 - _load_0").alias("_load"),
        "_mean",
        each,
    )
    rows = rows.withColumn("factor", F.expr(_factor_sql())).withColumn(
        "amount", F.expr(_amount_sql())
    )
    changed = (
        f"CASE WHEN feature = '{REST}' THEN abs(contribution) > {ROUNDING} "
        f"WHEN feature = '{LOAD}' THEN amount <> 0 "
        "ELSE contribution <> 0 OR NOT (value_before <=> value_after) END"
    )
    return rows.where(F.expr(changed)).drop("_link", "_load", "_mean")


def _others() -> list[str]:
    differences = {BASE: "_base_1 - _base_0", REST: "_rest_1 - _rest_0", LOAD: "0D"}
    return [_WITHOUT_VALUE.format(name=name, sql=sql) for name, sql in differences.items()]


def _mean_sql() -> str:
    """Return the logarithmic mean of the two prices without load; 1 with an identity link."""
    low, high = "(_prediction_0 - _load_0)", "(_prediction_1 - _load_1)"
    step = f"ln(try_divide({high}, {low}))"
    return (
        "CASE WHEN _link_0 = 'identity' AND _link_1 = 'identity' THEN 1D "
        "WHEN _link_0 <> 'log' OR _link_1 <> 'log' THEN NULL "
        f"WHEN abs({step}) > {_SHORT_OF_LOGARITHM} THEN ({high} - {low}) / {step} "
        f"ELSE sqrt({low} * {high}) END"
    )


def _factor_sql() -> str:
    return f"CASE WHEN _link IN ('log', 'logit') AND feature <> '{LOAD}' THEN exp(contribution) END"


def _amount_sql() -> str:
    return f"CASE WHEN feature = '{LOAD}' THEN _load ELSE contribution * _mean END"
