"""Find the stored predictions of a batch: which models, which versions, from which run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyspark.sql import functions as F

from kyros_spark.errors import BatchMissingError, ConfigError, UnknownModelError
from kyros_spark.evaluation.curves import Pair
from kyros_spark.evaluation.subjects import EvaluatedModel, evaluated_model
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import LastRun
from kyros_spark.stages.evaluate.prediction_rows import scored_by


class StoredPredictions:
    """The stored predictions of one batch, by model and version."""

    def __init__(self, portfolio: Portfolio, batch: str) -> None:
        """Look them up in table predictions and in the ledger.

        Raises:
            BatchMissingError: the batch was not predicted, or prepared again since.
        """
        self._portfolio, self._batch = portfolio, batch
        self._last_run = portfolio.last_run("predict", batch, "evaluate")
        self._version = self._last_run.outputs["predictions"]
        self.prepared = portfolio.last_run("prepare", batch, "evaluate")
        scored = scored_by(portfolio, self._version, batch, self.prepared.rows_out)
        self._runs = {self._last_run.run_id: _facts_of(self._last_run)}
        if {row["run_id"] for row in scored} - set(self._runs):
            self._runs = self._predict_runs
        # If several runs scored the batch, the one that ended well says what it was made from.
        scored.sort(key=lambda row: (row["run_id"] in self._runs, row["run_id"]))
        self._current = {row["model_name"]: (row["model_version"], row["run_id"]) for row in scored}
        self._entries = {(e.name, str(e.version)): e for e in portfolio.registry.entries()}
        self.models: list[EvaluatedModel] = []

    def references(self) -> list[str]:
        """Return the names of the models in the batch."""
        return sorted(self._current)

    def add(self, reference: str) -> EvaluatedModel:
        """Return a model by NAME, or by NAME@VERSION where an earlier run predicted with that one.

        Raises:
            UnknownModelError: there are no such predictions of the batch.
        """
        name, version = self._name_and_version(reference)
        for model in self.models:
            if (model.name, model.version) == (name, version):
                return model
        version_at = self._table_version(name, version, reference)
        settings, registry = self._portfolio.config.evaluate, self._portfolio.registry
        number, stored = len(self.models), (name, version)
        model = evaluated_model(registry, self._entries, number, stored, settings, version_at)
        self.models.append(model)
        return model

    def pair(self, number: int, new: EvaluatedModel, old: EvaluatedModel) -> Pair:
        """Return two models to be compared.

        Raises:
            ConfigError: one cannot be judged, or they predict different things.
        """
        units = [f"{s.target} per {s.per}" if (s := m.settings) else "-" for m in (new, old)]
        if units[0] != units[1] or new.settings is None:
            raise ConfigError(
                f"evaluate.pairs: expected two models of the same target and unit, found "
                f"{new.reference} ({units[0]}) and {old.reference} ({units[1]})"
            )
        return Pair(number, new, old)

    def identity(self) -> dict[str, str]:
        """Return what identifies the predictions; refuse those of an earlier preparation.

        Raises:
            BatchMissingError: the batch was prepared again after it was predicted.
        """
        expected = f"{self.prepared.outputs['prepared']} of run {self.prepared.run_id}"
        identity = {"prepared": expected}
        for model in self.models:
            version, run_id = self._current.get(model.name, ("", ""))
            if model.version != version:
                identity[f"model {model.reference}"] = f"predictions {model.version_at}"
                continue
            identity[f"model {model.reference}"] = f"run {run_id}"
            made_of = self._runs.get(run_id, {}).get("inputs", {}).get("prepared", expected)
            if made_of != expected:
                raise BatchMissingError(
                    f"predictions, batch {self._batch}, model {model.reference}: expected them "
                    f"made from prepared {expected}, found {made_of}; run: kyros predict --batch "
                    f"{self._batch}"
                )
        return identity

    def _name_and_version(self, reference: str) -> tuple[str, str]:
        name, _, version = reference.partition("@")
        return name, version or self._current.get(name, ("", ""))[0]

    def _table_version(self, name: str, version: str, reference: str) -> int:
        if name in self._current and self._current[name][0] == version:
            return self._version
        earlier = [r for r in self._predict_runs.values() if r["models"].get(name) == version]
        if earlier:
            return int(max(earlier, key=lambda r: r["started_at"])["version"])
        scored = ", ".join(f"{n}@{v}" for n, (v, _) in sorted(self._current.items()))
        raise UnknownModelError(
            f"model '{reference}': expected one that predicted batch {self._batch}, found "
            f"{scored}; run: kyros predict --batch {self._batch} --model {reference}"
        )

    @cached_property
    def _predict_runs(self) -> dict[str, dict[str, Any]]:
        """Every finished run of predict on the batch; the ledger holds the last one at hand."""
        done = self._portfolio.tables.read("runs").where("stage = 'predict' AND status = 'done'")
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


def _facts_of(run: LastRun) -> dict[str, Any]:
    """Return of the ledger's last run what _predict_runs has of each."""
    return {
        "inputs": run.inputs,
        "models": run.details.get("models", {}),
        "version": run.outputs["predictions"],
        "started_at": run.started_at,
    }


@dataclass(frozen=True)
class Selection:
    """The stored predictions of a batch, the models to judge, and the pairs to compare."""

    stored: StoredPredictions
    models: list[EvaluatedModel]
    pairs: list[Pair]


def select_models(portfolio: Portfolio, batch: str, names: Sequence[str]) -> Selection:
    """Return the models to judge (those named, or all), and the settings' pairs among them."""
    stored = StoredPredictions(portfolio, batch)
    settings = portfolio.config.evaluate
    chosen = names or settings.models or stored.references()
    models = [stored.add(reference) for reference in dict.fromkeys(chosen)]
    declared = () if names else settings.pairs
    compared = [(stored.add(new), stored.add(old)) for new, old in declared]
    count = len(stored.models)
    pairs = [stored.pair(count + n, new, old) for n, (new, old) in enumerate(compared)]
    return Selection(stored, models, pairs)
