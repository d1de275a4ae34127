"""import: a model file of another library -> `models`, if it fits the features and the budgets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from pyspark.sql import SparkSession

from kyros_spark.config import Config, is_remote
from kyros_spark.config.base import NAME_PATTERN, Section
from kyros_spark.digest import digest
from kyros_spark.errors import ConfigError, FeatureMismatchError, UsageError
from kyros_spark.model.artefact import Model
from kyros_spark.model.importers import recognise
from kyros_spark.model.manifest import Family, Feature, Link
from kyros_spark.publishing.publish import publish
from kyros_spark.registry import Entry, Registry, Trained
from kyros_spark.registry.cost import check_budgets, measure
from kyros_spark.registry.declared import with_declared
from kyros_spark.runs.execute import (
    execute,
)
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import Run, fingerprint, new_run_id
from kyros_spark.storage.files import read_file
from kyros_spark.transforms.definitions import definition_hash


class ImportSettings(Section):
    """What is said about a model file when it is imported; None leaves it to the file.

    features    the inputs' names in the model's order, for a file without them
    iterations  the first so many boosting rounds
    intercept   what the sum starts from: 0 for an XGBoost model fitted with a base margin
    """

    name: str
    target: str
    per: str | None = None
    format: recognise.Format | None = None
    features: tuple[str, ...] | None = None
    iterations: int | None = None
    family: Family | None = None
    link: Link | None = None
    intercept: float | None = None
    status: Literal["candidate", "champion"] = "champion"


@dataclass(frozen=True)
class _Described:
    """The model's own settings, as table models tells them."""

    method: str
    family: str
    target: str
    per: str | None
    told: dict[str, Any]

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return what was said about the file."""
        return self.told


def import_settings(config: Config, told: Mapping[str, Any]) -> ImportSettings:
    """Check what the command line says; target and unit default to train's model of that name.

    Raises:
        UsageError: an option is missing, or has a value it does not take.
    """
    same = config.train.models.get(told["name"]) if config.train is not None else None
    given = {key: told.get(key) for key in ImportSettings.model_fields}
    given["target"] = given["target"] or (same.target if same is not None else None)
    given["per"] = given["per"] or (same.per if same is not None else None)
    if given["features"] is not None:
        given["features"] = tuple(one.strip() for one in given["features"].split(","))
    if given["target"] is None:
        raise UsageError("import: give --target, the column of prepared that the model predicts")
    try:
        return ImportSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option, found = first["loc"][0], first["input"]
        raise UsageError(f"import --{option} {found}: {first['msg']}") from error


def import_model(
    spark: SparkSession,
    config: Config,
    model_file: str,
    settings: ImportSettings,
    run_id: str | None = None,
    portfolio: Portfolio | None = None,
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
    if not NAME_PATTERN.match(settings.name):
        raise UsageError(f"import --name {settings.name}: expected letters, digits and _")
    _check_columns(config, settings)
    portfolio = portfolio or Portfolio(spark, config)
    run = Run("import", settings.name, run_id or new_run_id())
    source = _source(spark, model_file)
    wanted = settings.model_dump(mode="json")
    features = {name: definition_hash(one) for name, one in config.prepare.features.items()}
    told = {"import": wanted, "features": features}
    return execute(
        portfolio,
        run,
        lambda: {"model file": _hash(source)},
        {**told, "budgets": config.budgets.model_dump(mode="json")},
        lambda run: _work(portfolio, run, source, settings, digest(told)),
    )


def _work(
    portfolio: Portfolio, run: Run, source: bytes | Path, settings: ImportSettings, told: str
) -> None:
    with run.phase("read"):
        model = _with_definitions(_read(source, settings), portfolio.config)
    with run.phase("measure"):
        cost = measure(model)
        check_budgets(settings.name, cost, portfolio.config.budgets)
    registry = Registry(portfolio.tables, portfolio.config.tables.artefact_folder())
    model_fingerprint = fingerprint(f"import {settings.name}", run.inputs, told)
    known = [entry for entry in registry.entries() if entry.fingerprint == model_fingerprint]
    manifest = model.manifest
    described = _Described(
        f"imported {manifest.source.library}",
        manifest.family,
        manifest.target,
        manifest.per,
        settings.model_dump(mode="json"),
    )
    imported = Trained(settings.name, model, described, model_fingerprint, cost)
    new = [with_declared(imported, portfolio.config, run.inputs, cost)] if not known else []
    with run.phase("register"):
        done = registry.register(new, known, settings.status, "imported", run.run_id)
        if done.written is not None:
            run.outputs["models"] = done.written
    run.rows_out = len(new)
    run.details = {settings.name: _told((done.changed or known)[0], model, cost, bool(new))}
    publish(portfolio, run, registry, done.changed)
    done.check()


def _check_columns(config: Config, settings: ImportSettings) -> None:
    """Refuse a target or unit that table prepared does not have."""
    known = {"exposure", *config.prepare.targets}
    if config.prepare.claims is not None:
        known |= {"claim_count", "claim_amount", "claim_excess"}
    for option, column in (("target", settings.target), ("per", settings.per)):
        if column is not None and column not in known:
            raise ConfigError(
                f"import --{option}: expected one of {', '.join(sorted(known))}, found '{column}'"
            )


def _source(spark: SparkSession, address: str) -> bytes | Path:
    """Return the file's bytes, or the path of a model that is a folder."""
    path = Path(address.removeprefix("file://").removeprefix("file:"))
    if not is_remote(address) and path.is_dir():
        return path
    if not is_remote(address) and not path.exists():
        raise UsageError(f"import --model-file {address}: expected a file or folder, found none")
    return read_file(spark, address)


def _hash(source: bytes | Path) -> str:
    """Return the SHA-256 of a file, or of what a folder holds beside Hadoop's own marks."""
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
            found = "no such feature" if prepared is None else f"kind {prepared.kind}"
            expected = "numeric" if is_number else "levels or bins"
            why = "; the model's file does not name its levels" if is_number else ""
            known = _of_kind(config, is_number)
            raise FeatureMismatchError(
                f"model {model.manifest.name}, feature {feature.name}: expected a feature of kind "
                f"{expected} in prepare.features, found {found}{why}. Such are: "
                f"{', '.join(known) or 'none'}"
            )
        features.append(feature.model_copy(update={"definition_hash": definition_hash(prepared)}))
    dumps = [feature.model_dump(mode="json") for feature in features]
    update = {"features": tuple(features), "feature_spec_hash": digest(dumps)}
    return Model(model.manifest.model_copy(update=update), model.arrays)


def _of_kind(config: Config, number: bool) -> Sequence[str]:
    features = config.prepare.features.items()
    return [name for name, one in features if one.is_number == number]


def _told(entry: Entry, model: Model, cost: dict[str, float], new: bool) -> dict[str, Any]:
    source = model.manifest.source
    return {
        "version": entry.version,
        "status": entry.status,
        "how": "imported" if new else "kept",
        "from": f"{source.library} {source.version}",
        "features": [feature.name for feature in model.manifest.features],
        **cost,
    }
