"""`prepared`: one row per policy, ready for a model: exposure, targets, split and features."""

from kyros_spark.config import PrepareSettings, SourceSettings
from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table, declared

EXPOSURE = Column("exposure", "double", "policy-years at risk; an offset or weight, not a feature")
SPLIT = Column("split", "string", "train, valid or test, as the split settings define it")
CLAIM_TARGETS = (
    Column("claim_count", "double", "number of claims that count; NULL if unknown"),
    Column("claim_amount", "double", "sum of claim amounts, each capped; NULL if one is unknown"),
    Column("claim_excess", "double", "sum of the excess above the cap; NULL if one is unknown"),
)


def targets(settings: PrepareSettings) -> tuple[Column, ...]:
    """Return the target columns: those from claims, then those the settings declare."""
    declared_targets = (
        Column(name, "double", f"target: {sql}") for name, sql in settings.targets.items()
    )
    return (*(CLAIM_TARGETS if settings.claims is not None else ()), *declared_targets)


def features(settings: PrepareSettings) -> tuple[Column, ...]:
    """Return the feature columns: numbers (also those that train cuts into bins), else text."""
    return tuple(
        Column(
            name,
            feature.precision if feature.is_number else "string",
            feature.description or f"feature: {feature.sql or feature.column or name}",
        )
        for name, feature in settings.features.items()
    )


def prepared(source: SourceSettings, settings: PrepareSettings) -> Table:
    """Return the contract: policy key, exposure, targets, split, features, batch and run."""
    return Table(
        name="prepared",
        comment="Policies ready for a model; train fits the encodings later.",
        columns=(
            *declared(source, source.key),
            EXPOSURE,
            *targets(settings),
            SPLIT,
            *features(settings),
            BATCH_ID,
            RUN_ID,
        ),
        key=("batch_id", *source.key),
        constraints={"exposure_positive": "exposure > 0"},
    )
