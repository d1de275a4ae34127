"""`feature_log`: one row per feature of a prepared batch: its definition and its data."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

FEATURE_LOG = Table(
    name="feature_log",
    comment="The definition and the content of each feature of each prepared batch.",
    columns=(
        BATCH_ID,
        Column("feature", "string", "the feature's name in table prepared"),
        Column("type", "string", "numeric, levels or bins"),
        Column("definition", "string", "the definition used, as JSON text"),
        Column("definition_hash", "string", "SHA-256 of the definition"),
        Column("feature_version", "int", "the feature's version in the settings"),
        Column("tables", "map<string,bigint>", "the tables it was made from, with their versions"),
        Column("status", "string", "ok, unseen levels, all missing, or constant"),
        Column("schema_hash", "string", "SHA-256 of all features of the batch, in order"),
        Column("null_count", "bigint", "rows in which the feature is missing"),
        Column(
            "unseen_count",
            "bigint",
            "rows whose level a champion does not know; NULL if no champion uses the feature",
        ),
        Column("row_count", "bigint", "rows of the batch"),
        Column("logged_at", "timestamp", "when it was logged"),
        RUN_ID,
    ),
    key=("batch_id", "feature"),
)
