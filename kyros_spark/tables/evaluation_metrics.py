"""`evaluation_metrics`: one row a model, batch and part: how it fares as a whole."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

MODEL = (
    Column("model_name", "string", "the model, as in table predictions"),
    Column("model_version", "string", "its version"),
    Column("part", "string", "train, valid, test or all"),
    Column("tier", "string", "full: every row; fast: a stratified sample, weighted"),
)
SUMS = (
    Column("rows", "double", "rows judged; of a sample, rows they stand for"),
    Column("units", "double", "what the model is per: policy-years, of a severity claims"),
    Column("claims", "double", "claims of these rows; NULL where not known"),
    Column("observed", "double", "sum of the target; NULL where not known"),
    Column("expected", "double", "sum of prediction times units"),
)
RATIO = (
    Column("actual_expected", "double", "observed / expected"),
    Column("lower", "double", "lower end of the interval of actual_expected"),
    Column("upper", "double", "upper end of it"),
)
EVALUATED = (Column("evaluated_at", "timestamp", "when"), BATCH_ID, RUN_ID)

EVALUATION_METRICS = Table(
    name="evaluation_metrics",
    comment="How each model fares on each part of a batch; formulas in docs/evaluate.md.",
    columns=(
        *MODEL,
        Column("family", "string", "whose deviance it is: poisson, gamma or tweedie"),
        Column("target", "string", "what it is judged against"),
        Column("per", "string", "per unit of what"),
        *SUMS,
        *RATIO,
        Column("balance", "double", "expected / observed"),
        Column("deviance_per_row", "double", "sum of deviances / rows"),
        Column("deviance_per_exposure", "double", "sum of deviances / units"),
        Column("null_deviance_per_row", "double", "that of the part's own mean rate everywhere"),
        Column("null_deviance_per_exposure", "double", "the same / units"),
        Column("d2", "double", "1 - deviance / null deviance"),
        Column("mae", "double", "mean absolute error of the expected value of a row"),
        Column("rmse", "double", "root mean squared error of it"),
        Column("gini", "double", "1 - 2 x area under the Lorenz curve, by units"),
        Column("psi", "double", "population stability index against the training batch"),
        Column("sampled_rows", "bigint", "rows that were looked at"),
        Column("sampling_error", "map<string,double>", "standard error a metric; fast tier only"),
        Column("absent", "map<string,string>", "each metric that is NULL, and why"),
        *EVALUATED,
    ),
    key=("batch_id", "model_name", "part", "tier"),
    constraints={"known_part": "part IN ('train', 'valid', 'test', 'all')"},
)
