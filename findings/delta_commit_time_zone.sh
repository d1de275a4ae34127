#!/usr/bin/env bash
# Delta Lake 4.4.0 (delta-spark) on PySpark 4.1.4: what a commit costs depends on the JVM's time zone.
#
# Each commit writes a checksum file, and for a table of few files that file repeats the table's list of files
# (spark.databricks.delta.allFilesInCrc.enabled, on by default). Where the
# default time zone of the JVM is not UTC, Delta verifies that list at each commit by reading the table's state:
# an append to a table of one row runs more queries in Berlin than in UTC, on the same files and with the same
# spark.sql.session.timeZone. With the list switched off both zones run the same queries, and no more than UTC did.
#
# Needs python3.11 or later, Java 17, and network. Exits 0 if all of that is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyspark==4.1.4 delta-spark==4.4.0
cd "$folder"
cat >appends.py <<'PYTHON'
import sys

from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

path, listed = sys.argv[1:]
builder = SparkSession.builder.master("local[1]").config("spark.ui.showConsoleProgress", "false")
for name, value in {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.databricks.delta.allFilesInCrc.enabled": listed,
}.items():
    builder = builder.config(name, value)
spark = configure_spark_with_delta_pip(builder).getOrCreate()
queries = spark._jsparkSession.sharedState().statusStore()


def append():
    """Return how many queries Spark ran for the append of a row."""
    before = queries.executionsCount()
    spark.range(1).write.format("delta").mode("append").save(path)
    spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
    return queries.executionsCount() - before


for _ in range(4):
    append()  # the first ones make the table
print(append())
PYTHON
queries() { TZ=$1 "$folder/venv/bin/python" appends.py "$folder/table-$3" "$2" 2>/dev/null | tail -n 1; }
utc=$(queries UTC true 1)
berlin=$(queries Europe/Berlin true 2)
utc_unlisted=$(queries UTC false 3)
berlin_unlisted=$(queries Europe/Berlin false 4)
echo "queries of an append: UTC $utc, Berlin $berlin; without the list: UTC $utc_unlisted, Berlin $berlin_unlisted"
[ "$berlin" -gt "$utc" ] && [ "$utc_unlisted" -le "$utc" ] && [ "$berlin_unlisted" -eq "$utc_unlisted" ]
