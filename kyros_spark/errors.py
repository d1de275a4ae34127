"""Name every error this package raises: one class, one sentence each.

An error message says table, column, expected, found, and what to do next. The class decides the
exit code of the job: 1 anything unforeseen, 2 wrong usage or settings, 3 the data broke its
contract (nothing was written), 4 a gate refused.
"""

import re

_FULL = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
# The last but one is where xgboost's own workers miss one another, as it tells it. The last is
# where Spark's talk to a worker breaks off, as in `PythonWorkerFactory.stopWorker`: its stack
# tells it from a store's streams.
_LOST_WORKER = re.compile(
    r"Python worker exited unexpectedly|reading the port number from pyspark.daemon|"
    r"ExecutorLostFailure|src/collective/|"
    r"(?:Stream closed|Broken pipe|Connection reset)\b[^\n]*(?:\n\s+at (?:java|scala|sun)[^\n]*)*"
    r"\n\s+at org\.apache\.spark\.(?:api|sql\.execution)\.python\."
)


class KyrosError(Exception):
    """Something this package foresaw went wrong; the base of all errors below."""

    exit_code = 1


class UsageError(KyrosError):
    """The command line or the API was called with something it does not take."""

    exit_code = 2


class ConfigError(KyrosError):
    """The settings file is missing, is not YAML, or holds an unknown key or a wrong value."""

    exit_code = 2


class PlatformError(KyrosError):
    """The machine lacks what a job needs: Java, the Delta jars, a Python package."""

    exit_code = 2


class DataContractError(KyrosError):
    """The data broke its contract; nothing was written. The base of all data errors."""

    exit_code = 3


class GateError(KyrosError):
    """A declared budget or quality threshold was not met."""

    exit_code = 4


class ModelFormatError(DataContractError):
    """A model file is damaged, hostile, of an unknown version, or not a model file at all."""


class ModelNotSupportedError(UsageError):
    """The model is sound but uses something the engine does not do; the message names it."""


class KernelNotAvailableError(PlatformError):
    """The settings force a kernel that this host's CPU cannot run."""


class HostStoreError(PlatformError):
    """The model could not be put on this host: disk full, foreign owner, not writable."""


class ConcurrentRunError(KyrosError):
    """Another run changed the same rows at the same time; nothing was written."""


class SparkLostError(KyrosError):
    """Spark's JVM ended under a running command; what was committed before is kept."""


class WorkerLostError(KyrosError):
    """A Python worker or an executor died again and again; what was committed before is kept."""


class StorageFullError(KyrosError):
    """A device has no room for what a stage writes; what was committed before is kept."""


class SourceNotFoundError(DataContractError):
    """The files of a source are not where the settings say."""


class SourceSchemaError(DataContractError):
    """A source's header or schema is not what the settings declare."""


class EmptySourceError(DataContractError):
    """A source holds no rows."""


class SourceEncodingError(DataContractError):
    """A source is not in the declared encoding."""


class DamagedFileError(DataContractError):
    """A file of a source or of a table cannot be read to its end."""


class TooManyRejectsError(DataContractError):
    """More rows were refused than the settings allow."""


class RuleFailedError(DataContractError):
    """A row breaks a rule that no row of a batch may break."""


class BatchChangedError(DataContractError):
    """A batch differs from the one before in ways that the settings do not allow."""


class BatchMissingError(DataContractError):
    """A stage needs a batch that the stage before it has not written."""


class TableSchemaError(DataContractError):
    """A table has a column of another type than its contract states."""


class TableConstraintError(DataContractError):
    """Rows about to be written break a constraint of their table."""


class ExposureError(DataContractError):
    """Exposure is missing, not positive, or above its range."""


class SplitError(DataContractError):
    """The settings' split does not say of every policy which part it belongs to."""


class FeatureDefinitionError(ConfigError):
    """A feature, target or exposure expression of the settings cannot be computed."""


class ExpressionError(DataContractError):
    """An expression of the settings failed on the data."""


class TrainingDataError(DataContractError):
    """The training part cannot carry the model: no rows, no claims, one level only."""


class LeakageError(GateError):
    """A feature alone explains more of the target than what is known beforehand could."""


class FitError(KyrosError):
    """The solver did not arrive at a model."""


class UnknownModelError(UsageError):
    """A model name or version is not in the registry."""


class FeatureMismatchError(DataContractError):
    """The prepared batch's features are not those the model was trained on."""


class PredictionValueError(DataContractError):
    """A stored prediction, or a target, is not a number that a model can be judged by."""


class ModelFileError(ModelFormatError):
    """The registered model file is missing, or its bytes are not those that were registered."""


def lost_worker(error: Exception) -> str:
    """Return how Spark says that a Python worker or an executor died; "" where it does not."""
    found = _LOST_WORKER.search(str(error))
    return found[0].splitlines()[0] if found else ""


def spark_is_gone(error: BaseException) -> bool:
    """Tell whether a call failed since Spark's JVM, or its server, no longer answers."""
    # By name, since Spark Connect's own client comes without py4j.
    kind, said = type(error).__name__, str(error)
    cut_off = kind == "Py4JError" and "Trace:" not in said
    # While rows come to the driver: pyspark's own EOFError has no words, a short file's has.
    no_rows = "CANNOT_OPEN_SOCKET" in said or (isinstance(error, EOFError) and not said)
    return isinstance(error, ConnectionError) or kind == "Py4JNetworkError" or cut_off or no_rows


def is_full(error: BaseException) -> bool:
    """Tell whether a device had no room for what was written."""
    return _FULL.search(str(error)) is not None


def machine_failed(error: Exception) -> bool:
    """Tell whether a call failed by what it ran on; no settings or data are then to blame."""
    return spark_is_gone(error) or bool(lost_worker(error)) or is_full(error)


def spark_lost(work: str) -> SparkLostError:
    """Return the error of work under which Spark's JVM ended."""
    return SparkLostError(
        f"{work}: expected Spark to answer, found its JVM gone: it was killed, often for memory "
        "(kyros plan tells what is bounded by which setting); give the same command again, what "
        "was committed before is kept"
    )


def first_line(error: Exception) -> str:
    """Return what an error says first, or its kind where it says nothing; Spark's run to pages."""
    said = str(error).strip().splitlines()
    return said[0] if said else type(error).__name__


def java_cause(error: Exception) -> str:
    """Return the line in which a bare Java error says what happened, without its stack."""
    said = str(error).splitlines() or [type(error).__name__]
    line = next((line for line in said if line.startswith(("Caused", ": "))), said[0])
    return line.strip().removeprefix(": ")
