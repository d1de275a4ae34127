"""Make or adapt the Spark session: the only place that does.

Three cases. A session already runs (Databricks, a notebook, Connect): it is used as it is, and
only checked for Delta. ``spark-submit`` started us: its settings win, Delta's are added where
absent. Else this process starts a local Spark with settings that suit one machine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark import profiler
from kyros_spark.config import SparkSettings
from kyros_spark.errors import PlatformError, first_line
from kyros_spark.log import event
from kyros_spark.spark import runtime
from kyros_spark.spark_version import SAME_RULES

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
# Small commits are most of a local run: Delta's default of 50 snapshot partitions and Spark's 200
# shuffle partitions make each several times slower on one machine.
LOCAL = {
    # Four attempts, as on clusters: a task whose Python worker died is tried again.
    "spark.master": "local[*,4]",
    "spark.ui.enabled": "false",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.shuffle.partitions": "8",
    # Stages and batches generate the same code again; Spark keeps 100 pieces, a chain needs more.
    "spark.sql.codegen.cache.maxEntries": "2000",
    # The JVM never compiles a method above 8,000 bytes: clean's rules in one such method took five
    # times as long as the same rules in several, which Spark makes of them below this limit.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # A batch is one partition: Spark need not sort its rows by it, which took a tenth of prepare.
    "spark.sql.maxConcurrentOutputFileWriters": "2",
    # Claims are few beside policies: where a partition of them is this small, no join sorts both.
    # Spark heeds the second only where it is not below the first.
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "32m",
    "spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold": "32m",
    # Meant for object stores: ranges read at once are copied outside the heap, 300 MiB in prepare.
    "spark.hadoop.parquet.hadoop.vectored.io.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.databricks.delta.properties.defaults.checkpointInterval": "20",
    # The byte cap makes Spark 4 size a batch at every row; rows bound the memory instead.
    "spark.sql.execution.arrow.maxBytesPerBatch": "2147483647b",
}

_STARTED: list[float] = []


def get_session(settings: SparkSettings | None = None, app: str = "kyros-spark") -> SparkSession:
    """Return the running session, or make one.

    Raises:
        PlatformError: there is no Java, or Delta is not on the class path.
    """
    running = SparkSession.getActiveSession()
    if running is not None:
        return _with_delta(running)
    if _is_remote():
        return _with_delta(_started(SparkSession.builder.appName(app)))
    chosen = settings or SparkSettings()
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    event("starting Spark" if not submitted else "joining the submitted Spark application")
    begun = time.perf_counter()
    builder = SparkSession.builder.appName(app)
    given = _submitted_conf() if submitted else {}
    wanted = {
        **_profiling(),
        **DELTA,
        **SAME_RULES,
        **({} if submitted else _local(chosen)),
        **chosen.conf,
    }
    for key, value in wanted.items():
        if key not in given:
            builder = builder.config(key, value)
    session = _started(builder)
    if not submitted:
        session.sparkContext.setLogLevel(
            os.environ.get("KYROS_SPARK_LOG", chosen.log_level).upper()
        )
    _STARTED.append(time.perf_counter() - begun)
    return _with_delta(session)


def start_seconds() -> dict[str, float]:
    """Return, once, how long the session took to start, where this process started it."""
    return {"session_start": _STARTED.pop()} if _STARTED else {}


def _started(builder: Any) -> SparkSession:
    try:
        session: SparkSession = builder.getOrCreate()
    except (PySparkException, OSError, RuntimeError) as error:
        raise PlatformError(
            f"Spark did not start: {first_line(error)}; KYROS_SPARK_LOG=WARN shows Spark's own log"
        ) from error
    return session


def _is_remote() -> bool:
    """Tell whether the session is to be a Connect server's, whose settings are its own."""
    return "SPARK_REMOTE" in os.environ or "SPARK_CONNECT_MODE_ENABLED" in os.environ


def _profiling() -> dict[str, str]:
    """Hand on where to put profiles: workers do not inherit this process's environment."""
    folder = os.environ.get(profiler.FOLDER)
    return {f"spark.executorEnv.{profiler.FOLDER}": folder} if folder else {}


def _submitted_conf() -> dict[str, str]:
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()  # the JVM that spark-submit started holds its settings
    return dict(SparkConf().getAll())


