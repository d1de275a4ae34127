"""Write rows that the driver holds as Arrow."""

from __future__ import annotations

import math

import pyarrow as pa

from kyros_spark.delta.tables import DeltaTables, Written
from kyros_spark.tables.contract import Table


def replace_by_arrow(
    tables: DeltaTables,
    table: Table,
    rows: pa.Table,
    run_id: str,
    where: str,
    rows_per_file: int | None = None,
) -> Written:
    """Replace the rows that match ``where`` by rows that the driver holds, in one commit.

    rows_per_file: the most rows per file; by default one file per partition.

    Raises:
        TableSchemaError: the table has a column of another type.
        TableConstraintError: a row breaks a constraint; nothing was written.
    """
    files = math.ceil(rows.num_rows / rows_per_file) if rows_per_file else 1
    frame = tables.spark.createDataFrame(rows).coalesce(max(files, 1))
    return tables.replace(table, frame, run_id, where)
