"""`evaluation_factors`: one row per model, batch, part, factor and level: one-way tables, A/E."""

from kyros_spark.tables.contract import Column, Table
from kyros_spark.tables.evaluation_metrics import EVALUATED, MODEL, RATIO, SUMS

EVALUATION_FACTORS = Table(
    name="evaluation_factors",
    comment="Actual over expected for every factor, whether the model uses it or not.",
    columns=(
        *MODEL,
        Column("factor", "string", "the feature's name in table prepared"),
        Column("used", "boolean", "whether the factor is one of the model's features"),
        Column("level", "string", "the level, a number's group of equal exposure, or (missing)"),
        Column("level_order", "int", "the position in which the level is shown, from 1"),
        *SUMS,
        Column("units_share", "double", "units of the level / units of the part"),
        Column("observed_mean", "double", "observed / units: the one-way mean"),
        Column("expected_mean", "double", "expected / units"),
        *RATIO,
        *EVALUATED,
    ),
    key=("batch_id", "model_name", "part", "tier", "factor", "level"),
)