def _local(settings: SparkSettings) -> dict[str, str]:
    """Return the settings of a local session, and point this process at Java and its own Python."""
    os.environ["JAVA_HOME"] = str(runtime.find_java().home)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    log4j = resources.files("kyros_spark.spark") / "log4j2.properties"
    return {
        **LOCAL,
        **_delta_on_class_path(),
        "spark.driver.memory": settings.driver_memory,
        "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
        # Two cores are better spent on rows than on collecting beside them: 3 % of a small chain.
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log4j} -XX:+UseParallelGC",
    }


def _delta_on_class_path() -> dict[str, str]:
    jars = runtime.delta_jars()
    if jars is None:
        event("fetching the two Delta jars, once for this machine")
        jars = runtime.fetch_delta_jars()
    beside_spark = all(jar.parent.name == "jars" and "pyspark" in jar.parts for jar in jars)
    return {} if beside_spark else {"spark.jars": ",".join(str(jar) for jar in jars)}


def _with_delta(session: SparkSession) -> SparkSession:
    try:
        extensions = session.conf.get("spark.sql.extensions", "") or ""
        databricks = session.conf.get("spark.databricks.clusterUsageTags.sparkVersion", "") or ""
    except PySparkException:  # a Connect server may refuse to tell; Delta then answers for itself
        return session
    if "DeltaSparkSessionExtension" in extensions or databricks:
        return session
    from pyspark import __version__

    raise PlatformError(
        "this Spark session has no Delta: expected spark.sql.extensions to hold "
        f"{DELTA['spark.sql.extensions']}, found '{extensions}'; start it with "
        f"--properties-file conf/spark/local.conf, or --packages "
        f"{runtime.delta_coordinates(__version__)} and the two Delta settings"
    )


def application(session: SparkSession) -> dict[str, Any]:
    """Return what the ledger tells of the session: Spark's version, master and application id."""
    context = getattr(session, "sparkContext", None) if not _is_connect(session) else None
    return {
        "spark": session.version,
        "master": context.master if context is not None else "connect",
        "application": context.applicationId if context is not None else "",
    }


def _is_connect(session: SparkSession) -> bool:
    return "connect" in type(session).__module__


def can_broadcast(session: SparkSession) -> bool:
    """Tell whether the session has broadcast variables; Spark Connect has none."""
    return not _is_connect(session)


def spark_conf(session: SparkSession) -> dict[str, str]:
    """Return the settings the application was started with; none where Connect keeps them."""
    return {} if _is_connect(session) else dict(session.sparkContext.getConf().getAll())


def task_slots(session: SparkSession) -> int:
    """Return how many tasks run at once, or 4 where Connect does not tell."""
    return 4 if _is_connect(session) else session.sparkContext.defaultParallelism


def fitting_tasks(session: SparkSession) -> int:
    """Return how many tasks may fit one model together: 1 locally, the slots of a cluster.

    Locally one, so that a model does not depend on the machine's number of cores.

    Raises:
        PlatformError: the session is Spark Connect, where tasks cannot wait for each other.
    """
    if _is_connect(session):
        raise PlatformError(
            "method: boosting: expected a classic Spark session, found Spark Connect, on which "
            "xgboost.spark does not run; train on a job cluster, or import a fitted model "
            "(kyros import); it is applied here all the same"
        )
    context = session.sparkContext
    if (context.master or "").startswith("local"):
        return 1
    return max(context.defaultParallelism // int(context.getConf().get("spark.task.cpus", "1")), 1)


@contextmanager
def arrow_transfer(session: SparkSession) -> Iterator[None]:
    """Bring rows to the driver as Arrow, which Connect always does and the classic session may."""
    if _is_connect(session):
        yield
        return
    with setting(session, "spark.sql.execution.arrow.pyspark.enabled", "true"):
        yield


@contextmanager
def arrow_batch_rows(session: SparkSession, rows: int) -> Iterator[None]:
    """Bound the rows of an Arrow batch while a stage scores."""
    with setting(session, "spark.sql.execution.arrow.maxRecordsPerBatch", str(rows)):
        yield


@contextmanager
def setting(session: SparkSession, key: str, value: str) -> Iterator[None]:
    """Change one of the session's settings for a while.

    Raises:
        PySparkException: the platform does not let it be changed.
    """
    before = session.conf.get(key)
    session.conf.set(key, value)
    try:
        yield
    finally:
        session.conf.set(key, str(before))
