"""`evaluation_factors`: one row a model, batch, part, factor and level: one-way tables and A/E."""

from kyros_spark.tables.contract import Column, Table
from kyros_spark.tables.evaluation_metrics import EVALUATED, MODEL, RATIO, SUMS

EVALUATION_FACTORS = Table(
    name="evaluation_factors",
    comment="Actual over expected by every factor, used by the model or not.",
    columns=(
        *MODEL,
        Column("factor", "string", "the feature of table prepared"),
        Column("used", "boolean", "is it one of the model's features"),
        Column("level", "string", "the level; a number's group by equal exposure; (missing)"),
        Column("level_order", "int", "the order in which levels are shown, from 1"),
        *SUMS,
        Column("units_share", "double", "of the part's units"),
        Column("observed_mean", "double", "observed / units: the one-way mean"),
        Column("expected_mean", "double", "expected / units"),
        *RATIO,
        *EVALUATED,
    ),
    key=("batch_id", "model_name", "part", "tier", "factor", "level"),
)
