"""`evaluation_two_way`: one row per model, batch, part and combination of two factors' levels."""

from kyros_spark.tables.contract import Column, Table
from kyros_spark.tables.evaluation_metrics import EVALUATED, MODEL, RATIO, SUMS

EVALUATION_TWO_WAY = Table(
    name="evaluation_two_way",
    comment="Actual over expected by the pairs of factors that evaluate.two_way names.",
    columns=(
        *MODEL,
        Column("factor", "string", "the first feature's name in table prepared"),
        Column("level", "string", "its level, a number's group of equal exposure, or (missing)"),
        Column("level_order", "int", "the position in which the level is shown, from 1"),
        Column("other_factor", "string", "the second feature's name"),
        Column("other_level", "string", "its level"),
        Column("other_level_order", "int", "the position of that level, from 1"),
        *SUMS,
        Column("units_share", "double", "units of the combination / units of the part"),
        Column("observed_mean", "double", "observed / units"),
        Column("expected_mean", "double", "expected / units"),
        *RATIO,
        *EVALUATED,
    ),
    key=(
        "batch_id",
        "model_name",
        "part",
        "tier",
        "factor",
        "other_factor",
        "level",
        "other_level",
    ),
)
