"""Find the predictions that a batch has stored: which models, which versions, from which run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.errors import BatchMissingError, ConfigError, UnknownModelError
from kyros_spark.evaluation.curves import Pair
from kyros_spark.evaluation.subjects import EvaluatedModel, subject
from kyros_spark.registry import Registry
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import Run


class StoredPredictions:
    """The stored predictions of one batch, by model and version."""

    def __init__(self, portfolio: Portfolio, run: Run) -> None:
        """Look them up in table predictions and in the ledger.

        Raises:
            BatchMissingError: the batch was not predicted, or prepared again since.
        """
        self._place, self._batch = portfolio, run.batch
        self._version = portfolio.done("predict", run.batch, run.stage).outputs["predictions"]
        self.prepared = portfolio.done("prepare", run.batch, run.stage)
        of = ("model_name", "model_version", "run_id")
        found = self._predictions(self._version).groupBy(*of).count().collect()
        self._runs = self._predict_runs()
        # Of a batch that several runs scored, the one that ended well tells what it was made from.
        found.sort(key=lambda row: (row["run_id"] in self._runs, row["run_id"]))
        self._current = {row["model_name"]: (row["model_version"], row["run_id"]) for row in found}
        self._registry = Registry(portfolio.tables, portfolio.config.tables.artefact_folder())
        self._entries = {(e.name, str(e.version)): e for e in self._registry.entries()}
        self.subjects: list[EvaluatedModel] = []

    def references(self) -> list[str]:
        """Return the names of the models in the batch."""
        return sorted(self._current)

    def add(self, reference: str) -> EvaluatedModel:
        """Return a model by NAME, or by NAME@VERSION where an earlier run predicted with that one.

        Raises:
            UnknownModelError: there are no such predictions of the batch.
        """
        name, version = self._named(reference)
        for one in self.subjects:
            if (one.name, one.version) == (name, version):
                return one
        at = self._found_at(name, version, reference)
        settings, number = self._place.config.evaluate, len(self.subjects)
        one = subject(self._registry, self._entries, number, (name, version), settings, at)
        self.subjects.append(one)
        return one

    def pair(self, number: int, new: EvaluatedModel, old: EvaluatedModel) -> Pair:
        """Return two models to be compared.

        Raises:
            ConfigError: one cannot be judged, or they predict different things.
        """
        told = [f"{s.target} per {s.per}" if (s := one.settings) else "-" for one in (new, old)]
        if told[0] != told[1] or new.settings is None:
            raise ConfigError(
                f"evaluate.pairs: expected two models of the same target and unit, found "
                f"{new.reference} ({told[0]}) and {old.reference} ({told[1]})"
            )
        return Pair(number, new, old)

    def rows(self, one: EvaluatedModel) -> DataFrame:
        """Return a model's stored predictions."""
        return self._predictions(one.version_at).where(
            (F.col("model_name") == one.name) & (F.col("model_version") == one.version)
        )

    def inputs(self) -> dict[str, str]:
        """Return what the evaluation rests on, and refuse predictions of another preparation.

        Raises:
            BatchMissingError: the batch was prepared again after it was predicted.
        """
        expected = f"{self.prepared.outputs['prepared']} of run {self.prepared.run_id}"
        told = {"prepared": expected}
        for one in self.subjects:
            version, run_id = self._current.get(one.name, ("", ""))
            if one.version != version:
                told[f"model {one.reference}"] = f"predictions {one.version_at}"
                continue
            told[f"model {one.reference}"] = f"run {run_id}"
            made_of = self._runs.get(run_id, {}).get("inputs", {}).get("prepared", expected)
            if made_of != expected:
                raise BatchMissingError(
                    f"predictions, batch {self._batch}, model {one.reference}: expected them made "
                    f"from prepared {expected}, found {made_of}; run: kyros predict --batch "
                    f"{self._batch}"
                )
        return told

    def _predictions(self, version: int) -> DataFrame:
        return self._place.tables.read("predictions", version, [self._batch])

    def _named(self, reference: str) -> tuple[str, str]:
        name, _, version = reference.partition("@")
        return name, version or self._current.get(name, ("", ""))[0]

    def _found_at(self, name: str, version: str, reference: str) -> int:
        if name in self._current and self._current[name][0] == version:
            return self._version
        before = [r for r in self._runs.values() if r["models"].get(name) == version]
        if before:
            return int(max(before, key=lambda r: r["started_at"])["version"])
        known = ", ".join(f"{n}@{v}" for n, (v, _) in sorted(self._current.items()))
        raise UnknownModelError(
            f"model '{reference}': expected one that predicted batch {self._batch}, found {known}; "
            f"run: kyros predict --batch {self._batch} --model {reference}"
        )

    def _predict_runs(self) -> dict[str, dict[str, Any]]:
        done = self._place.tables.read("runs").where("stage = 'predict' AND status = 'done'")
        rows = done.where(F.col("batch_id") == self._batch)
        return {
            row["run_id"]: {
                "inputs": dict(row["inputs"]),
                "models": json.loads(row["details"]).get("models", {}),
                "version": dict(row["outputs"])["predictions"],
                "started_at": row["started_at"],
            }
            for row in rows.select("run_id", "inputs", "details", "outputs", "started_at").collect()
        }


def find_stored(
    portfolio: Portfolio, run: Run, models: Sequence[str]
) -> tuple[StoredPredictions, list[EvaluatedModel], list[Pair]]:
    """Return the models to judge (those named, or all), and the settings' pairs among them."""
    stored = StoredPredictions(portfolio, run)
    chosen = models or portfolio.config.evaluate.models or stored.references()
    subjects = [stored.add(reference) for reference in dict.fromkeys(chosen)]
    declared = () if models else portfolio.config.evaluate.pairs
    wanted = [(stored.add(new), stored.add(old)) for new, old in declared]
    count = len(stored.subjects)
    pairs = [stored.pair(count + n, new, old) for n, (new, old) in enumerate(wanted)]
    return stored, subjects, pairs
