"""`models`: the registry, one row a trained or imported model version."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

MODELS = Table(
    name="models",
    comment="Every model version: where its file lies, what it was trained on, how it fared.",
    columns=(
        Column("model_name", "string", "the name the settings give the model"),
        Column("model_version", "int", "1, 2, 3 ... for each name"),
        Column("status", "string", "candidate, champion or retired"),
        Column("method", "string", "glm, boosting, or imported LIBRARY"),
        Column(
            "family",
            "string",
            "poisson, gamma, tweedie, negative_binomial, gaussian, binomial or multinomial",
        ),
        Column("target", "string", "what it predicts"),
        Column("per", "string", "per unit of what (exposure, claim_count)"),
        Column("path", "string", "the model file"),
        Column("sha256", "string", "hash of the model file; checked on every load"),
        Column(
            "feature_spec_hash", "string", "hash of the features' definitions it was trained on"
        ),
        Column("fingerprint", "string", "hash of inputs, settings and code of its training"),
        Column(
            "metrics",
            "map<string,double>",
            "deviance and D2 by split, rows, balance; a GLM's totals; an import's measured cost",
        ),
        Column("settings", "string", "the model's own settings, as JSON text"),
        Column("trained_at", "timestamp", "when"),
        BATCH_ID,
        RUN_ID,
        Column("inputs", "map<string,string>", "each prepared batch, or the imported file"),
        Column("git_commit", "string", "commit of the checkout it was trained by, if there is one"),
        Column("code_hash", "string", "hash of the package's source it was trained by"),
        Column("libraries", "map<string,string>", "versions of what it was trained on"),
        Column("quality", "string", "the quality declared before its training, as JSON text"),
        Column("budgets", "string", "the budgets declared before its training, as JSON text"),
        Column("cost", "map<string,double>", "rows_per_second, model_bytes, first_score_seconds"),
        Column("importance", "map<string,double>", "total gain of each feature, of boosted trees"),
        Column("promoted_at", "timestamp", "when it became champion, the last time"),
        Column("promoted_by", "string", "who made it champion"),
        Column("promoted_reason", "string", "and why"),
    ),
    key=("model_name", "model_version"),
    partition_by=(),
    constraints={"known_status": "status IN ('candidate', 'champion', 'retired')"},
)
