"""`runs`: the ledger, one row a run of a stage on a batch."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

RUNS = Table(
    name="runs",
    comment="Who ran what, when, on which inputs, with which code, and how it ended.",
    columns=(
        RUN_ID,
        Column("stage", "string", "which stage; trial: one of a search in train"),
        BATCH_ID,
        Column("portfolio", "string", "the settings' name"),
        Column("status", "string", "done, skipped or failed"),
        Column("started_at", "timestamp", "when it began"),
        Column("seconds", "double", "wall time"),
        Column("phases", "map<string,double>", "seconds a phase"),
        Column("fingerprint", "string", "hash of inputs, settings and code; equal means skipped"),
        Column("inputs", "map<string,string>", "each input and its version"),
        Column("outputs", "map<string,bigint>", "each table written and its new version"),
        Column("rows_in", "bigint", "rows read"),
        Column("rows_out", "bigint", "rows written"),
        Column("rows_rejected", "bigint", "rows refused"),
        Column("rows_duplicate", "bigint", "exact duplicates removed"),
        Column("details", "string", "what the stage has to tell beyond that, as JSON text"),
        Column("settings_hash", "string", "hash of the stage's own settings"),
        Column("code_version", "string", "version of the package"),
        Column("code_hash", "string", "hash of the package's source"),
        Column("git_commit", "string", "commit of the checkout, where there is one"),
        Column("libraries", "map<string,string>", "versions of what it ran on"),
        Column("user", "string", "who"),
        Column("host", "string", "the driver's host"),
        Column("application", "string", "Spark's application id"),
        Column("driver_peak_mb", "double", "peak resident memory of driver and JVM, MiB"),
        Column(
            "worker_peak_mb", "double", "peak resident memory of the largest Python worker, MiB"
        ),
        Column(
            "resources",
            "map<string,double>",
            "what it took: seconds by kind, bytes, rows a second, use of the cores; docs/resume.md",
        ),
        Column("ordinal", "bigint", "rises from run to run, whatever the clock says"),
        Column("error_type", "string", "the error's class, where it failed"),
        Column("error", "string", "the error's message, where it failed"),
    ),
    key=("run_id", "stage", "batch_id"),
    partition_by=(),
    constraints={"known_status": "status IN ('done', 'skipped', 'failed')"},
)
