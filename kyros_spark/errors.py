"""Define every error this package raises, each described in one sentence.

An error message states the table, the column, what was expected, what was found, and what to do
next. The class decides the job's exit code: 1 for anything unforeseen, 2 for wrong usage or
settings, 3 if the data broke its contract (nothing was written), 4 if a gate refused.
"""

import re

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


class KyrosError(Exception):
    """Something went wrong in a way this package foresaw; the base of all errors below."""

    exit_code = 1


class UsageError(KyrosError):
    """The command line or the API was called with an argument it does not accept."""

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


class ThresholdError(GateError):
    """A model is outside the thresholds of evaluate; the evaluation that says so is kept."""


class ModelFormatError(DataContractError):
    """A model file is damaged, hostile, of an unknown version, or not a model file at all."""


class ModelNotSupportedError(UsageError):
    """The model is sound but needs a feature the engine lacks; the message names it."""


class KernelNotAvailableError(PlatformError):
    """The settings demand a kernel that this host's CPU cannot run."""


class HostStoreError(PlatformError):
    """The model could not be put on this host: disk full, foreign owner, not writable."""


class ConcurrentRunError(KyrosError):
    """Another run changed the same rows at the same time; nothing was written."""


class SparkLostError(KyrosError):
    """Spark's JVM ended during a command; earlier commits are kept."""


class WorkerLostError(KyrosError):
    """A Python worker or an executor died repeatedly; earlier commits are kept."""


class StorageFullError(KyrosError):
    """A device has no room for what a stage writes; earlier commits are kept."""


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


class TooManyDuplicatesError(DataContractError):
    """More rows are exact copies of others than the settings allow."""


class ClaimsDifferError(DataContractError):
    """More policies differ from their claims than the settings allow."""


class RuleFailedError(DataContractError):
    """A row breaks a rule that no row of a batch may break."""


class BatchChangedError(DataContractError):
    """A batch differs from the previous one in ways that the settings do not allow."""


class BatchMissingError(DataContractError):
    """A stage needs a batch that the preceding stage has not written."""


class TableSchemaError(DataContractError):
    """A table has a column of another type than its contract states."""


class TableConstraintError(DataContractError):
    """Rows about to be written break a constraint of their table."""


class ExposureError(DataContractError):
    """Exposure is missing, not positive, or above its range."""


class SplitError(DataContractError):
    """The settings' split does not assign every policy to a part."""


class FeatureDefinitionError(ConfigError):
    """A feature, target or exposure expression of the settings cannot be computed."""


class ExpressionError(DataContractError):
    """An expression of the settings failed on the data."""


class TrainingDataError(DataContractError):
    """The training part cannot support the model: no rows, no claims, or only one level."""


class LeakageError(GateError):
    """A feature alone explains more of the target than facts known beforehand could."""


class FitError(KyrosError):
    """The solver did not converge to a model."""


class UnknownModelError(UsageError):
    """A model name or version is not in the registry."""


class FeatureMismatchError(DataContractError):
    """The prepared batch's features are not those the model was trained on."""


class PredictionValueError(DataContractError):
    """A stored prediction or a target is not a number by which a model can be judged."""


class ModelFileError(ModelFormatError):
    """The registered model file is missing, or its bytes differ from those registered."""


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


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its class; Spark's messages run to pages."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def java_cause(error: Exception) -> str:
    """Return the line in which a bare Java error names its cause, without the stack."""
    lines = str(error).splitlines() or [type(error).__name__]
    line = next((line for line in lines if line.startswith(("Caused", ": "))), lines[0])
    return line.strip().removeprefix(": ")
