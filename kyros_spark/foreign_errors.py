"""Tell from an error of Spark, the JVM or the machine what happened."""

import re

from kyros_spark.errors import PlatformError, SparkLostError

_FULL = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
# The last but one matches xgboost's report that its workers lost one another. The last matches a
# broken connection between Spark and a worker, as in `PythonWorkerFactory.stopWorker`; the stack
# distinguishes it from a broken stream of a store.
_LOST_WORKER = re.compile(
    r"Python worker exited unexpectedly|reading the port number from pyspark.daemon|"
    r"ExecutorLostFailure|src/collective/|"
    r"(?:Stream closed|Broken pipe|Connection reset)\b[^\n]*(?:\n\s+at (?:java|scala|sun)[^\n]*)*"
    r"\n\s+at org\.apache\.spark\.(?:api|sql\.execution)\.python\."
)

# How Hadoop's file systems report a store or a name node that does not answer, that rejects the
# credentials, or for whose kind of address there is no file system.
_UNREACHABLE = (
    "UnknownStoreException", "NoSuchBucket", "AccessDeniedException", "NoAuthWithAWSException",
    "NoAwsCredentials", "UnknownHostException", "UnsupportedFileSystemException",
    "S3AFileSystem not found", "ConnectException", "ConnectTimeoutException",
    "NoRouteToHostException", "SocketTimeoutException", "StandbyException",
    "FileSystem for scheme",
)  # fmt: skip


def unreachable(error: BaseException) -> str:
    """Return how Java says that an address cannot be reached, without the stack, or ""."""
    named = [line.strip() for line in str(error).splitlines()
             if any(word in line for word in _UNREACHABLE)]  # fmt: skip
    causes = [line for line in named if not line.startswith("at ")]
    return (causes or named)[0].removeprefix(": ")[:500] if named else ""


def lost_worker(error: Exception) -> str:
    """Return Spark's words for a Python worker or executor that died, or "" if none did."""
    match = _LOST_WORKER.search(str(error))
    return match[0].splitlines()[0] if match else ""


def spark_is_gone(error: BaseException) -> bool:
    """Return whether a call failed because Spark's JVM, or its server, no longer answers."""
    # The class is compared by name, since Spark Connect's own client comes without py4j.
    kind, message = type(error).__name__, str(error)
    cut_off = kind == "Py4JError" and "Trace:" not in message
    # While rows are collected: pyspark's own EOFError has no message, that of a short file has one.
    no_rows = "CANNOT_OPEN_SOCKET" in message or (isinstance(error, EOFError) and not message)
    return isinstance(error, ConnectionError) or kind == "Py4JNetworkError" or cut_off or no_rows


def is_full(error: BaseException) -> bool:
    """Return whether a write failed because a device is full."""
    return _FULL.search(str(error)) is not None


def machine_failed(error: Exception) -> bool:
    """Return whether the machine failed a call, so that neither settings nor data are to blame."""
    return spark_is_gone(error) or bool(lost_worker(error)) or is_full(error)


def is_from_the_jvm(error: BaseException) -> bool:
    """Return whether py4j raised an error: the JVM's own, or that of the way to it.

    The class is looked up by name, so that no module imports py4j, which a pure client of Spark
    Connect lacks.
    """
    return any(kind.__name__ == "Py4JError" for kind in type(error).__mro__)


def spark_lost(work: str) -> SparkLostError:
    """Return the error for work during which Spark's JVM ended."""
    return SparkLostError(
        f"{work}: expected Spark to answer, found its JVM gone: it was killed, often for memory "
        "(kyros plan tells what is bounded by which setting); give the same command again, what "
        "was committed before is kept"
    )


def unreachable_address(work: str, cause: str) -> PlatformError:
    """Return the error for work on an address that does not answer. cause: of `unreachable`."""
    return PlatformError(
        f"{work}: expected its addresses to be reached, found {cause}; check their names, the "
        "network, and that the provider chain finds credentials (docs/deploy.md)"
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its class; Spark's messages run to pages."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def java_cause(error: Exception) -> str:
    """Return the line in which a bare Java error names its cause, without the stack."""
    lines = str(error).splitlines() or [type(error).__name__]
    line = next((line for line in lines if line.startswith(("Caused", ": "))), lines[0])
    return line.strip().removeprefix(": ")
