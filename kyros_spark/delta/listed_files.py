"""List the files of a batch that tasks may read themselves, where each row in them is certain.

A table's rows are those of its files only while nothing stands between the two: rows deleted since,
columns under other names, types widened after the file was written. Every such condition is looked
up here, in the log and in the footer of each file; one that does not hold is a NotCertain, and the
table is read through Spark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from kyros_spark.delta import log as delta_log
from kyros_spark.delta.layout import TableLayout
from kyros_spark.delta.log_files import active_files
from kyros_spark.delta.row_groups import RowGroups, open_file, row_counts
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.storage.stores import Store, store_of

_PLAIN_PATH = re.compile(r"^[\w./=-]+\Z", re.ASCII)  # its text sorts and reads alike everywhere
_VERSION = b"org.apache.spark.version"
_OLD_CALENDAR = (b"org.apache.spark.legacyDateTime", b"org.apache.spark.legacyINT96")
_READERS = 8  # footers read at once


class NotCertain(Exception):
    """The files alone do not tell the table's rows for certain; the message says why."""


@dataclass(frozen=True)
class _Listed:
    """A file of the log: its path there, its path in the store, its bytes and rows."""

    path: str
    place: str
    size: int
    rows: int


def listed_files(
    tables: DeltaTables, name: str, version: int, batch: str, columns: Sequence[str]
) -> list[RowGroups]:
    """Return the files of a batch at a version, with all their row groups, in the log's order.

    columns: those that will be read.

    Raises:
        NotCertain: the table has to be read through Spark.
    """
    layout = _plain_layout(tables, name)
    schema = layout.schema()
    fields = [schema.field(column) for column in columns]
    folder = tables.folder(name)
    store = store_of(tables.spark, folder)
    if isinstance(store, str):
        raise NotCertain(store)
    adds = active_files(tables.spark, folder, version)
    if adds is None:
        raise NotCertain(f"the log of table {name} is too long, or of a kind that Delta reads")
    files = [
        _listed(store.path(folder), add)
        for add in adds
        if add["partitionValues"].get("batch_id") == batch
    ]
    files.sort(key=lambda file: file.path)
    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(lambda file: _checked(file, fields, store), files))


def _plain_layout(tables: DeltaTables, name: str) -> TableLayout:
    if not tables.by_path:
        raise NotCertain("the tables lie in a catalog, which may filter or mask rows")
    if not delta_log.is_reachable(tables.spark):
        raise NotCertain("this session reaches no open-source Delta")
    layout = tables.layout(name)
    if layout is None:
        raise NotCertain(f"the log of table {name} cannot be read")
    if not layout.is_plain():
        features = ", ".join(sorted(layout.features)) or "none"
        raise NotCertain(f"table {name} is not plain (features: {features})")
    if layout.partition_by != ["batch_id"]:
        raise NotCertain(f"table {name} is partitioned by {', '.join(layout.partition_by)}")
    return layout


def _listed(folder: str, add: Mapping[str, Any]) -> _Listed:
    path = str(add["path"])
    if not _PLAIN_PATH.match(path):
        raise NotCertain(f"{path} is a file of another table, or has a name of other letters")
    if add.get("deletionVector"):
        raise NotCertain(f"{path} has a deletion vector")
    rows = json.loads(add.get("stats") or "{}").get("numRecords")
    if not isinstance(rows, int):
        raise NotCertain(f"the log does not say how many rows {path} has")
    return _Listed(path, f"{folder}/{path}", int(add["size"]), rows)


def _checked(listed: _Listed, fields: Sequence[pa.Field], store: Store) -> RowGroups:
    """Return a file's row groups, if it is the one that the log means and has the table's types."""
    try:
        size = store.size(listed.place)
        if size != listed.size:
            raise NotCertain(f"{listed.path} has {size} bytes, in the log {listed.size}")
        with open_file(listed.place, store=store) as file:
            footer, schema, counts = file.metadata, file.schema_arrow, row_counts(file)
    except (OSError, pa.ArrowException) as error:
        raise NotCertain(f"{listed.path} cannot be read ({error})") from error
    if not footer.num_rows == sum(counts) == listed.rows:
        raise NotCertain(f"{listed.path} has {footer.num_rows} rows, in the log {listed.rows}")
    for field in fields:
        kinds = [schema.field(n).type for n in schema.get_all_field_indices(field.name)]
        if kinds != [field.type]:
            in_file = ", ".join(map(str, kinds)) or "none"
            raise NotCertain(f"{listed.path}, column {field.name}: {in_file}, not {field.type}")
    if any(pa.types.is_temporal(field.type) for field in fields):
        keys = footer.metadata or {}
        if _VERSION not in keys or any(key in keys for key in _OLD_CALENDAR):
            raise NotCertain(f"{listed.path} may count days by the Julian calendar")
    return RowGroups(listed.place, size, counts, tuple(range(len(counts))), store)
