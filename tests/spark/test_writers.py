"""How many files a task writes at once: as many as the heap holds, and the setting comes back."""

import pytest

from kyros_spark.spark.writers import files_at_once

KEY = "spark.sql.maxConcurrentOutputFileWriters"


class Settings(dict):
    def set(self, key, value):
        self[key] = value


class Session:
    def __init__(self, **settings):
        names = {name.replace("_", "."): value for name, value in settings.items()}
        self.conf = Settings(names)


@pytest.mark.parametrize(
    ("settings", "files", "most"),
    [
        ({"spark_executor_memory": "6g", "spark_executor_cores": "4"}, 6, "7"),
        ({"spark_executor_memory": "6g", "spark_executor_cores": "4"}, 7, "0"),
        ({"spark_executor_memory": "6g"}, 3, "4"),  # eight cores, where nothing says
        ({"spark_executor_memory": "6g"}, 4, "0"),
        ({}, 1, "0"),
    ],
)
def test_tasks_write_as_many_files_at_once_as_their_half_of_the_heap_holds(settings, files, most):
    session = Session(**settings)
    session.conf[KEY] = "0"
    with files_at_once(session, files):
        assert session.conf[KEY] == most
    assert session.conf[KEY] == "0"


def test_the_rows_of_partitions_keep_their_order(spark, tmp_path):
    rows = spark.range(3000, numPartitions=1).selectExpr("id", "id % 5 AS part")
    with files_at_once(spark, 5):
        rows.write.partitionBy("part").parquet(str(tmp_path / "out"))
    for part in range(5):
        read = spark.read.parquet(str(tmp_path / "out" / f"part={part}")).collect()
        assert [row["id"] for row in read] == list(range(part, 3000, 5))
    assert spark.conf.get(KEY) == "2"
