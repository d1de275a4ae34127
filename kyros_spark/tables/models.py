"""`models`: the registry, one row per trained or imported model version."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

MODELS = Table(
    name="models",
    comment="Every model version: its file, its training data and its metrics.",
    columns=(
        Column("model_name", "string", "the model's name in the settings"),
        Column("model_version", "int", "1, 2, 3 ... per name"),
        Column("status", "string", "candidate, champion or retired"),
        Column("method", "string", "glm, boosting, or imported LIBRARY"),
        Column(
            "family",
            "string",
            "poisson, gamma, tweedie, negative_binomial, gaussian, binomial or multinomial",
        ),
        Column("target", "string", "the target that it predicts"),
        Column("per", "string", "the unit of the prediction, such as exposure or claim_count"),
        Column("path", "string", "path of the model file"),
        Column("sha256", "string", "hash of the model file, checked on every load"),
        Column(
            "feature_spec_hash", "string", "hash of the features' definitions it was trained on"
        ),
        Column("fingerprint", "string", "hash of the inputs, settings and code of its training"),
        Column(
            "metrics",
            "map<string,double>",
            "deviance and D2 by split, rows, balance; totals of a GLM; measured cost of an import",
        ),
        Column("settings", "string", "the model's own settings, as JSON text"),
        Column("trained_at", "timestamp", "when it was trained"),
        BATCH_ID,
        RUN_ID,
        Column("inputs", "map<string,string>", "each prepared batch, or the imported file"),
        Column("git_commit", "string", "commit of the checkout that trained it, if there is one"),
        Column("code_hash", "string", "hash of the package's source that trained it"),
        Column("libraries", "map<string,string>", "versions of the libraries that trained it"),
        Column("quality", "string", "the quality declared before its training, as JSON text"),
        Column("budgets", "string", "the budgets declared before its training, as JSON text"),
        Column("cost", "map<string,double>", "rows_per_second, model_bytes, first_score_seconds"),
        Column("importance", "map<string,double>", "boosted trees: total gain of each feature"),
        Column("promoted_at", "timestamp", "when it last became champion"),
        Column("promoted_by", "string", "who made it champion"),
        Column("promoted_reason", "string", "why it was made champion"),
    ),
    key=("model_name", "model_version"),
    partition_by=(),
    constraints={"known_status": "status IN ('candidate', 'champion', 'retired')"},
)
