"""train: prepared batches -> model files, registered in `models`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from kyros_spark.config import OWN_PARAMETERS, Config, ModelSettings, TrainSettings
from kyros_spark.digest import digest
from kyros_spark.errors import ConfigError, FitError, UsageError
from kyros_spark.fitting.calibrate import calibrate
from kyros_spark.fitting.checks import check_model_settings
from kyros_spark.fitting.leakage import suspects
from kyros_spark.fitting.relativities import relativities
from kyros_spark.fitting.train_model import train_model
from kyros_spark.model.artefact import Model, model_to_bytes
from kyros_spark.publishing.publish import publish
from kyros_spark.registry import Entry, Registry, Trained
from kyros_spark.registry.declared import with_declared
from kyros_spark.runs.execute import (
    execute,
)
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import Run, fingerprint, new_run_id
from kyros_spark.scoring.udf import ScoringModel, predictions
from kyros_spark.spark.persisted import persisted
from kyros_spark.stages.train.composite import PinnedModel, compose, pieces, pins
from kyros_spark.stages.train.search import searched
from kyros_spark.tables.ddl import text
from kyros_spark.tables.relativities import RELATIVITIES


def train(
    spark: SparkSession,
    config: Config,
    batch: str | None = None,
    run_id: str | None = None,
    portfolio: Portfolio | None = None,
) -> Run:
    """Train the settings' models on their training batches and register what is new.

    A model whose inputs, settings and code are those of a registered version is kept, not trained
    again.

    Raises:
        BatchMissingError: a training batch has not been prepared.
        TrainingDataError: the training part cannot carry a model.
        GateError: a model misses what was declared of it; it is registered as a candidate.
    """
    settings = config.train
    if settings is None:
        raise ConfigError("train: the settings have no section 'train'")
    if batch is not None and batch not in settings.batches:
        raise UsageError(
            f"train --batch {batch}: expected one of train.batches {', '.join(settings.batches)}; "
            f"to train on it: --set 'train.batches=[{batch}]'"
        )
    portfolio = portfolio or Portfolio(spark, config)
    for name, model in settings.models.items():
        check_model_settings(config, name, model)
    run = Run("train", "+".join(settings.batches), run_id or new_run_id())

    def inputs() -> dict[str, str]:
        done = {b: portfolio.done("prepare", b, "train") for b in settings.batches}
        return {
            f"prepared {b}": f"{d.outputs['prepared']} of run {d.run_id}" for b, d in done.items()
        }

    return execute(
        portfolio,
        run,
        inputs,
        settings.model_dump(mode="json") | {"budgets": config.budgets.model_dump(mode="json")},
        lambda run: _work(portfolio, run, settings),
    )


def _work(portfolio: Portfolio, run: Run, settings: TrainSettings) -> None:
    registry = Registry(portfolio.tables, portfolio.config.tables.artefact_folder())
    known = {entry.fingerprint: entry for entry in registry.entries()}
    budgets = portfolio.config.budgets.model_dump(mode="json")
    prints = {
        name: fingerprint(f"train {name}", run.inputs, _digest(model, settings, budgets))
        for name, model in settings.models.items()
    }
    plain = [name for name, model in settings.models.items() if not model.parts]
    new = [name for name in plain if prints[name] not in known]
    with persisted(_prepared(portfolio, settings)) as prepared:
        trained = [_train(portfolio, run, prepared, name, settings, prints[name]) for name in new]
        for name in [name for name in settings.models if name not in plain]:
            asked = settings.models[name]
            named = [*asked.parts, *asked.beside]
            kept_parts = {one: known[prints[one]] for one in named if one not in new}
            found = pieces(registry, named, trained, kept_parts, list(known.values()))
            prints[name] = fingerprint(prints[name], pins(asked, found), "")
            if prints[name] not in known:
                made = _composed(portfolio, run, prepared, name, settings, found, prints[name])
                trained.append(made)
                new.append(name)
    trained = [with_declared(one, portfolio.config, run.inputs) for one in trained]
    run.rows_in = int(max((one.metrics.get("all_rows", 0) for one in trained), default=0))
    with run.phase("register"):
        kept = [known[prints[name]] for name in settings.models if name not in new]
        done = registry.register(trained, kept, settings.status, run.batch, run.run_id)
        if done.written is not None:
            run.outputs["models"] = done.written
        known |= {entry.fingerprint: entry for entry in done.changed}
        glms = [known[prints[n]] for n, m in settings.models.items() if m.method == "glm"]
        _write_relativities(portfolio, run, registry, glms)
    run.rows_out = len(trained)
    run.details = {
        name: _told(known[prints[name]], "trained" if name in new else "kept")
        for name in settings.models
    }
    for one in trained:
        strengths = one.model.manifest.training.get("one_way_d2", {})
        run.details[one.name] |= {
            "one_way_d2": strengths,
            "suspect": suspects(strengths, settings),
        }
        if dropped := one.model.manifest.training.get("aliased"):
            run.details[one.name]["aliased"] = dropped
    with run.phase("account"):
        publish(portfolio, run, registry, done.changed, settings.mlflow)
    done.check()


def _digest(model: ModelSettings, settings: TrainSettings, budgets: dict[str, Any]) -> str:
    """Hash what a model depends on; where suspects fail, their limit too: kept ones were judged."""
    limit = [settings.max_one_way_d2] if settings.suspects == "fail" else []
    return digest([model.model_dump(mode="json"), budgets, *limit])


def _write_relativities(
    portfolio: Portfolio, run: Run, registry: Registry, entries: list[Entry]
) -> None:
    """Write the relativities of these GLMs' versions, from the models' own files.

    Of kept ones too: a run may have been killed between registering and here.
    """
    rows: list[dict[str, Any]] = []
    for entry in entries:
        manifest = registry.load(entry)[0].manifest
        rows += relativities(manifest, entry.version, run.batch, run.run_id)
    if rows:
        named = sorted({f"{row['model_name']}@{row['model_version']}" for row in rows})
        where = f"concat_ws('@', model_name, model_version) IN ({', '.join(map(text, named))})"
        schema = ", ".join(f"{column.name} {column.type}" for column in RELATIVITIES.columns)
        frame = portfolio.spark.createDataFrame(rows, schema).coalesce(1)
        run.outputs["relativities"] = portfolio.tables.replace(
            RELATIVITIES, frame, run.run_id, where
        )


def _prepared(portfolio: Portfolio, settings: TrainSettings) -> DataFrame:
    frames = []
    for batch in settings.batches:
        version = portfolio.done("prepare", batch, "train").outputs["prepared"]
        frames.append(portfolio.tables.read("prepared", version, [batch]))
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame)
    return whole


def _train(
    portfolio: Portfolio,
    run: Run,
    prepared: DataFrame,
    name: str,
    settings: TrainSettings,
    model_fingerprint: str,
) -> Trained:
    chosen = searched(portfolio, run, name, settings.models[name], prepared)
    provenance = _provenance(run, settings, chosen)
    with run.phase(f"fit {name}"):
        model = train_model(name, prepared, chosen, portfolio.config.prepare, provenance, settings)
    with run.phase(f"judge {name}"):
        served = ScoringModel(name, model, model_to_bytes(model))
        score = predictions(portfolio.spark, [served]).getField(name)
        model, metrics = calibrate(name, model, score, prepared, _as_fitted(chosen, model))
        metrics |= model.manifest.training.get("statistics", {})
    _check_fit(name, chosen, metrics)
    return Trained(name, model, chosen, model_fingerprint, metrics)


def _composed(
    portfolio: Portfolio,
    run: Run,
    prepared: DataFrame,
    name: str,
    settings: TrainSettings,
    found: Mapping[str, PinnedModel],
    model_fingerprint: str,
) -> Trained:
    chosen = settings.models[name]
    with run.phase(f"judge {name}"):
        told = _provenance(run, settings, chosen)
        model, metrics = compose(portfolio.spark, name, chosen, found, prepared, told)
    return Trained(name, model, chosen, model_fingerprint, metrics)


def _provenance(run: Run, settings: TrainSettings, chosen: ModelSettings) -> dict[str, Any]:
    return {
        "inputs": run.inputs,
        "batches": list(settings.batches),
        "settings": chosen.model_dump(mode="json"),
    }


def _as_fitted(settings: ModelSettings, model: Model) -> ModelSettings:
    """Return the settings with a profiled parameter's value."""
    told = model.manifest.training
    own = OWN_PARAMETERS.get(settings.family)
    if settings.method != "glm" or own is None or told.get(own) is None:
        return settings
    return settings.model_copy(update={own: told[own]})


def _check_fit(name: str, settings: ModelSettings, metrics: Mapping[str, float]) -> None:
    """Refuse a GLM that fits its own training part worse than the intercept alone: it diverged."""
    if settings.method == "glm" and not metrics["train_d2"] >= -1e-6:
        raise FitError(
            f"model {name}: expected a deviance on the training part of at most "
            f"{metrics['train_null_deviance']:g} (intercept only), found "
            f"{metrics['train_deviance']:g}: the solver diverged; use fewer levels, or set "
            f"train.models.{name}.glm.alpha"
        )


def _told(entry: Entry, how: str) -> dict[str, Any]:
    keys = ("test_deviance", "test_null_deviance", "test_d2", "train_balance", "test_balance")
    metrics = {key: round(entry.metrics[key], 6) for key in keys if key in entry.metrics}
    return {"version": entry.version, "status": entry.status, "how": how, **metrics}
