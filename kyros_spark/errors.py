"""Define every error this package raises, each described in one sentence.

An error message states the table, the column, what was expected, what was found, and what to do
next. The class decides the job's exit code: 1 for anything unforeseen, 2 for wrong usage or
settings, 3 if the data broke its contract (nothing was written), 4 if a gate refused.
"""


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
    """A batch or model is outside its thresholds; the tables that say so are kept."""


class DriftError(ThresholdError):
    """A batch breaks a rule of monitor that fails; what was measured is kept."""


class ModelFormatError(DataContractError):
    """A model file is damaged, hostile, of an unknown version, or not a model file at all."""


class ModelNotSupportedError(UsageError):
    """The model is sound but needs a feature the engine lacks; the message names it."""


class CoversMissingError(ModelNotSupportedError):
    """A tree model does not say how many rows passed its nodes, which explanations weigh by."""


class KernelNotAvailableError(PlatformError):
    """The settings demand a kernel that this host's CPU cannot run."""


class HostStoreError(PlatformError):
    """The model could not be put on this host: disk full, foreign owner, not writable."""


class ConcurrentRunError(KyrosError):
    """Another run changed the same rows at the same time; nothing was written."""


class OtherBatchError(KyrosError):
    """A write would have reached rows of another batch than its own; nothing was written."""


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
