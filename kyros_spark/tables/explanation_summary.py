"""`explanation_summary`: mean contributions per model and feature, by level and by segment."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

EXPLANATION_SUMMARY = Table(
    name="explanation_summary",
    comment="Mean contributions over the explained policies of a batch, weighted by exposure.",
    columns=(
        Column("model_name", "string", "the model, as in table predictions"),
        Column("model_version", "string", "its version, as in table predictions"),
        Column("link", "string", "the scale of the contributions: log, identity ..."),
        Column("segment", "string", "the feature that divides the policies; NULL for all policies"),
        Column("segment_level", "string", "the policies' level of it; NULL for all policies"),
        Column("feature", "string", "the feature that contributes"),
        Column("level", "string", "its level, (missing), (unseen) or a number's range; NULL: all"),
        Column("level_order", "int", "the position in which the level is shown, from 1"),
        Column("rows", "bigint", "policies"),
        Column("exposure", "double", "their policy-years"),
        Column("mean", "double", "mean contribution on the link's scale"),
        Column("mean_absolute", "double", "mean of its absolute value: the importance"),
        Column("relativity", "double", "exp(mean) with a log or logit link"),
        BATCH_ID,
        RUN_ID,
    ),
    key=("batch_id", "model_name", "segment", "segment_level", "feature", "level"),
    partition_by=("batch_id", "model_name"),
)
