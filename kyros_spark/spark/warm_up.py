"""Do a little of everything that stages ask of Spark, and let its JVM archive the classes.

`kyros_spark.spark.archive_writer` runs it: `python -m kyros_spark.spark.warm_up ARCHIVE`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import SparkSettings
from kyros_spark.spark.archive import writing_options
from kyros_spark.spark.java_options import OPTIONS, plain_options
from kyros_spark.spark.session import get_session

_SCHEMA = "policy string, age string, area string, bonus double, _corrupt string"


def main(archive: str) -> int:
    """Work in the current folder, and return once the archive is written, or is not."""
    options = " ".join([*plain_options(), *writing_options(archive)])
    settings = SparkSettings(driver_memory="1g", conf={OPTIONS: options})
    spark, folder = get_session(settings, "kyros warm-up"), Path.cwd()
    rows = _extract(spark, folder).persist()
    _save(_judged(rows), folder, mode="overwrite")
    _save(_judged(rows), folder, mode="append")
    rows.unpersist()
    _read_again(spark, folder)
    return _end()


def _extract(spark: SparkSession, folder: Path) -> DataFrame:
    lines = [f"P{n},{18 + n % 60},area {n % 7},{n % 5}.5" for n in range(2000)]
    source = folder / "extract.csv"
    source.write_text("\n".join(["policy,age,area,bonus", *lines]), encoding="utf-8")
    reader = spark.read.schema(_SCHEMA).option("columnNameOfCorruptRecord", "_corrupt")
    return reader.csv(str(source), header=True)


def _judged(rows: DataFrame) -> DataFrame:
    levels = rows.groupBy("area").agg(
        F.count("*").alias("policies"),
        F.percentile_approx("bonus", [0.1, 0.5]).alias("quantiles"),
        F.collect_set("age").alias("ages"),
    )
    return (
        rows.selectExpr(
            "policy",
            "area",
            "try_cast(age AS int) AS years",
            "filter(array(if(bonus > 3, 'bonus', NULL)), reason -> reason IS NOT NULL) AS reasons",
            "row_number() OVER (PARTITION BY policy ORDER BY bonus) AS place",
        )
        .join(levels, on="area", how="left")
        .withColumn("batch_id", F.lit("1"))
    )


def _save(frame: DataFrame, folder: Path, mode: str) -> None:
    writer = frame.write.format("delta").mode(mode).option("userMetadata", "{}")
    writer.partitionBy("batch_id").save(str(folder / "policies"))


def _read_again(spark: SparkSession, folder: Path) -> None:
    table = f"delta.`{folder / 'policies'}`"
    spark.sql(f"DESCRIBE HISTORY {table}").collect()
    spark.sql(f"SHOW TBLPROPERTIES {table}").collect()
    frame = spark.read.format("delta").option("versionAsOf", 0).load(str(folder / "policies"))
    frame.mapInArrow(_unchanged, frame.schema).orderBy("policy").toPandas()
    frame.createOrReplaceTempView("policies")
    spark.sql("SELECT area, sum(place) FROM policies GROUP BY area").collect()
    replacing = frame.limit(5).write.format("delta").mode("overwrite")
    replacing.option("replaceWhere", "batch_id = '1'").save(str(folder / "policies"))


def _unchanged(batches: Iterable[Any]) -> Iterable[Any]:
    yield from batches


def _end() -> int:
    """End Spark and wait for its JVM, which writes the archive last."""
    gateway: Any = SparkContext._gateway
    SparkSession.active().stop()
    gateway.proc.stdin.close()
    return int(gateway.proc.wait())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
