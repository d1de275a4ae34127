"""`evaluation_lift`: one row a point of a chart: calibration, Lorenz, double lift, dislocation."""

from kyros_spark.tables.contract import Column, Table
from kyros_spark.tables.evaluation_metrics import EVALUATED, MODEL, RATIO, SUMS

EVALUATION_LIFT = Table(
    name="evaluation_lift",
    comment="Charts of a model, or of two, by equal-exposure groups in order of the prediction.",
    columns=(
        *MODEL,
        Column("chart", "string", "calibration, lorenz, double_lift or dislocation"),
        Column(
            "other_model", "string", "the second model, NAME@VERSION; empty where there is none"
        ),
        Column("segment", "string", "dislocation: the factor; empty: all rows"),
        Column("level", "string", "dislocation: the factor's level"),
        Column("quantile", "int", "the group in rising order, from 1"),
        Column("least", "double", "smallest prediction of the group, or ratio of the two"),
        Column("most", "double", "largest of it"),
        *SUMS,
        Column("other_expected", "double", "what the second model expects"),
        Column("observed_mean", "double", "observed / units"),
        Column("expected_mean", "double", "expected / units"),
        *RATIO,
        Column("other_actual_expected", "double", "observed / other_expected: the loss ratio"),
        Column("lift", "double", "observed_mean over that of all groups"),
        Column("units_share", "double", "units up to here, of all"),
        Column("observed_share", "double", "observed up to here, of all: the Lorenz curve"),
        Column("mean_ratio", "double", "dislocation: mean of prediction / other, by exposure"),
        Column("bands", "map<string,double>", "dislocation: share of exposure by change of price"),
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
