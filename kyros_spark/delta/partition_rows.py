"""Read rows of a plain table from its files, texts as codes, without Spark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kyros_spark.config import is_remote
from kyros_spark.delta.arrow_rows import arrow_as_rows
from kyros_spark.delta.layout import TableLayout
from kyros_spark.delta.log_files import active_files
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.storage.files import local_path
from kyros_spark.storage.traffic import count_read
from kyros_spark.tables.ddl import quoted


@dataclass(frozen=True)
class PlainTable:
    """The files of one version of a plain table on this machine. files: as the log adds them."""

    folder: str
    layout: TableLayout
    files: Sequence[Mapping[str, Any]]

    def rows(
        self, partition: Mapping[str, str], columns: Sequence[str], key: Sequence[str] = ()
    ) -> pa.Table | None:
        """Return columns of the rows of a partition as Arrow, or None where only Spark can.

        partition: values of columns that the table is partitioned by. key: columns whose texts are
        read as they are, since nearly every row has another.
        """
        # Spark names a file that is damaged.
        with suppress(OSError, KeyError, ValueError, pa.ArrowException):
            parts = list(self.parts(partition, columns, key))
            return pa.concat_tables(parts).unify_dictionaries() if parts else None
        return None

    def parts(
        self, partition: Mapping[str, str], columns: Sequence[str], key: Sequence[str] = ()
    ) -> Iterator[pa.Table]:
        """Yield the rows of one file of a partition after another.

        Raises:
            OSError, KeyError, ValueError, ArrowException: only Spark can read them.
        """
        for file in self.files:
            values = file["partitionValues"]
            if all(values.get(name) == value for name, value in partition.items()):
                yield self._rows(file, columns, key)

    def distinct(
        self, partition: Mapping[str, str], columns: Sequence[str]
    ) -> list[dict[str, Any]] | None:
        """Return the distinct rows of columns of texts, in memory for one file at a time."""
        rows: dict[tuple[Any, ...], None] = {}
        with suppress(OSError, KeyError, ValueError, pa.ArrowException):
            for part in self.parts(partition, columns):
                rows |= dict.fromkeys(_distinct(part))
            return [dict(zip(columns, row, strict=True)) for row in rows]
        return None

    def _rows(
        self, file: Mapping[str, Any], columns: Sequence[str], key: Sequence[str]
    ) -> pa.Table:
        """Return columns of a file's rows; those of its partition are the same in each row."""
        schema, partition_by = self.layout.schema(), self.layout.partition_by
        path = local_path(f"{self.folder}/{unquote(file['path'])}")
        inside = [name for name in columns if name not in partition_by]
        coded = set(inside) - set(key)
        texts = [name for name in coded if pa.types.is_string(schema.field(name).type)]
        parquet = pq.ParquetFile(path, coerce_int96_timestamp_unit="us", read_dictionary=texts)
        rows = parquet.read(inside)
        for name in set(columns) & set(partition_by):
            field = pa.scalar(file["partitionValues"][name]).cast(schema.field(name).type)
            same = pa.repeat(field, parquet.metadata.num_rows)
            rows = rows.append_column(name, same.dictionary_encode() if _is_text(field) else same)
        rows = rows.select(list(columns))
        count_read(rows.nbytes)
        return rows


def plain_table(tables: DeltaTables, name: str, version: int) -> PlainTable | None:
    """Return the files of a version of a table; None where only Spark can read them."""
    layout = tables.layout(name)
    if layout is None or not layout.is_plain():
        return None
    with suppress(Exception):  # whatever is wrong with the log, Delta names it
        folder = tables.folder(name)
        files = active_files(tables.spark, folder, version)
        # ":/" is in the path of a file of another table, as a shallow clone has it.
        if files is not None and not any(":/" in file["path"] for file in files):
            return None if is_remote(folder) else PlainTable(folder, layout, files)
    return None


def small_rows(
    tables: DeltaTables,
    name: str,
    version: int,
    columns: Sequence[str] | None = None,
    partition: Mapping[str, str] | None = None,
    equal: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Return rows of a small table, as Spark collects them: from its files where that is possible.

    columns: all without it. partition: values of columns that the table is partitioned by. equal:
    values of others that the rows must have.

    Raises:
        BatchMissingError: the table does not have that version.
    """
    chosen, values = dict(partition or {}), dict(equal or {})
    plain = plain_table(tables, name, version)
    held = None
    if plain is not None:
        held = plain.rows(chosen, plain.layout.schema().names if columns is None else columns)
    if held is not None:
        for column, value in values.items():
            held = held.filter(pc.equal(held.column(column), value))
        moments = [f.name for f in held.schema if pa.types.is_timestamp(f.type)]
        return [row | {n: _local(row[n]) for n in moments} for row in arrow_as_rows(held)]
    frame = tables.read(name, version)
    for column, value in (chosen | values).items():
        frame = frame.where(frame[column] == value)
    frame = frame if columns is None else frame.select(*map(quoted, columns))
    return [row.asDict(recursive=True) for row in frame.collect()]


def _distinct(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Yield the distinct rows of columns of texts that are held as codes."""
    combined, texts = np.zeros(rows.num_rows, np.int64), []
    for column in rows.unify_dictionaries().columns:
        held = column.combine_chunks()
        texts.append([*held.dictionary.to_pylist(), None])
        codes = held.indices.fill_null(len(texts[-1]) - 1).to_numpy(zero_copy_only=False)
        combined = combined * len(texts[-1]) + codes
    for number in np.unique(combined).tolist():
        row = []
        for values in reversed(texts):
            number, code = divmod(number, len(values))
            row.append(values[code])
        yield tuple(reversed(row))


def _local(moment: datetime | None) -> datetime | None:
    """Return a moment as Spark's rows have it: in this machine's time, without saying so."""
    return moment.astimezone().replace(tzinfo=None) if moment is not None else None


def _is_text(value: pa.Scalar) -> bool:
    return bool(pa.types.is_string(value.type))
