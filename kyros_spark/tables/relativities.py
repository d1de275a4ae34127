"""`relativities`: one row per coefficient of every GLM version, as an actuary reads a tariff."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

RELATIVITIES = Table(
    name="relativities",
    comment="Each level of each GLM version: relativity, interval, exposure and claims.",
    columns=(
        Column("model_name", "string", "the model"),
        Column("model_version", "int", "its version"),
        Column(
            "segment_by", "string", "the features whose levels are a segment; NULL for the whole"
        ),
        Column("segment", "string", "the segment that the row is of; NULL for the whole"),
        Column("feature", "string", "the feature; (intercept) for the constant"),
        Column("level", "string", "the level; NULL for a number, whose effect is per unit"),
        Column("is_base", "boolean", "the level that all others are relative to"),
        Column("aliased", "boolean", "dropped, because the columns before it determine it"),
        Column("coefficient", "double", "the coefficient; 0 for a base level or an aliased column"),
        Column(
            "standard_error", "double", "NULL for a base level, aliased column or penalised fit"
        ),
        Column("z", "double", "coefficient / standard error"),
        Column("p_value", "double", "two-sided, of the hypothesis that the coefficient is 0"),
        Column(
            "relativity",
            "double",
            "exp(coefficient), 1.000 for a base level; NULL without link log",
        ),
        Column("lower", "double", "lower end of the interval (of the relativity, with link log)"),
        Column("upper", "double", "upper end; the confidence is the model's glm.confidence"),
        Column("rows", "bigint", "training rows of the level, or all rows for a number"),
        Column("exposure", "double", "sum of the model's unit: exposure or claims"),
        Column("observed", "double", "sum of the model's target: claims or amount"),
        Column("credibility", "double", "of a segment: the weight of its own value; else NULL"),
        Column("segments", "int", "finest segments with an estimate of their own; else NULL"),
        Column("spread", "double", "standard deviation of the coefficient over those segments"),
        Column("share_excluding_1", "double", "share of those segments whose interval excludes 1"),
        BATCH_ID,
        RUN_ID,
    ),
    key=("model_name", "model_version", "segment_by", "segment", "feature", "level"),
    partition_by=(),
)
