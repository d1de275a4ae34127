"""Exchange rows as Arrow between Spark and the driver's process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from kyros_spark.spark.driver_heap import can_collect
from kyros_spark.spark_version import has_to_arrow


def frame_of(spark: SparkSession, rows: pa.Table) -> DataFrame:
    """Return rows as a DataFrame, of Spark 4.0 or later.

    Spark itself takes a table of no rows in part only: not with a column of lists that has no
    chunk, and in Connect not at all.
    """
    if rows.num_rows:
        return spark.createDataFrame(rows)
    return spark.createDataFrame([], from_arrow_schema(rows.schema))


def arrow_of(frame: DataFrame, rows: int) -> pa.Table:
    """Return all rows of a frame, about so many: at once, or by partition to spare the heap.

    Where Spark has no toArrow they come by partition, too: pandas would take NULL for NaN.
    """
    if has_to_arrow(frame.sparkSession.version) and can_collect(frame, rows):
        return frame.toArrow()

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            out = pa.BufferOutputStream()
            with pa.ipc.new_stream(out, batch.schema) as stream:
                stream.write_batch(batch)
            yield pa.RecordBatch.from_arrays([pa.array([out.getvalue().to_pybytes()])], ["rows"])

    tables = [
        pa.ipc.open_stream(bytes(row["rows"])).read_all()
        for row in frame.mapInArrow(pack, "rows binary").toLocalIterator()
    ]
    # Without any row, pandas knows the types as well as Arrow does.
    return pa.concat_tables(tables) if tables else pa.Table.from_pandas(frame.toPandas())
