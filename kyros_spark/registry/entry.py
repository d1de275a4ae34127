"""Describe a model version as the registry knows it, and make its row in table models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from kyros_spark import environment
from kyros_spark.config import BudgetSettings
from kyros_spark.model.artefact import Model


@dataclass(frozen=True)
class Entry:
    """A registered model version; fields unknown to the package that wrote it are empty."""

    name: str
    version: int
    status: str
    path: str
    sha256: str
    fingerprint: str
    metrics: dict[str, float]
    method: str
    family: str
    target: str
    per: str | None
    feature_spec_hash: str
    settings: dict[str, Any]
    trained_at: datetime
    batch: str
    run_id: str
    inputs: dict[str, str]
    git_commit: str
    code_hash: str
    libraries: dict[str, str]
    quality: dict[str, Any]
    budgets: dict[str, float | None]
    cost: dict[str, float]
    importance: dict[str, float]
    promoted_at: datetime | None
    promoted_by: str
    promoted_reason: str

    @property
    def reference(self) -> str:
        """Return NAME@VERSION."""
        return f"{self.name}@{self.version}"

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON; ``entry_from_json`` reads it."""
        moments = {"trained_at": self.trained_at, "promoted_at": self.promoted_at}
        as_text = {name: moment and moment.isoformat() for name, moment in moments.items()}
        return {**asdict(self), **as_text}


def entry_from_json(document: Mapping[str, Any]) -> Entry:
    """Return the entry that ``Entry.to_json`` wrote."""
    texts = {name: document[name] for name in ("trained_at", "promoted_at")}
    moments = {name: text and datetime.fromisoformat(text) for name, text in texts.items()}
    return Entry(**{**document, **moments})


class Described(Protocol):
    """The settings that a registry row records of a model: those of train, or of an import."""

    @property
    def method(self) -> str:
        """Return how the model was fitted."""

    @property
    def family(self) -> str:
        """Return its error distribution."""

    @property
    def target(self) -> str:
        """Return the column that it predicts."""

    @property
    def per(self) -> str | None:
        """Return the column whose units it predicts per; None if it has none."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return all settings as JSON."""


@dataclass(frozen=True)
class Trained:
    """A model just trained or imported, to be registered with its declared quality and budgets.

    quality: ``thresholds`` (metric -> min, max) and ``not_worse_than_champion``, as JSON.
    """

    name: str
    model: Model
    settings: Described
    fingerprint: str
    metrics: Mapping[str, float]
    inputs: Mapping[str, str] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)
    budgets: BudgetSettings = field(default_factory=BudgetSettings)
    cost: Mapping[str, float] = field(default_factory=dict)


def row_of(trained: Trained, path: str, sha256: str, batch: str, run_id: str) -> dict[str, Any]:
    """Return a model's row in table models, still without version and status."""
    manifest = trained.model.manifest
    return {
        "model_name": trained.name,
        "method": trained.settings.method,
        "family": trained.settings.family,
        "target": trained.settings.target,
        "per": trained.settings.per,
        "path": path,
        "sha256": sha256,
        "feature_spec_hash": manifest.feature_spec_hash,
        "fingerprint": trained.fingerprint,
        "metrics": dict(trained.metrics),
        "settings": json.dumps(trained.settings.model_dump(mode="json")),
        "trained_at": datetime.now(UTC),
        "batch_id": batch,
        "run_id": run_id,
        "inputs": dict(trained.inputs),
        "git_commit": environment.git_commit(),
        "code_hash": environment.code_hash(),
        "libraries": environment.libraries(),
        "quality": json.dumps(dict(trained.quality)),
        "budgets": trained.budgets.model_dump_json(),
        "cost": dict(trained.cost),
        "importance": dict(manifest.training.get("importance", {})),
    }


def entry_of(row: Mapping[str, Any]) -> Entry:
    """Return the entry of a row of table models, even if an earlier package version wrote it."""
    get = row.get
    return Entry(
        row["model_name"],
        row["model_version"],
        row["status"],
        row["path"],
        row["sha256"],
        row["fingerprint"],
        dict(row["metrics"]),
        row["method"],
        row["family"],
        row["target"],
        row["per"],
        row["feature_spec_hash"],
        json.loads(row["settings"]),
        _in_utc(row["trained_at"]),
        row["batch_id"],
        row["run_id"],
        inputs=dict(get("inputs") or {}),
        git_commit=get("git_commit") or "",
        code_hash=get("code_hash") or "",
        libraries=dict(get("libraries") or {}),
        quality=json.loads(get("quality") or "{}"),
        budgets=json.loads(get("budgets") or "{}"),
        cost=dict(get("cost") or {}),
        importance=dict(get("importance") or {}),
        promoted_at=_in_utc(row["promoted_at"]) if get("promoted_at") else None,
        promoted_by=get("promoted_by") or "",
        promoted_reason=get("promoted_reason") or "",
    )


def _in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; Spark's rows have it in the session's zone, as a naive datetime."""
    return moment.astimezone(UTC)
