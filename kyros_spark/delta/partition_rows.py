"""Read columns of one partition of a plain table from its files, texts as codes, without Spark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from kyros_spark.config import is_remote
from kyros_spark.delta import log as delta_log
from kyros_spark.delta.log_files import active_files
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.storage.files import local_path
from kyros_spark.storage.traffic import count_read


def partition_rows(
    tables: DeltaTables,
    name: str,
    version: int,
    partition: Mapping[str, str],
    columns: Sequence[str],
) -> pa.Table | None:
    """Return columns of the rows of a partition as Arrow, or None where only Spark can read them.

    partition: values of columns that the table is partitioned by, the batch among them.
    columns: others than those.
    """
    layout = tables.layout(name)
    if layout is None or not layout.is_plain() or not set(partition) <= set(layout.partition_by):
        return None
    schema = layout.schema()
    texts = [n for n in columns if pa.types.is_string(schema.field(n).type)]
    # Spark names a file that is damaged; whatever is wrong with the log, Delta names it.
    with suppress(Exception):
        addresses = list(_addresses(tables, name, version, partition))
        if not any(map(is_remote, addresses)):
            parts = [_rows(address, list(columns), texts) for address in addresses]
            return pa.concat_tables(parts).unify_dictionaries() if parts else None
    return None


def _addresses(
    tables: DeltaTables, name: str, version: int, partition: Mapping[str, str]
) -> Iterator[str]:
    folder = delta_log.folder(tables.spark, tables.location(name))
    files = active_files(tables.spark, folder, version)
    if files is None:
        raise LookupError(name)
    for file in files:
        values = file["partitionValues"]
        if all(values.get(column) == value for column, value in partition.items()):
            if ":/" in file["path"]:  # a file of another table, as in a shallow clone
                raise LookupError(name)
            yield f"{folder}/{unquote(file['path'])}"


def _rows(address: str, columns: list[str], texts: list[str]) -> pa.Table:
    path = local_path(address)
    file = pq.ParquetFile(path, coerce_int96_timestamp_unit="us", read_dictionary=texts)
    rows = file.read(columns).select(columns)
    count_read(rows.nbytes)
    return rows
