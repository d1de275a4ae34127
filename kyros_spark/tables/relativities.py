"""`relativities`: one row a coefficient of every GLM version, as an actuary reads a tariff."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

RELATIVITIES = Table(
    name="relativities",
    comment="What each GLM version says of each level: relativity, interval, exposure, claims.",
    columns=(
        Column("model_name", "string", "the model"),
        Column("model_version", "int", "its version"),
        Column("feature", "string", "the feature; (intercept) for the constant"),
        Column("level", "string", "the level; NULL for a number, whose effect is per unit"),
        Column("is_base", "boolean", "the level that all others are relative to"),
        Column("aliased", "boolean", "dropped: columns before it determine it"),
        Column("coefficient", "double", "0 for a base level and an aliased column"),
        Column("standard_error", "double", "NULL where there is none: base, aliased, penalised"),
        Column("z", "double", "coefficient over standard error"),
        Column("p_value", "double", "of the hypothesis that the coefficient is 0, two-sided"),
        Column("relativity", "double", "exp(coefficient), base level 1.000; NULL unless link log"),
        Column("lower", "double", "lower end of the interval (of the relativity, with link log)"),
        Column("upper", "double", "upper end; the confidence is the model's glm.confidence"),
        Column("rows", "bigint", "training rows of the level; all rows for a number"),
        Column("exposure", "double", "sum of what the model is per: exposure, or claims"),
        Column("observed", "double", "sum of what the model predicts: claims, or amount"),
        BATCH_ID,
        RUN_ID,
    ),
    key=("model_name", "model_version", "feature", "level"),
    partition_by=(),
)
