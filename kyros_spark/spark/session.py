"""Start, join or adapt the Spark session; no other module does.

There are three cases. A session that already runs (Databricks, a notebook, Connect) is used as it
is, and only checked for Delta. Under ``spark-submit`` its settings win, and Delta's are added where
absent. Otherwise this process starts a local Spark with settings that suit one machine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark import profiler
from kyros_spark.config import SparkSettings
from kyros_spark.errors import PlatformError
from kyros_spark.foreign_errors import first_line
from kyros_spark.log import event, write_log_by
from kyros_spark.spark import runtime
from kyros_spark.spark.archive import remove_archive_of, use_empty_conf_folder, without_archive
from kyros_spark.spark.default_settings import DELTA, LOCAL
from kyros_spark.spark.java_class import java_class
from kyros_spark.spark.java_options import OPTIONS, java_options
from kyros_spark.spark.launchers import quiet_home
from kyros_spark.spark_version import SAME_RULES

# The seconds this process took to start the session, until `start_seconds` has returned them.
_START_SECONDS: list[float] = []


def get_session(
    settings: SparkSettings | None = None, app: str = "kyros-spark", short: bool = False
) -> SparkSession:
    """Return the running session, or start one.

    short: the work is a matter of seconds; Java then leaves out the compiler that pays later.

    Raises:
        PlatformError: there is no Java, Spark does not start, or the session has no Delta.
    """
    running = SparkSession.getActiveSession()
    if running is not None:
        return _with_delta(running)
    if _is_remote():
        return _with_delta(_started(SparkSession.builder.appName(app)))
    chosen = settings or SparkSettings()
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if not submitted:
        event("starting Spark")
    begun = time.perf_counter()
    builder = SparkSession.builder.appName(app)
    submitted_conf = _submitted_conf() if submitted else {}
    conf = {
        **_profiling(),
        **DELTA,
        **SAME_RULES,
        **({} if submitted else _local(chosen, short)),
        **chosen.conf,
    }
    for key, value in conf.items():
        if key not in submitted_conf:
            builder = builder.config(key, value)
    session = _started(builder) if submitted else _started_here(builder, conf[OPTIONS])
    if submitted:
        # spark-submit prints both of this process's outputs on its own stdout.
        write_log_by(java_class(session, "java.lang.System").err.print)
        event("joined the submitted Spark application")
    else:
        session.sparkContext.setLogLevel(
            os.environ.get("KYROS_SPARK_LOG", chosen.log_level).upper()
        )
    _START_SECONDS.append(time.perf_counter() - begun)
    return _with_delta(session)


def start_seconds() -> dict[str, float]:
    """Return, once, how long the session took to start, if this process started it."""
    return {"session_start": _START_SECONDS.pop()} if _START_SECONDS else {}


def _started(builder: Any) -> SparkSession:
    try:
        session: SparkSession = builder.getOrCreate()
    except (PySparkException, OSError, RuntimeError) as error:
        raise PlatformError(
            f"Spark did not start: {first_line(error)}; KYROS_SPARK_LOG=WARN shows Spark's own log"
        ) from error
    return session


def _started_here(builder: Any, options: str) -> SparkSession:
    """Start a local session; if Java dies of its archive, remove that and start without."""
    try:
        return _started(builder)
    except PlatformError:
        if not remove_archive_of(options):
            raise
        event("Java did not start with its class archive, which is now removed", level=30)
        return _started(builder.config(OPTIONS, without_archive(options)))


def _is_remote() -> bool:
    """Return whether the session will be a Connect server's, which has settings of its own."""
    return "SPARK_REMOTE" in os.environ or "SPARK_CONNECT_MODE_ENABLED" in os.environ


def _profiling() -> dict[str, str]:
    """Pass the folder of profiles on, as workers do not inherit this process's environment."""
    folder = os.environ.get(profiler.FOLDER)
    return {f"spark.executorEnv.{profiler.FOLDER}": folder} if folder else {}


def _submitted_conf() -> dict[str, str]:
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()  # the JVM that spark-submit started holds its settings
    return dict(SparkConf().getAll())


def _local(settings: SparkSettings, short: bool) -> dict[str, str]:
    """Return a local session's settings, and point this process at Java and its own Python."""
    java = runtime.find_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    spark = runtime.installation(java)
    os.environ["JAVA_HOME"] = str(quiet_home(java, spark.cache))
    use_empty_conf_folder(spark)
    return {
        **LOCAL,
        **_delta_on_class_path(),
        "spark.driver.memory": settings.driver_memory,
        "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
        OPTIONS: java_options(spark, short),
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
    except PySparkException:  # a Connect server may refuse; a missing Delta then shows in use
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
    """Return Spark's version, master and application id, as the ledger records them."""
    context = getattr(session, "sparkContext", None) if not _is_connect(session) else None
    return {
        "spark": session.version,
        "master": context.master if context is not None else "connect",
        "application": context.applicationId if context is not None else "",
    }


def _is_connect(session: SparkSession) -> bool:
    return "connect" in type(session).__module__


def can_broadcast(session: SparkSession) -> bool:
    """Return whether the session has broadcast variables; Spark Connect has none."""
    return not _is_connect(session)


def spark_conf(session: SparkSession) -> dict[str, str]:
    """Return the settings the application was started with; {} on Connect, which hides them."""
    return {} if _is_connect(session) else dict(session.sparkContext.getConf().getAll())


def task_slots(session: SparkSession) -> int:
    """Return how many tasks run at once; 4 on Connect, which does not say."""
    return 4 if _is_connect(session) else session.sparkContext.defaultParallelism


def fitting_tasks(session: SparkSession) -> int:
    """Return how many tasks may fit one model together: 1 locally, all slots on a cluster.

    With one local task, a model does not depend on the machine's number of cores.

    Raises:
        PlatformError: the session is Spark Connect, where tasks cannot wait for each other.
    """
    if _is_connect(session):
        raise PlatformError(
            "method: boosting: expected a classic Spark session, found Spark Connect, on which "
            "xgboost.spark does not run; raise spark.local_rows to the number of rows, so that they"
            " are fitted in this process, train on a job cluster, or import a fitted model (kyros "
            "import); it is applied here all the same"
        )
    context = session.sparkContext
    if (context.master or "").startswith("local"):
        return 1
    return max(context.defaultParallelism // int(context.getConf().get("spark.task.cpus", "1")), 1)


@contextmanager
def arrow_transfer(session: SparkSession) -> Iterator[None]:
    """Collect rows as Arrow during the block; Connect always does, a classic session on request."""
    if _is_connect(session):
        yield
        return
    with setting(session, "spark.sql.execution.arrow.pyspark.enabled", "true"):
        yield


@contextmanager
def arrow_batch_rows(session: SparkSession, rows: int) -> Iterator[None]:
    """Limit the rows per Arrow batch during the block, while a stage scores."""
    with setting(session, "spark.sql.execution.arrow.maxRecordsPerBatch", str(rows)):
        yield


@contextmanager
def setting(session: SparkSession, key: str, value: str) -> Iterator[None]:
    """Change one of the session's settings during the block.

    Raises:
        PySparkException: the platform does not allow the change.
    """
    before = session.conf.get(key)
    session.conf.set(key, value)
    try:
        yield
    finally:
        session.conf.set(key, str(before))
