"""Write and read a table's data files as Spark would: Parquet, a folder per partition value."""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from kyros_spark.delta.checks import compiled
from kyros_spark.delta.layout import TableLayout
from kyros_spark.delta.part_files import NewFiles, Partition
from kyros_spark.delta.statistics import FileStatistics
from kyros_spark.spark.java_class import java_class
from kyros_spark.storage.stores import store_of
from kyros_spark.storage.traffic import count_read, count_written
from kyros_spark.storage.whole_files import new_file, read_whole

_INDEXED = 32  # columns with statistics where the table does not name them: Delta's own default


class DataFiles:
    """The data files of one table."""

    def __init__(self, spark: SparkSession, folder: str, layout: TableLayout) -> None:
        """Take the table's folder, as Hadoop qualifies it, and its description."""
        self._spark, self._folder, self._layout = spark, folder, layout
        names = set(layout.partition_by)
        schema = layout.schema()
        self._schema = pa.schema(
            [field for field in schema if field.name not in names],
            # Without it, Spark 3.5 takes dates before 1582 for those of the Julian calendar.
            {"org.apache.spark.version": spark.version},
        )
        self.written: list[str] = []

    def write(self, rows: pa.Table, rows_per_file: int | None = None) -> Iterator[dict[str, Any]]:
        """Write rows and yield the add action of each file: at least one per partition value."""
        for values, part in self._partitions(rows):
            size = rows_per_file or max(part.num_rows, 1)
            for start in range(0, part.num_rows, size):
                yield self._write(values, part.slice(start, size))

    def _partitions(self, rows: pa.Table) -> Iterator[tuple[dict[str, Any], pa.Table]]:
        names = self._layout.partition_by
        data = rows.select(self._schema.names)
        if not names:
            yield {}, data
            return
        for values in rows.select(names).group_by(names).aggregate([]).to_pylist():
            mask = pa.scalar(True)
            for name, value in values.items():
                column = rows[name]
                equal = pc.is_null(column) if value is None else pc.equal(column, value)
                mask = pc.and_(mask, pc.fill_null(equal, False))
            yield values, data.filter(mask)

    def _write(self, values: dict[str, Any], rows: pa.Table) -> dict[str, Any]:
        name = f"part-00000-{uuid.uuid4()}-c000.snappy.parquet"
        path = "/".join([*(self._folder_of(*value) for value in values.items()), name])
        address = f"{self._folder}/{path}"
        with new_file(self._spark, address) as out:
            self.written.append(address)
            # Arrow's own schema beside it would say nothing that Spark's types do not.
            with pq.ParquetWriter(
                out, self._schema, compression="snappy", store_schema=False
            ) as writer:
                writer.write_table(rows.replace_schema_metadata(self._schema.metadata))
            size = out.tell()
        count_written(size)
        statistics = FileStatistics(self._indexed())
        statistics.add(rows)
        return {
            "path": self._uri(path),
            "partitionValues": {name: _text(value) for name, value in values.items()},
            "size": size,
            "modificationTime": int(time.time() * 1000),
            "dataChange": True,
            "stats": json.dumps(statistics.to_json()),
        }

    def _folder_of(self, name: str, value: Any) -> str:
        name_of_class = "org.apache.spark.sql.catalyst.catalog.ExternalCatalogUtils"
        utils = java_class(self._spark, name_of_class)
        return str(utils.getPartitionPathString(name, _text(value)))

    def described(
        self, table: str, partitions: Sequence[Mapping[str, str]], repeated: Sequence[str]
    ) -> NewFiles | None:
        """Return what tasks must know to write files of these partitions.

        None where they cannot: on another file system, or where a constraint is of other columns
        than the files'. repeated: columns of few different values.
        """
        layout, names = self._layout, self._schema.names
        store = store_of(self._spark, self._folder)
        if isinstance(store, str) or compiled(layout.constraints(), self._schema) is None:
            return None
        folders = ("/".join(self._folder_of(*value) for value in v.items()) for v in partitions)
        return NewFiles(
            table=table,
            store=store,
            folder=store.path(self._folder),
            schema=self._schema,
            partitions=tuple(
                Partition(values, folder, self._uri(folder))
                for values, folder in zip(partitions, folders, strict=True)
            ),
            indexed=tuple(self._indexed()),
            repeated=tuple(repeated),
            constraints=layout.constraints(),
            required=tuple(name for name in layout.required() if name in names),
            token=str(uuid.uuid4()),
        )

    def _uri(self, path: str) -> str:
        if not path:
            return ""
        return str(java_class(self._spark, "org.apache.hadoop.fs.Path")(path).toUri().toString())

    def _indexed(self) -> list[str]:
        named = self._layout.properties.get("delta.dataSkippingStatsColumns")
        names = self._schema.names[:_INDEXED]
        if named is not None:
            chosen = {name.strip().strip("`") for name in named.split(",")}
            names = [name for name in self._schema.names if name in chosen]
        return [name for name in names if not pa.types.is_nested(self._schema.field(name).type)]

    def read(self, add: dict[str, Any]) -> pa.Table:
        """Return a file's rows, with its partition's values, as the table's columns.

        Raises:
            FileNotFoundError: the log names a file that is not there.
        """
        path = unquote(add["path"])
        address = path if ":/" in path else f"{self._folder}/{path}"
        data = read_whole(self._spark, address)
        if data is None:
            raise FileNotFoundError(address)
        count_read(len(data))
        file = pq.ParquetFile(io.BytesIO(data), coerce_int96_timestamp_unit="us")
        rows, schema = file.read(), self._layout.schema()
        columns = [self._column(field, rows, add["partitionValues"]) for field in schema]
        return pa.table(columns, schema=schema)

    def _column(
        self, field: pa.Field, rows: pa.Table, partition: dict[str, str | None]
    ) -> pa.ChunkedArray | pa.Array:
        if field.name in partition:
            value = pa.scalar(partition[field.name], pa.string()).cast(field.type)
            return pa.repeat(value, rows.num_rows)
        if field.name not in rows.column_names:  # it was added to the table later
            return pa.nulls(rows.num_rows, field.type)
        return rows[field.name].cast(field.type)


def _text(value: Any) -> str | None:
    """Return a partition's value as Delta's log has it; an empty text is NULL to Delta."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
