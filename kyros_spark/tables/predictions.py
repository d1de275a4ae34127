"""`predictions`: one row per policy, batch and model name."""

from kyros_spark.config import SourceSettings
from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table, declared


def predictions(source: SourceSettings) -> Table:
    """Return the contract: policy key, model, prediction, expected value, provenance."""
    return Table(
        name="predictions",
        comment="Each model's prediction for each policy; one version per model name at a time.",
        columns=(
            *declared(source, source.key),
            Column("model_name", "string", "the model, MODEL.CLASS, or the product of models"),
            Column(
                "model_version", "string", "its version; for a product, its parts' joined by '*'"
            ),
            Column("prediction", "double", "claims per year, amount per claim, or amount per year"),
            Column("expected", "double", "prediction x exposure; NULL for a severity"),
            Column(
                "lower", "double", "lower end of the prediction interval, per unit; NULL if not set"
            ),
            Column("upper", "double", "upper end of it; the level is in the model's settings"),
            Column("exposure", "double", "policy-years at risk"),
            Column("input_hash", "bigint", "hash of the features behind the prediction"),
            Column("predicted_at", "timestamp", "when it was predicted"),
            BATCH_ID,
            RUN_ID,
        ),
        key=("batch_id", "model_name", *source.key),
        partition_by=("batch_id", "model_name"),
        constraints={"prediction_given": "prediction IS NOT NULL"},
    )
