"""`feature_log`: one row a feature of a prepared batch: did the definition change, or the data?"""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

FEATURE_LOG = Table(
    name="feature_log",
    comment="What each prepared batch's features were defined as, and what they held.",
    columns=(
        BATCH_ID,
        Column("feature", "string", "the feature's name in table prepared"),
        Column("type", "string", "numeric, levels or bins"),
        Column("definition", "string", "the definition in force, as JSON text"),
        Column("definition_hash", "string", "SHA-256 of the definition"),
        Column("feature_version", "int", "the version the settings give the feature"),
        Column("tables", "map<string,bigint>", "the tables it was made from, and their versions"),
        Column("status", "string", "ok, unseen levels, all missing, or constant"),
        Column("schema_hash", "string", "SHA-256 over all features of the batch, in order"),
        Column("null_count", "bigint", "rows in which the feature is missing"),
        Column(
            "unseen_count",
            "bigint",
            "rows whose level no champion's frozen features hold; NULL where no champion uses it",
        ),
        Column("row_count", "bigint", "rows of the batch"),
        Column("logged_at", "timestamp", "when"),
        RUN_ID,
    ),
    key=("batch_id", "feature"),
)
