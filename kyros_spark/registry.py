"""Keep the `models` registry: versions, the champion of each name, and the files behind them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from pyspark.sql import functions as F

from kyros_spark.delta import Tables, Written
from kyros_spark.errors import ModelFileError, UnknownModelError
from kyros_spark.files import read_file, write_file
from kyros_spark.model.artefact import Model, model_hash, model_to_bytes, read_model
from kyros_spark.tables.models import MODELS

_REFERENCE = re.compile(r"^(?P<name>[A-Za-z_]\w*)(@(?P<version>\d+|champion))?$")


@dataclass(frozen=True)
class Entry:
    """A registered model version, as far as those who apply it need to know."""

    name: str
    version: int
    status: str
    path: str
    sha256: str
    fingerprint: str
    metrics: dict[str, float]


class Described(Protocol):
    """What a registry row tells of a model's settings: those of train, or of an import."""

    @property
    def method(self) -> str:
        """How it was fitted."""

    @property
    def family(self) -> str:
        """Its error distribution."""

    @property
    def target(self) -> str:
        """What it predicts."""

    @property
    def per(self) -> str | None:
        """Per unit of what."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return all of it, as JSON takes it."""


@dataclass(frozen=True)
class Trained:
    """A model just trained or imported, to be registered."""

    name: str
    model: Model
    settings: Described
    fingerprint: str
    metrics: Mapping[str, float]


class Registry:
    """The registry among a portfolio's tables."""

    def __init__(self, tables: Tables, artefacts: str) -> None:
        """Take the tables, and the folder of the model files."""
        self._tables = tables
        self._artefacts = artefacts.rstrip("/")

    def entries(self) -> list[Entry]:
        """Return every registered version, oldest first."""
        table = self._tables.find(MODELS.name)
        if table is None:
            return []
        rows = sorted(table.collect(), key=lambda row: (row["model_name"], row["model_version"]))
        return [
            Entry(
                row["model_name"],
                row["model_version"],
                row["status"],
                row["path"],
                row["sha256"],
                row["fingerprint"],
                dict(row["metrics"]),
            )
            for row in rows
        ]

    def find(self, *references: str) -> list[Entry]:
        """Return the entries that NAME, NAME@VERSION or NAME@champion name.

        Raises:
            UnknownModelError: there is none; the message lists what there is.
        """
        entries = self.entries()
        return [self._find(reference, entries) for reference in references]

    def _find(self, reference: str, entries: Sequence[Entry]) -> Entry:
        parts = _REFERENCE.match(reference)
        known = ", ".join(f"{e.name}@{e.version} ({e.status})" for e in entries) or "none"
        if parts is None:
            raise UnknownModelError(
                f"model '{reference}': expected NAME, NAME@VERSION or NAME@champion"
            )
        wanted = parts["version"] or "champion"
        for entry in entries:
            is_it = (
                entry.status == "champion" if wanted == "champion" else str(entry.version) == wanted
            )
            if entry.name == parts["name"] and is_it:
                return entry
        raise UnknownModelError(
            f"model '{reference}': expected {wanted} of {parts['name']} in table models, found "
            f"{known}; train it (kyros train) or name another"
        )

    def load(self, entry: Entry) -> tuple[Model, bytes]:
        """Return a registered model and its bytes, verified against the registry's hash.

        Raises:
            ModelFileError: the file is missing, or is not the one that was registered.
        """
        data = read_file(self._tables.spark, entry.path)
        found = model_hash(data)
        if found != entry.sha256:
            raise ModelFileError(
                f"model file {entry.path} of {entry.name}@{entry.version}: expected SHA-256 "
                f"{entry.sha256}, found {found}; restore the file or train the model again"
            )
        return read_model(data), data

    def register(
        self,
        trained: Sequence[Trained],
        kept: Sequence[Entry],
        status: str,
        batch: str,
        run_id: str,
    ) -> tuple[Written | None, list[Entry]]:
        """Write the models' files, then their rows in one commit; new champions retire old ones.

        kept: versions that the settings name again; where these name champions, they become that.
        """
        again = [e for e in kept if status == "champion" and e.status != status]
        if not trained and not again:
            return None, []
        known = self.entries()
        rows, added = [], []
        for one in trained:
            version = next_version(known, one.name)
            data = model_to_bytes(one.model)
            sha256 = model_hash(data)
            path = f"{self._artefacts}/{one.name}/{version}-{sha256[:12]}.kyros"
            write_file(self._tables.spark, path, data)
            rows.append(_row(one, version, status, path, sha256, batch, run_id))
            metrics = dict(one.metrics)
            added.append(Entry(one.name, version, status, path, sha256, one.fingerprint, metrics))
        schema = ", ".join(f"{column.name} {column.type}" for column in MODELS.columns)
        frame = self._tables.spark.createDataFrame(rows, schema)
        if status == "champion" and known:
            names = [*(one.name for one in trained), *(entry.name for entry in again)]
            table = self._tables.read(MODELS.name)
            before = table.where(F.col("model_name").isin(names) & (F.col("status") == "champion"))
            back = F.concat_ws("@", "model_name", "model_version").isin(
                [f"{entry.name}@{entry.version}" for entry in again]
            )
            frame = frame.unionByName(table.where(back).withColumn("status", F.lit("champion")))
            frame = before.withColumn("status", F.lit("retired")).unionByName(frame)
        added += [replace(entry, status="champion") for entry in again]
        return self._tables.merge(MODELS, frame, run_id), added


def next_version(known: Sequence[Entry], name: str) -> int:
    """Return the version that the next model of a name gets."""
    return max((entry.version for entry in known if entry.name == name), default=0) + 1


def _row(
    one: Trained, version: int, status: str, path: str, sha256: str, batch: str, run_id: str
) -> dict[str, Any]:
    manifest = one.model.manifest
    return {
        "model_name": one.name,
        "model_version": version,
        "status": status,
        "method": one.settings.method,
        "family": one.settings.family,
        "target": one.settings.target,
        "per": one.settings.per,
        "path": path,
        "sha256": sha256,
        "feature_spec_hash": manifest.feature_spec_hash,
        "fingerprint": one.fingerprint,
        "metrics": dict(one.metrics),
        "settings": json.dumps(one.settings.model_dump(mode="json")),
        "trained_at": datetime.now(UTC),
        "batch_id": batch,
        "run_id": run_id,
    }
