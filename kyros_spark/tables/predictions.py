"""`predictions`: one row a policy, batch and model name."""

from kyros_spark.config import SourceSettings
from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table, declared


def predictions(source: SourceSettings) -> Table:
    """Return the contract: policy key, model, prediction, expected value, provenance."""
    return Table(
        name="predictions",
        comment="What each model expects of each policy; one version a model name at a time.",
        columns=(
            *declared(source, source.key),
            Column("model_name", "string", "the model, MODEL.CLASS, or the product of models"),
            Column("model_version", "string", "its version; a product's parts joined by '*'"),
            Column(
                "prediction", "double", "per unit: claims a year, amount a claim, amount a year"
            ),
            Column("expected", "double", "prediction times exposure; NULL for a severity"),
            Column(
                "lower", "double", "prediction interval's lower end, per unit; NULL where not asked"
            ),
            Column("upper", "double", "its upper end; the level is in the model's settings"),
            Column("exposure", "double", "policy-years at risk"),
            Column("input_hash", "bigint", "hash of the features the prediction was made from"),
            Column("predicted_at", "timestamp", "when"),
            BATCH_ID,
            RUN_ID,
        ),
        key=("batch_id", "model_name", *source.key),
        partition_by=("batch_id", "model_name"),
        constraints={"prediction_given": "prediction IS NOT NULL"},
    )
