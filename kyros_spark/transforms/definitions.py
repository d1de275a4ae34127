"""Hash what a feature is, so that a change of definition shows."""

from __future__ import annotations

from collections.abc import Iterable

from kyros_spark.config import FeatureSettings, PrepareSettings
from kyros_spark.digest import digest

# What is said about a feature, and what train chooses, is not what the feature is.
_NOT_DEFINING = {
    "description", "base", "order", "rare", "impute", "rating_use", "available_at_scoring", "cost",
}  # fmt: skip
# Left out of the hash where they are not used, so that models trained before they existed serve on.
_OPTIONAL = {
    "log": None, "ratio": (), "age": None, "interaction": (), "version": 1, "quantiles": None,
    "precision": "double",
}  # fmt: skip


def definition_hash(feature: FeatureSettings) -> str:
    """Return the hash of what a feature is, whatever is said about it."""
    told = feature.model_dump(mode="json", exclude=_NOT_DEFINING)
    unused = {name for name in _OPTIONAL if getattr(feature, name) == _OPTIONAL[name]}
    return digest({name: value for name, value in told.items() if name not in unused})


def schema_hash(settings: PrepareSettings, names: Iterable[str] | None = None) -> str:
    """Return the hash of some features (default: all), each by name and definition, in order."""
    return digest([[n, definition_hash(settings.features[n])] for n in names or settings.features])
