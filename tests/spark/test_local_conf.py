"""A local session and spark-submit with conf/spark/local.conf run with the same settings."""

from pathlib import Path

from kyros_spark.config import SparkSettings
from kyros_spark.spark.default_settings import DELTA, LOCAL

CONF = Path(__file__).parents[2] / "conf" / "spark" / "local.conf"
# Only the file has these: a local session listens on SPARK_LOCAL_IP, names its own log's settings,
# and sets each Arrow batch's rows where it needs them.
FOR_SUBMIT = {
    "spark.driver.extraJavaOptions",
    "spark.driver.bindAddress", "spark.driver.host", "spark.sql.execution.arrow.maxRecordsPerBatch",
}  # fmt: skip


def test_the_properties_file_says_what_a_local_session_is_started_with():
    lines = [line for line in CONF.read_text().splitlines() if line.startswith("spark.")]
    in_file = dict(line.split() for line in lines)
    expected = {**DELTA, **LOCAL, "spark.driver.memory": SparkSettings().driver_memory}
    assert {k: v for k, v in in_file.items() if k not in FOR_SUBMIT} == expected
    assert set(in_file) >= FOR_SUBMIT
