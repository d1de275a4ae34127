"""`runs`: the ledger, one row per run of a stage on a batch."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

RUNS = Table(
    name="runs",
    comment="Who ran what, when, on which inputs, with which code, and how it ended.",
    columns=(
        RUN_ID,
        Column("stage", "string", "the stage; trial for one trial of a search in train"),
        BATCH_ID,
        Column("portfolio", "string", "the portfolio's name in the settings"),
        Column("status", "string", "done, skipped or failed"),
        Column("started_at", "timestamp", "when it began"),
        Column("seconds", "double", "wall time"),
        Column("phases", "map<string,double>", "seconds per phase"),
        Column(
            "fingerprint", "string", "hash of inputs, settings and code; an equal one is skipped"
        ),
        Column("inputs", "map<string,string>", "each input and its version"),
        Column("outputs", "map<string,bigint>", "each table written and its new version"),
        Column("rows_in", "bigint", "rows read"),
        Column("rows_out", "bigint", "rows written"),
        Column("rows_rejected", "bigint", "rows refused"),
        Column("rows_duplicate", "bigint", "exact duplicates removed"),
        Column("details", "string", "further results of the stage, as JSON text"),
        Column("settings_hash", "string", "hash of the stage's own settings"),
        Column("code_version", "string", "version of the package"),
        Column("code_hash", "string", "hash of the package's source"),
        Column("git_commit", "string", "commit of the checkout, if there is one"),
        Column("libraries", "map<string,string>", "versions of the libraries it ran on"),
        Column("user", "string", "who ran it"),
        Column("host", "string", "the host of the driver"),
        Column("application", "string", "the application id of Spark"),
        Column("driver_peak_mb", "double", "peak resident memory of driver and JVM, in MiB"),
        Column(
            "worker_peak_mb", "double", "peak resident memory of the largest Python worker, in MiB"
        ),
        Column(
            "resources",
            "map<string,double>",
            "cost: seconds by kind, bytes, rows per second, use of the cores; see docs/resume.md",
        ),
        Column("ordinal", "bigint", "rises from run to run, independently of the clock"),
        Column("error_type", "string", "the error's class, if it failed"),
        Column("error", "string", "the error's message, if it failed"),
    ),
    key=("run_id", "stage", "batch_id"),
    partition_by=(),
    constraints={"known_status": "status IN ('done', 'skipped', 'failed')"},
)
