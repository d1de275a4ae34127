"""Read the tables of a random portfolio by their logs, without Spark."""

from urllib.parse import unquote

import pyarrow.parquet as pq

from benchmarks.storm_tables import listed


def rows_of(base, table, batch=None):
    """Return the rows of a table as it is now; of one batch if it is named."""
    rows = []
    for path, values in listed(base / table)[-1].items():
        if batch in (None, values.get("batch_id")):
            read = pq.ParquetFile(base / table / unquote(path)).read().to_pylist()
            rows += [{**row, **values} for row in read]
    return rows
