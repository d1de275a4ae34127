"""Keep the `models` registry: versions, the champion of each name, and the files behind them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kyros_spark.delta.partition_rows import small_rows
from kyros_spark.delta.tables import DeltaTables, Written
from kyros_spark.errors import GateError, ModelFileError, UnknownModelError
from kyros_spark.model.artefact import Model, model_hash, model_to_bytes, read_model
from kyros_spark.registry import changes, gate
from kyros_spark.registry.entry import Entry, Trained, entry_from_json, entry_of, row_of
from kyros_spark.storage.files import read_file, write_file
from kyros_spark.tables.models import MODELS

_REFERENCE = re.compile(r"^(?P<name>[A-Za-z_]\w*)(@(?P<version>\d+|champion))?$")


@dataclass(frozen=True)
class Refused:
    """A version that the gate kept from becoming champion, and the reasons."""

    entry: Entry
    champion: Entry | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Registered:
    """The result of registering: the commit, the versions added or promoted, and those refused."""

    written: Written | None
    changed: list[Entry]
    refused: list[Refused]

    def check(self) -> None:
        """Raise for the versions that the gate refused, which are registered as candidates.

        Raises:
            GateError: names the numbers that each version misses.
        """
        refusals = [gate.refusal(r.entry, r.champion, r.reasons) for r in self.refused]
        if refusals:
            raise GateError(". ".join(map(str, refusals)))


@dataclass(frozen=True)
class Promoted:
    """A promotion: the commit (None if none was needed), the champion, and the one before it."""

    written: Written | None
    entry: Entry
    before: Entry | None


class Registry:
    """The model registry of a portfolio."""

    def __init__(self, tables: DeltaTables, artefacts: str) -> None:
        """Open the registry of these tables. artefacts: the folder of the model files."""
        self._tables = tables
        self._artefacts = artefacts.rstrip("/")

    def entries(self) -> list[Entry]:
        """Return every registered version, oldest first."""
        cache = self._tables.version_cache(MODELS.name)
        documents = cache.get_or_compute(cache.now(), self._read_documents)
        return sorted(
            map(entry_from_json, documents), key=lambda entry: (entry.name, entry.version)
        )

    def _read_documents(self) -> list[dict[str, Any]]:
        version = self._tables.version(MODELS.name)
        rows = small_rows(self._tables, MODELS.name, version) if version is not None else []
        return [entry_of(row).to_json() for row in rows]

    def find(self, *references: str) -> list[Entry]:
        """Return the entries of references of the form NAME, NAME@VERSION or NAME@champion.

        Raises:
            UnknownModelError: there is no such version; the message lists the existing ones.
        """
        entries = self.entries()
        return [self._find(reference, entries) for reference in references]

    def _find(self, reference: str, entries: Sequence[Entry]) -> Entry:
        parts = _REFERENCE.match(reference)
        listed = ", ".join(f"{e.name}@{e.version} ({e.status})" for e in entries) or "none"
        if parts is None:
            raise UnknownModelError(
                f"model '{reference}': expected NAME, NAME@VERSION or NAME@champion"
            )
        wanted = parts["version"] or "champion"
        for entry in entries:
            matches = (
                entry.status == "champion" if wanted == "champion" else str(entry.version) == wanted
            )
            if entry.name == parts["name"] and matches:
                return entry
        raise UnknownModelError(
            f"model '{reference}': expected {wanted} of {parts['name']} in table models, found "
            f"{listed}; train it (kyros train), promote a version (kyros promote NAME@VERSION), or "
            "name another"
        )

    def load(self, entry: Entry) -> tuple[Model, bytes]:
        """Return a registered model and its bytes, checked against the registry's hash.

        Raises:
            ModelFileError: the file is missing, or is not the one that was registered.
        """
        data = read_file(self._tables.spark, entry.path)
        sha256 = model_hash(data)
        if sha256 != entry.sha256:
            raise ModelFileError(
                f"model file {entry.path} of {entry.name}@{entry.version}: expected SHA-256 "
                f"{entry.sha256}, found {sha256}; restore the file or train the model again"
            )
        return read_model(data), data

    @changes.until_done
    def register(
        self,
        trained: Sequence[Trained],
        kept: Sequence[Entry],
        status: str,
        batch: str,
        run_id: str,
    ) -> Registered:
        """Write the models' files, then their rows in one commit.

        kept: registered versions that the settings ask for again. If status is champion, the new
        and the kept versions become champions and retire the ones before, unless the gate refuses:
        then a new version is registered as a candidate, and a kept one keeps its status.
        """
        entries = self.entries()
        added = [self._write_model(model, entries, batch, run_id) for model in trained]
        wanted: list[Entry] = []
        if status == "champion":
            references = {entry.reference for entry in kept}
            again = [entry for entry in entries if entry.reference in references]
            wanted = [*(entry_of(row) for row in added), *again]
        challengers = [entry for entry in wanted if entry.status != "champion"]
        refused = _refused(challengers, entries)
        held_back = {refusal.entry.reference for refusal in refused}
        promoted = [entry for entry in challengers if entry.reference not in held_back]
        stamp = changes.stamp(f"status champion, asked for by run {run_id}")
        rows = _as_changes(added, promoted, entries, stamp)
        written = changes.write(self._tables, rows, run_id) if rows else None
        champions = [replace(entry, status="champion", **stamp) for entry in promoted]
        references = {entry.reference for entry in champions}
        rest = [entry for entry in map(entry_of, added) if entry.reference not in references]
        return Registered(written, [*champions, *rest], refused)

    def _write_model(
        self, trained: Trained, entries: Sequence[Entry], batch: str, run_id: str
    ) -> dict[str, Any]:
        """Write a model's file and return its row, as a candidate."""
        version = next_version(entries, trained.name)
        data = model_to_bytes(trained.model)
        sha256 = model_hash(data)
        path = f"{self._artefacts}/{trained.name}/{version}-{sha256[:12]}.kyros"
        write_file(self._tables.spark, path, data)
        row = row_of(trained, path, sha256, batch, run_id)
        return {**row, "model_version": version, "status": "candidate"}

    @changes.until_done
    def promote(self, reference: str, reason: str, run_id: str) -> Promoted:
        """Make a version champion through the gate, in one commit; a champion needs no commit.

        Raises:
            UnknownModelError: there is no such version.
            GateError: it misses a threshold or budget that was declared before it was trained.
        """
        entries = self.entries()
        entry = self._find(reference, entries)
        before = champion_of(entry.name, entries)
        if entry.status == "champion":
            return Promoted(None, entry, before)
        Registered(None, [], _refused([entry], entries)).check()
        stamp = changes.stamp(reason)
        written = changes.write(self._tables, _as_changes([], [entry], entries, stamp), run_id)
        return Promoted(written, replace(entry, status="champion", **stamp), before)


