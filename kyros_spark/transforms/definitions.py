"""Hash the definition of a feature, so that a change of it is noticed."""

from __future__ import annotations

from collections.abc import Iterable

from kyros_spark.config import FeatureSettings, PrepareSettings
from kyros_spark.digest import digest

# Descriptions, permissions and the choices of train are not part of the definition.
_NOT_DEFINING = {
    "description", "base", "order", "rare", "impute", "rating_use", "available_at_scoring", "cost",
}  # fmt: skip
# Left out of the hash where unused, so that models trained before these settings remain valid.
_OPTIONAL = {
    "log": None, "ratio": (), "age": None, "interaction": (), "version": 1, "quantiles": None,
    "precision": "double",
}  # fmt: skip


def definition_hash(feature: FeatureSettings) -> str:
    """Return the hash of a feature's definition, without its description and permissions."""
    settings = feature.model_dump(mode="json", exclude=_NOT_DEFINING)
    unused = {name for name in _OPTIONAL if getattr(feature, name) == _OPTIONAL[name]}
    return digest({name: value for name, value in settings.items() if name not in unused})


def schema_hash(settings: PrepareSettings, names: Iterable[str] | None = None) -> str:
    """Return the hash of the named features (default: all), in order, by name and definition."""
    return digest([[n, definition_hash(settings.features[n])] for n in names or settings.features])
