"""Decide which models are new: each with its fingerprint, and the registered version it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kyros_spark.config import ModelSettings, TrainSettings
from kyros_spark.digest import digest
from kyros_spark.fitting.left_out import RowAccount
from kyros_spark.registry import Entry, Registry, Trained
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run, fingerprint
from kyros_spark.stages.train.composite import PinnedModel, pinned_models, pins


@dataclass
class Candidate:
    """One model of the settings, on its way into the registry.

    fingerprint: of its inputs, settings and code; of a composite also of its parts, once known.
    entry: the registered version with that fingerprint, if there is one: it is kept.
    account: the rows that it is given, and those left out.
    trained: what this run made of it.
    failure: why it made nothing.
    registered: every entry of the registry, by fingerprint.
    """

    name: str
    settings: ModelSettings
    fingerprint: str
    registered: Mapping[str, Entry]
    account: RowAccount | None = None
    trained: Trained | None = None
    failure: Exception | None = None

    @property
    def is_composite(self) -> bool:
        """Return whether it is made of other models."""
        return bool(self.settings.parts)

    @property
    def entry(self) -> Entry | None:
        """Return the registered version that it already is."""
        return self.registered.get(self.fingerprint)

    @property
    def is_new(self) -> bool:
        """Return whether no registered version is the same."""
        return self.entry is None


def candidates_of(portfolio: Portfolio, run: Run, settings: TrainSettings) -> dict[str, Candidate]:
    """Return a candidate per model of the settings, in their order."""
    registered = {entry.fingerprint: entry for entry in portfolio.registry.entries()}
    budgets = portfolio.config.budgets.model_dump(mode="json")
    return {
        name: Candidate(
            name,
            model,
            fingerprint(f"train {name}", run.inputs, _settings_hash(model, settings, budgets)),
            registered,
        )
        for name, model in settings.models.items()
    }


def pin_parts(
    registry: Registry, composite: Candidate, candidates: Mapping[str, Candidate]
) -> dict[str, PinnedModel]:
    """Return the models that a composite is made of, and take them into its fingerprint."""
    settings = composite.settings
    names = [*settings.parts, *settings.beside]
    parts = [candidates[name] for name in names]
    trained = [part.trained for part in parts if part.trained is not None]
    kept = {part.name: part.entry for part in parts if part.entry is not None}
    pinned = pinned_models(registry, names, trained, kept, list(composite.registered.values()))
    composite.fingerprint = fingerprint(composite.fingerprint, pins(settings, pinned), "")
    return pinned


def _settings_hash(
    model: ModelSettings, settings: TrainSettings, budgets: Mapping[str, Any]
) -> str:
    """Hash what a model depends on, and the limits that a kept one was held to, where they fail."""
    limits = [settings.max_one_way_d2] if settings.suspects == "fail" else []
    limits += [settings.max_left_out_share] if settings.max_left_out_share < 1 else []
    return digest([model.model_dump(mode="json"), dict(budgets), *limits])
