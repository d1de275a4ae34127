"""Read rows of a plain table from its files, texts as codes, without Spark."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
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

# What reading a file may raise: Spark can read it, or says what is wrong with it.
UNREADABLE = (OSError, KeyError, ValueError, pa.ArrowException)


@dataclass(frozen=True)
class PlainTable:
    """The files of one version of a plain table on this machine. files: as the log adds them."""

    folder: str
    layout: TableLayout
    files: Sequence[Mapping[str, Any]]

    def by_path(self) -> PlainTable:
        """Return the files in the order of their paths, in which predict's tasks take them."""
        return replace(self, files=sorted(self.files, key=lambda file: str(file["path"])))

    def rows(
        self, partition: Mapping[str, str], columns: Sequence[str], key: Sequence[str] = ()
    ) -> pa.Table | None:
        """Return columns of the rows of a partition as Arrow, or None where only Spark can.

        partition: values of columns that the table is partitioned by. key: columns whose texts are
        read as they are, since nearly every row has another.
        """
        files, read = self.of(partition), partial(self.of_file, columns=columns, key=key)
        with suppress(*UNREADABLE), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            parts = list(threads.map(read, files) if len(files) > 1 else map(read, files))
            return pa.concat_tables(parts).unify_dictionaries() if parts else None
        return None

    def parts(
        self, partition: Mapping[str, str], columns: Sequence[str], key: Sequence[str] = ()
    ) -> Iterator[pa.Table]:
        """Yield the rows of one file of a partition after another.

        Raises:
            UNREADABLE: only Spark can read them.
        """
        for file in self.of(partition):
            yield self.of_file(file, columns, key)

    def of(self, partition: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Return the files of a partition."""
        return [file for file in self.files if partition.items() <= file["partitionValues"].items()]

    def distinct(
        self, partition: Mapping[str, str], columns: Sequence[str]
    ) -> list[dict[str, Any]] | None:
        """Return the distinct rows of columns of texts, in memory for one file at a time."""
        rows: dict[tuple[Any, ...], None] = {}
        with suppress(*UNREADABLE):
            for part in self.parts(partition, columns):
                rows |= dict.fromkeys(_distinct(_shortest(part)))
            return [dict(zip(columns, row, strict=True)) for row in rows]
        return None

    def of_file(
        self, file: Mapping[str, Any], columns: Sequence[str], key: Sequence[str] = ()
    ) -> pa.Table:
        """Return columns of a file's rows; those of its partition are the same in each row.

        Raises:
            UNREADABLE: only Spark can read them.
        """
        schema, partition_by = self.layout.schema(), self.layout.partition_by
        path = local_path(f"{self.folder}/{unquote(file['path'])}")
        inside = [name for name in columns if name not in partition_by]
        coded = set(inside) - set(key)
        texts = [name for name in coded if pa.types.is_string(schema.field(name).type)]
        parquet = pq.ParquetFile(path, coerce_int96_timestamp_unit="us", read_dictionary=texts)
        same = _same_in_all_rows(parquet.metadata, texts)
        rows = parquet.read([name for name in inside if name not in same])
        of_partition = set(columns) & set(partition_by)
        same |= {name: file["partitionValues"][name] for name in of_partition}
        for name, value in same.items():
            kind = schema.field(name).type
            rows = rows.append_column(name, _repeated(pa.scalar(value).cast(kind), parquet))
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


def _shortest(rows: pa.Table) -> pa.Table:
    """Return one row where each column holds one text throughout, else all."""
    columns = [chunk for column in rows.columns for chunk in column.chunks]
    is_one = all(len(chunk.dictionary) == 1 and not chunk.null_count for chunk in columns)
    return rows.slice(0, 1) if is_one and len(columns) == len(rows.columns) else rows


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


def _repeated(value: pa.Scalar, parquet: pq.ParquetFile) -> pa.Array:
    """Return a value for each row of a file; a text as codes."""
    rows = parquet.metadata.num_rows
    if not pa.types.is_string(value.type) or not value.is_valid:
        same = pa.repeat(value, rows)
        return same.dictionary_encode() if pa.types.is_string(value.type) else same
    codes = pa.array(np.zeros(rows, np.int32))
    return pa.DictionaryArray.from_arrays(codes, pa.array([value.as_py()]))


def _same_in_all_rows(metadata: pq.FileMetaData, names: Sequence[str]) -> dict[str, str]:
    """Return the columns of texts, among these, that hold one value throughout, with that value.

    The footer tells: an end that was cut off would differ from the other one.
    """
    places = {metadata.schema.column(n).path: n for n in range(metadata.num_columns)}
    same: dict[str, str] = {}
    for name in names if metadata.num_row_groups else ():
        ends: set[str | None] = set()
        for group in range(metadata.num_row_groups):
            column = metadata.row_group(group).column(places[name]).statistics
            is_told = column is not None and column.has_min_max and column.null_count == 0
            ends |= {column.min, column.max} if is_told else {None}
        (end, *others) = ends
        if end is not None and not others:
            same[name] = end
    return same
