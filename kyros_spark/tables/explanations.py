"""`explanations`: one row per policy, batch and model: what the price is made of."""

from kyros_spark.config import SourceSettings
from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table, declared

CONTRIBUTIONS = "array<struct<feature:string,value:string,contribution:double,relativity:double>>"


def explanations(source: SourceSettings) -> Table:
    """Return the contract: policy key, model, prediction, base, contributions, provenance."""
    return Table(
        name="explanations",
        comment="What each policy's price is made of: link(prediction - load) = base + all "
        "contributions + rest; one version per model name at a time.",
        columns=(
            *declared(source, source.key),
            Column("model_name", "string", "the model, as in table predictions"),
            Column("model_version", "string", "its version, as in table predictions"),
            Column(
                "link", "string", "the scale of base, contributions and rest: log, identity ..."
            ),
            Column("prediction", "double", "as in table predictions, per unit: without an offset"),
            Column("base", "double", "what the contributions start from, rebalance included"),
            Column(
                "contributions",
                CONTRIBUTIONS,
                "the largest, in order of size: the feature, the policy's level or value, the "
                "contribution on the link's scale, and with a log or logit link exp(contribution)",
            ),
            Column("rest", "double", "the sum of all other contributions, and what rounding left"),
            Column("load", "double", "the large-loss load, added behind the product; 0 without"),
            Column("exposure", "double", "policy-years at risk; no part of a price per unit"),
            BATCH_ID,
            RUN_ID,
        ),
        key=("batch_id", "model_name", *source.key),
        partition_by=("batch_id", "model_name"),
        constraints={"explained_prediction_given": "prediction IS NOT NULL"},
    )
