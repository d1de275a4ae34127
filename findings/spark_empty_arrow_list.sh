#!/usr/bin/env bash
# PySpark 4.1.1, pyarrow 22.0.0: a DataFrame made from an Arrow table whose rows were all filtered away.
#
# SparkSession.createDataFrame takes a pyarrow.Table since Spark 4.0. A table that pyarrow made of no record
# batches at all (what Table.from_batches([], schema) gives, and a query without a hit often is) has columns of
# zero chunks. With columns of plain types the result is an empty DataFrame. With a column of lists it is
# pyarrow's "cannot construct ChunkedArray from empty vector and omitted type", from PySpark's conversion of
# time zones, which puts the chunks together again without naming their type. The same schema's empty_table(),
# which has one chunk of no rows, is taken.
#
# Needs python3.11 or later, Java 17, and network. Exits 0 if all of that is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyspark==4.1.1 pyarrow==22.0.0 pandas==2.3.3 numpy==2.3.5
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import pyarrow as pa
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.showConsoleProgress", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")
plain = pa.schema([("policy", pa.string()), ("amount", pa.float64())])
lists = plain.append(pa.field("reasons", pa.list_(pa.string())))


def seen(table):
    try:
        return f"{spark.createDataFrame(table).count()} rows"
    except pa.ArrowInvalid as error:
        return f"ArrowInvalid: {error}"


cases = {
    "plain columns, no chunk": (pa.Table.from_batches([], plain), "0 rows"),
    "a column of lists, no chunk": (
        pa.Table.from_batches([], lists),
        "ArrowInvalid: cannot construct ChunkedArray from empty vector and omitted type",
    ),
    "a column of lists, one chunk of no rows": (lists.empty_table(), "0 rows"),
}
changed = False
for name, (table, expected) in cases.items():
    answer = seen(table)
    print(f"{name}: {answer}")
    changed |= answer != expected
spark.stop()
sys.exit(1 if changed else 0)
PYTHON
