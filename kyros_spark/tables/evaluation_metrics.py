"""`evaluation_metrics`: one row per model, batch and part: the overall metrics."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

MODEL = (
    Column("model_name", "string", "the model, as in table predictions"),
    Column("model_version", "string", "its version"),
    Column("part", "string", "train, valid, test or all"),
    Column("tier", "string", "full: every row; fast: a stratified sample, weighted"),
)
SUMS = (
    Column("rows", "double", "rows judged, or the rows that a sample stands for"),
    Column("units", "double", "the model's denominator: policy-years, or claims for a severity"),
    Column("claims", "double", "claims of these rows; NULL if not known"),
    Column("observed", "double", "sum of the target; NULL if not known"),
    Column("expected", "double", "sum of prediction x units"),
)
RATIO = (
    Column("actual_expected", "double", "observed / expected"),
    Column("lower", "double", "lower end of the confidence interval of actual_expected"),
    Column("upper", "double", "upper end of that interval"),
)
EVALUATED = (Column("evaluated_at", "timestamp", "when it was evaluated"), BATCH_ID, RUN_ID)

EVALUATION_METRICS = Table(
    name="evaluation_metrics",
    comment="Metrics of each model on each part of a batch; formulas in docs/evaluate.md.",
    columns=(
        *MODEL,
        Column("family", "string", "the family of the deviance: poisson, binomial ..."),
        Column("target", "string", "the target that the model is judged against"),
        Column("per", "string", "the unit of the prediction, such as exposure"),
        *SUMS,
        *RATIO,
        Column("balance", "double", "expected / observed"),
        Column("deviance_per_row", "double", "sum of deviances / rows"),
        Column("deviance_per_exposure", "double", "sum of deviances / units"),
        Column("null_deviance_per_row", "double", "deviance of the part's own mean rate / rows"),
        Column(
            "null_deviance_per_exposure", "double", "deviance of the part's own mean rate / units"
        ),
        Column("d2", "double", "1 - deviance / null deviance"),
        Column("mae", "double", "mean absolute error of a row's expected value"),
        Column("rmse", "double", "root mean squared error of a row's expected value"),
        Column("gini", "double", "1 - 2 x area under the Lorenz curve; binomial: 2 AUC - 1"),
        Column("psi", "double", "population stability index against the training batch"),
        Column("sampled_rows", "bigint", "rows that were evaluated"),
        Column("sampling_error", "map<string,double>", "standard error per metric; fast tier only"),
        Column("absent", "map<string,string>", "each metric that is NULL, with the reason"),
        *EVALUATED,
        Column("tweedie_power", "double", "the power of a Tweedie deviance, fitted or given"),
        Column("theta", "double", "theta of a negative binomial deviance, fitted or given"),
        Column("left_out", "map<string,double>", "rows of the part that judge nothing, by reason"),
        Column("log_loss", "double", "binomial: mean negative log-likelihood of a trial"),
        Column("brier", "double", "binomial: mean squared error of a trial's probability"),
        Column("auc", "double", "binomial: area under the ROC curve, ties counted half"),
    ),
    key=("batch_id", "model_name", "part", "tier"),
    constraints={"known_part": "part IN ('train', 'valid', 'test', 'all')"},
)
