"""`evaluation_lift`: one row per point of a calibration, Lorenz, lift or dislocation chart."""

from kyros_spark.tables.contract import Column, Table
from kyros_spark.tables.evaluation_metrics import EVALUATED, MODEL, RATIO, SUMS

EVALUATION_LIFT = Table(
    name="evaluation_lift",
    comment="Charts of one or two models, by groups of equal exposure in order of the prediction.",
    columns=(
        *MODEL,
        Column("chart", "string", "calibration, lorenz, double_lift or dislocation"),
        Column(
            "other_model", "string", "the second model, NAME@VERSION; empty where there is none"
        ),
        Column("segment", "string", "dislocation: the factor, or empty for all rows"),
        Column("level", "string", "dislocation: the factor's level"),
        Column("quantile", "int", "the number of the group in rising order, from 1"),
        Column("least", "double", "smallest prediction of the group, or ratio of two predictions"),
        Column("most", "double", "largest prediction or ratio of the group"),
        *SUMS,
        Column("other_expected", "double", "expected by the second model"),
        Column("observed_mean", "double", "observed / units"),
        Column("expected_mean", "double", "expected / units"),
        *RATIO,
        Column("other_actual_expected", "double", "observed / other_expected: the loss ratio"),
        Column("lift", "double", "observed_mean / observed_mean of all groups"),
        Column("units_share", "double", "share of all units up to here"),
        Column("observed_share", "double", "share of all observed up to here: the Lorenz curve"),
        Column("mean_ratio", "double", "dislocation: exposure-weighted mean of prediction / other"),
        Column("bands", "map<string,double>", "dislocation: share of exposure by price change"),
        *EVALUATED,
    ),
    key=(
        "batch_id",
        "model_name",
        "part",
        "tier",
        "chart",
        "other_model",
        "segment",
        "level",
        "quantile",
    ),
)
