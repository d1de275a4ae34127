"""`policies`: one row per policy of a batch, typed and checked by clean."""

from kyros_spark.config import SourceSettings
from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Table, declared, excess


def policies(source: SourceSettings) -> Table:
    """Return the contract: the declared columns, then batch and run."""
    return Table(
        name="policies",
        comment="Clean policies: typed, unique by key, meeting every rule of the settings.",
        columns=(*declared(source), *excess(source), BATCH_ID, RUN_ID),
        key=("batch_id", *source.key),
        constraints={"batch_given": "batch_id IS NOT NULL"},
    )
