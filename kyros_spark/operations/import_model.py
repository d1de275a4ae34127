"""import: a model file of another library -> `models`, if it fits the features and the budgets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config, is_remote
from kyros_spark.digest import digest
from kyros_spark.errors import FeatureMismatchError, UsageError
from kyros_spark.log import event
from kyros_spark.model.artefact import Model
from kyros_spark.model.importers import recognise
from kyros_spark.model.manifest import Feature
from kyros_spark.operations.import_settings import ImportSettings, check_import
from kyros_spark.publishing.publish import publish
from kyros_spark.registry import Entry, Trained
from kyros_spark.registry.cost import check_budgets, measure
from kyros_spark.registry.declared import with_declared
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run, fingerprint
from kyros_spark.storage.files import read_file
from kyros_spark.transforms.definitions import definition_hash


@dataclass(frozen=True)
class _Described:
    """The model's own settings, as table models has them."""

    method: str
    family: str
    target: str
    per: str | None
    options: dict[str, Any]

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return the options of the import."""
        return self.options


def import_model(
    spark: SparkSession,
    config: Config,
    model_file: str,
    settings: ImportSettings,
    run_id: str | None = None,
) -> Run:
    """Register the model in a file (for Spark MLlib a local or mounted folder) under a name.

    The same file with the same settings is registered once; its budgets are compared each time.

    Raises:
        ModelFormatError: the file is damaged, or no model.
        ModelNotSupportedError: the engine does not do what the model asks.
        FeatureMismatchError: a feature is not one of table prepared, or of another kind.
        GateError: the model is over budget, and nothing is registered; or the name's models in
            train declare a quality, which was not measured: it is registered as a candidate.
    """
    check_import(config, settings)
    return execute(_import_work(Portfolio(spark, config), model_file, settings), run_id)


def _import_work(
    portfolio: Portfolio, model_file: str, settings: ImportSettings
) -> Work[bytes | Path]:
    config = portfolio.config
    source = _source(portfolio.spark, model_file)
    features = {name: definition_hash(f) for name, f in config.prepare.features.items()}
    own = {"import": settings.model_dump(mode="json"), "features": features}
    return Work(
        portfolio,
        "import",
        settings.name,
        lambda: Inputs({"model file": _hash(source)}, source),
        {**own, "budgets": config.budgets.model_dump(mode="json")},
        partial(_import, portfolio, settings, digest(own)),
    )


def _import(
    portfolio: Portfolio,
    settings: ImportSettings,
    settings_hash: str,
    run: Run,
    source: bytes | Path,
) -> None:
    registry = portfolio.registry
    with run.phase("read"):
        model = _with_definitions(_read(source, settings), portfolio.config)
    with run.phase("measure"):
        cost = measure(model)
        check_budgets(settings.name, cost, portfolio.config.budgets)
    model_fingerprint = fingerprint(f"import {settings.name}", run.inputs, settings_hash)
    same = [entry for entry in registry.entries() if entry.fingerprint == model_fingerprint]
    manifest = model.manifest
    described = _Described(
        f"imported {manifest.source.library}",
        manifest.family,
        manifest.target,
        manifest.per,
        settings.model_dump(mode="json"),
    )
    imported = Trained(settings.name, model, described, model_fingerprint, cost)
    new = [with_declared(imported, portfolio.config, run.inputs, cost)] if not same else []
    with run.phase("register"):
        registered = registry.register(new, same, settings.status, "imported", run.run_id)
        if registered.written is not None:
            run.outputs["models"] = registered.written
    run.rows_out = len(new)
    entry = (registered.changed or same)[0]
    run.details = {settings.name: _details(entry, model, cost, bool(new))}
    publish(portfolio, run, registered.changed)
    registered.check()


def _source(spark: SparkSession, address: str) -> bytes | Path:
    """Return the file's bytes, or the path of a model that is a folder."""
    path = Path(address.removeprefix("file://").removeprefix("file:"))
    if not is_remote(address) and path.is_dir():
        return path
    if not is_remote(address) and not path.exists():
        raise UsageError(f"import --model-file {address}: expected a file or folder, found none")
    return read_file(spark, address)


def _hash(source: bytes | Path) -> str:
    """Return the SHA-256 of a file, or of a folder's part files, without Hadoop's markers."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    content = hashlib.sha256()
    for path in sorted(source.rglob("part-*")):
        content.update(f"{path.relative_to(source)}\0".encode())
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()


def _read(source: bytes | Path, settings: ImportSettings) -> Model:
    return recognise.import_model(
        source,
        settings.name,
        settings.target,
        settings.per,
        format=settings.format,
        features=settings.features,
        categories=settings.categories,
        iterations=settings.iterations,
        family=settings.family,
        link=settings.link,
        intercept=settings.intercept,
    )


def _with_definitions(model: Model, config: Config) -> Model:
    """Match the model's features by name to those that prepare makes.

    A feature has to be a number, or levels where the model's file names its categories.
    """
    features: list[Feature] = []
    for feature in model.manifest.features:
        prepared = config.prepare.features.get(feature.name)
        is_number = feature.kind == "numeric"
        if prepared is None or prepared.is_number != is_number:
            kind = "no such feature" if prepared is None else f"kind {prepared.kind}"
            expected = "numeric" if is_number else "levels or bins"
            why = "; the model's file does not name its levels" if is_number else ""
            suitable = _of_kind(config, is_number)
            raise FeatureMismatchError(
                f"model {model.manifest.name}, feature {feature.name}: expected a feature of kind "
                f"{expected} in prepare.features, found {kind}{why}. Such are: "
                f"{', '.join(suitable) or 'none'}"
            )
        features.append(feature.model_copy(update={"definition_hash": definition_hash(prepared)}))
    dumps = [feature.model_dump(mode="json") for feature in features]
    update = {"features": tuple(features), "feature_spec_hash": digest(dumps)}
    return Model(model.manifest.model_copy(update=update), model.arrays)


def _of_kind(config: Config, is_number: bool) -> Sequence[str]:
    features = config.prepare.features.items()
    return [name for name, feature in features if feature.is_number == is_number]


def _details(entry: Entry, model: Model, cost: dict[str, float], new: bool) -> dict[str, Any]:
    source = model.manifest.source
    return {
        "version": entry.version,
        "status": entry.status,
        "how": "imported" if new else "kept",
        "from": f"{source.library} {source.version}",
        "family": model.manifest.family,
        "link": model.manifest.link,
        "features": [feature.name for feature in model.manifest.features],
        "categories": {f.name: list(f.levels[:5]) for f in model.manifest.features if f.levels},
        **_rounds(model),
        **cost,
    }


def _rounds(model: Model) -> dict[str, int]:
    """Return the rounds of boosting kept and in the file, and log that some were left out."""
    training = model.manifest.training
    keys = ("rounds_kept", "rounds_in_file")
    rounds: dict[str, int] = {key: training[key] for key in keys if key in training}
    if len(set(rounds.values())) > 1:
        event(
            f"model {model.manifest.name}: {rounds['rounds_kept']} of {rounds['rounds_in_file']} "
            "rounds kept, as --iterations or the best_iteration in the file says"
        )
    return rounds
