"""Keep the `models` registry: versions, the champion of each name, and the files behind them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

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
    """A version that the gate kept from being champion, and why."""

    entry: Entry
    champion: Entry | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Registered:
    """What registering did: the commit, the versions it added or promoted, and those refused."""

    written: Written | None
    changed: list[Entry]
    refused: list[Refused]

    def check(self) -> None:
        """Raise GateError for what the gate refused; it is registered, as a candidate."""
        told = [str(gate.refusal(one.entry, one.champion, one.reasons)) for one in self.refused]
        if told:
            raise GateError(". ".join(told))


@dataclass(frozen=True)
class Promoted:
    """A promotion: the commit, if one was needed, the champion, and the one before it."""

    written: Written | None
    entry: Entry
    before: Entry | None


class Registry:
    """The registry among a portfolio's tables."""

    def __init__(self, tables: DeltaTables, artefacts: str) -> None:
        """Take the tables, and the folder of the model files."""
        self._tables = tables
        self._artefacts = artefacts.rstrip("/")

    def entries(self) -> list[Entry]:
        """Return every registered version, oldest first."""
        kept = self._tables.version_cache(MODELS.name)
        told = kept.get_or_compute(kept.now(), self._asked)
        return sorted(map(entry_from_json, told), key=lambda entry: (entry.name, entry.version))

    def _asked(self) -> list[dict[str, Any]]:
        table = self._tables.find(MODELS.name)
        return (
            [entry_of(row.asDict()).to_json() for row in table.collect()]
            if table is not None
            else []
        )

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
            f"{known}; train it (kyros train), promote a version (kyros promote NAME@VERSION), or "
            "name another"
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

        kept: versions that the settings name again. Where status is champion, new versions and
        those become it and retire the one before, unless the gate refuses: then a new version is
        registered as a candidate, a kept one stays what it is.
        """
        known = self.entries()
        added = [self._written(one, known, batch, run_id) for one in trained]
        wanted: list[Entry] = []
        if status == "champion":
            again = [e for e in known if e.reference in {one.reference for one in kept}]
            wanted = [*(entry_of(row) for row in added), *again]
        refused = _judged([e for e in wanted if e.status != "champion"], known)
        held_back = {one.entry.reference for one in refused}
        promoted = [e for e in wanted if e.status != "champion" and e.reference not in held_back]
        stamp = changes.stamp(f"status champion, asked for by run {run_id}")
        rows = _as_changes(added, promoted, known, stamp)
        written = changes.write(self._tables, rows, run_id) if rows else None
        now = [replace(entry, status="champion", **stamp) for entry in promoted]
        named = {entry.reference for entry in now}
        rest = [e for e in map(entry_of, added) if e.reference not in named]
        return Registered(written, [*now, *rest], refused)

    def _written(
        self, one: Trained, known: Sequence[Entry], batch: str, run_id: str
    ) -> dict[str, Any]:
        """Write a model's file; return its row, as a candidate."""
        version = next_version(known, one.name)
        data = model_to_bytes(one.model)
        sha256 = model_hash(data)
        path = f"{self._artefacts}/{one.name}/{version}-{sha256[:12]}.kyros"
        write_file(self._tables.spark, path, data)
        row = row_of(one, path, sha256, batch, run_id)
        return {**row, "model_version": version, "status": "candidate"}

    @changes.until_done
    def promote(self, reference: str, reason: str, run_id: str) -> Promoted:
        """Make a version champion through the gate, in one commit; no commit if it is champion.

        Raises:
            UnknownModelError: there is no such version.
            GateError: it does not meet what was declared before it was trained.
        """
        known = self.entries()
        entry = self._find(reference, known)
        before = champion_of(entry.name, known)
        if entry.status == "champion":
            return Promoted(None, entry, before)
        Registered(None, [], _judged([entry], known)).check()
        stamp = changes.stamp(reason)
        written = changes.write(self._tables, _as_changes([], [entry], known, stamp), run_id)
        return Promoted(written, replace(entry, status="champion", **stamp), before)


def champion_of(name: str, known: Sequence[Entry]) -> Entry | None:
    """Return the reigning champion of a name."""
    return next((e for e in known if e.name == name and e.status == "champion"), None)


def next_version(known: Sequence[Entry], name: str) -> int:
    """Return the version that the next model of a name gets."""
    return max((entry.version for entry in known if entry.name == name), default=0) + 1


def _judged(wanted: Sequence[Entry], known: Sequence[Entry]) -> list[Refused]:
    judged = [(entry, champion_of(entry.name, known)) for entry in wanted]
    refused = [Refused(e, champion, tuple(gate.faults(e, champion))) for e, champion in judged]
    return [one for one in refused if one.reasons]


def _as_changes(
    added: Sequence[dict[str, Any]],
    promoted: Sequence[Entry],
    known: Sequence[Entry],
    stamp: dict[str, Any],
) -> list[changes.Row]:
    new = {f"{row['model_name']}@{row['model_version']}": row for row in added}
    rows = [changes.retire(e.name, e.version, champion_of(e.name, known)) for e in promoted]
    for entry in promoted:
        if entry.reference in new:
            new[entry.reference] |= {"status": "champion", **stamp}
        else:
            rows.append(changes.promote(entry, stamp))
    return rows + [changes.new(row) for row in new.values()]