def champion_of(name: str, entries: Sequence[Entry]) -> Entry | None:
    """Return the reigning champion of a name."""
    return next((e for e in entries if e.name == name and e.status == "champion"), None)


def next_version(entries: Sequence[Entry], name: str) -> int:
    """Return the version number of the next model of a name."""
    return max((entry.version for entry in entries if entry.name == name), default=0) + 1


def _refused(challengers: Sequence[Entry], entries: Sequence[Entry]) -> list[Refused]:
    """Return the challengers that the gate refuses as champions."""
    pairs = [(entry, champion_of(entry.name, entries)) for entry in challengers]
    judged = [Refused(e, champion, tuple(gate.faults(e, champion))) for e, champion in pairs]
    return [verdict for verdict in judged if verdict.reasons]


def _as_changes(
    added: Sequence[dict[str, Any]],
    promoted: Sequence[Entry],
    entries: Sequence[Entry],
    stamp: dict[str, Any],
) -> list[changes.Row]:
    """Return the rows of the MERGE that adds versions and makes the promoted ones champions."""
    new = {f"{row['model_name']}@{row['model_version']}": row for row in added}
    rows = [changes.retire(e.name, e.version, champion_of(e.name, entries)) for e in promoted]
    for entry in promoted:
        if entry.reference in new:
            new[entry.reference] |= {"status": "champion", **stamp}
        else:
            rows.append(changes.promote(entry, stamp))
    return rows + [changes.new(row) for row in new.values()]
