"""`segments`: one row per segment of every GLM version that has a fit per segment."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

SEGMENTS = Table(
    name="segments",
    comment="Each segment of each GLM version with segments: what it was fitted on, and the fit.",
    columns=(
        Column("model_name", "string", "the model"),
        Column("model_version", "int", "its version"),
        Column(
            "segment_by", "string", "the features whose levels are the segment, joined by ' / '"
        ),
        Column("segment", "string", "their levels, joined likewise"),
        Column("parent", "string", "the next coarser segment, or (all)"),
        Column(
            "status",
            "string",
            "fitted; level: the parent's relativities at a level of its own; parent: all of the "
            "parent's",
        ),
        Column("reason", "string", "why it was not fitted; NULL if it was"),
        Column("rows", "bigint", "training rows"),
        Column("exposure", "double", "sum of the model's unit: exposure or claims"),
        Column("observed", "double", "sum of the model's target: claims or amount"),
        Column("claims", "double", "claims, as min_claims counts them"),
        Column("expected", "double", "sum of the target that the parent predicts"),
        Column(
            "credibility",
            "double",
            "weight of the segment's own level: 0 takes the parent's, 1 its own",
        ),
        Column("converged", "boolean", "whether its own fit converged; NULL if none was tried"),
        Column("iterations", "int", "steps of its own fit; NULL if none was tried"),
        Column("coefficients", "int", "columns solved for; NULL if not fitted"),
        Column("deviance", "double", "of its own fit; NULL if not fitted"),
        Column("null_deviance", "double", "of its own constant alone; NULL if not fitted"),
        Column("dispersion", "double", "of its own fit; NULL if not fitted"),
        BATCH_ID,
        RUN_ID,
    ),
    key=("model_name", "model_version", "segment_by", "segment"),
    partition_by=(),
    constraints={"known_status": "status IN ('fitted', 'level', 'parent')"},
)
