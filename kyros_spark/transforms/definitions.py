"""Hash what a feature is, so that a change of definition shows."""

from __future__ import annotations

from collections.abc import Iterable

from kyros_spark.config import FeatureSettings, PrepareSettings
from kyros_spark.digest import digest


def definition_hash(feature: FeatureSettings) -> str:
    """Return the hash of what a feature is, whatever is said about it."""
    return digest(feature.model_dump(mode="json", exclude={"description", "base"}))


def schema_hash(settings: PrepareSettings, names: Iterable[str] | None = None) -> str:
    """Return the hash of some features (default: all), each by name and definition, in order."""
    return digest([[n, definition_hash(settings.features[n])] for n in names or settings.features])
