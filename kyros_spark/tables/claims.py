"""`claims`: one row per claim whose policy is among the clean policies of its batch."""

from kyros_spark.config import SourceSettings
from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Table, declared, excess


def claims(source: SourceSettings) -> Table:
    """Return the contract: the declared columns, then batch and run."""
    return Table(
        name="claims",
        comment="Clean claims, each of a clean policy of the same batch, with amounts as given.",
        columns=(*declared(source), *excess(source), BATCH_ID, RUN_ID),
        key=("batch_id", *(source.key or source.columns)),
        constraints={"batch_given": "batch_id IS NOT NULL"},
    )
