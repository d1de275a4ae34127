"""Say which settings the rows of `prepared` depend on, and whether a run had the present ones."""

from __future__ import annotations

from typing import Any

from kyros_spark import environment
from kyros_spark.config import Config
from kyros_spark.digest import digest
from kyros_spark.runs.run import LastRun


def settings_of(config: Config) -> dict[str, Any]:
    """Return the settings that prepare's work depends on, as JSON takes them."""
    return {
        "prepare": config.prepare.defining(),
        "keys": [config.sources.policies.key, reference(config)],
    }


def reference(config: Config) -> tuple[str, ...]:
    """Return the columns of claims that name a policy."""
    return config.sources.claims.reference if config.sources.claims is not None else ()


def has_present_settings(prepared: LastRun, config: Config) -> bool:
    """Tell whether a run of prepare had the present settings and this code."""
    same_settings = prepared.settings_hash == digest(settings_of(config))
    return same_settings and prepared.code_hash == environment.code_hash()
