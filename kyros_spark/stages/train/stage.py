"""train: prepared batches -> model files, registered in `models`."""

from __future__ import annotations

from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config, ModelSettings, TrainSettings
from kyros_spark.errors import ConfigError, UsageError
from kyros_spark.fitting.checks import check_model_settings
from kyros_spark.fitting.leakage import suspects
from kyros_spark.fitting.left_out import account_in
from kyros_spark.publishing.publish import publish
from kyros_spark.registry import Entry
from kyros_spark.registry.declared import with_declared
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.stages.graph import training_label
from kyros_spark.stages.train.candidates import Candidate, candidates_of, pin_parts
from kyros_spark.stages.train.coefficients import segment_counts, write_coefficients
from kyros_spark.stages.train.failures import attempt, check, check_parts, failure_details
from kyros_spark.stages.train.fit import (
    TrainingContext,
    check_rows,
    compose_candidate,
    fit_candidate,
)
from kyros_spark.stages.train.training_rows import PreparedRuns, training_rows

_METRICS = ("test_deviance", "test_null_deviance", "test_d2", "train_balance", "test_balance")


def train(
    spark: SparkSession, config: Config, batch: str | None = None, run_id: str | None = None
) -> Run:
    """Train the settings' models on their training batches and register what is new.

    A model whose inputs, settings and code are those of a registered version is kept, not trained
    again.

    Raises:
        BatchMissingError: a training batch has not been prepared.
        TrainingDataError: the training part cannot carry a model; the other models are registered.
        GateError: a model misses what was declared of it; it is registered as a candidate.
    """
    settings = _settings(config)
    if batch is not None and batch not in settings.batches:
        raise UsageError(
            f"train --batch {batch}: expected one of train.batches {', '.join(settings.batches)}; "
            f"to train on it: --set 'train.batches=[{batch}]'"
        )
    return execute(train_work(Portfolio(spark, config)), run_id)


def train_work(portfolio: Portfolio) -> Work[PreparedRuns]:
    """Return what train would do."""
    config, settings = portfolio.config, _settings(portfolio.config)
    for name, model in settings.models.items():
        check_model_settings(config, name, model)

    def inputs() -> Inputs[PreparedRuns]:
        prepared = {b: portfolio.last_run("prepare", b, "train") for b in settings.batches}
        identity = {
            f"prepared {batch}": f"{last_run.outputs['prepared']} of run {last_run.run_id}"
            for batch, last_run in prepared.items()
        }
        return Inputs(identity, prepared)

    dumped = settings.model_dump(mode="json") | {"budgets": config.budgets.model_dump(mode="json")}
    do = partial(_train, portfolio, settings)
    return Work(portfolio, "train", training_label(config), inputs, dumped, do)


def _settings(config: Config) -> TrainSettings:
    if config.train is None:
        raise ConfigError(
            "train: expected section 'train' with the models to fit, found none; name what they "
            "predict in prepare.targets (or sources.claims), and the models in train.models"
        )
    return config.train


def _train(
    portfolio: Portfolio, settings: TrainSettings, run: Run, prepared_runs: PreparedRuns
) -> None:
    candidates = candidates_of(portfolio, run, settings)
    with training_rows(portfolio, prepared_runs, _judged(candidates)) as rows:
        context = TrainingContext(portfolio, run, settings, rows)
        new = [c for c in candidates.values() if c.is_new and not c.is_composite]
        for candidate in new:
            with attempt(run, candidate):
                check_rows(context, candidate)
        for candidate in new:
            if candidate.failure is None:
                with attempt(run, candidate):
                    fit_candidate(context, candidate)
        for candidate in candidates.values():
            if candidate.is_composite:
                with attempt(run, candidate):
                    _compose(context, candidate, candidates)
    for candidate in candidates.values():
        if candidate.trained is not None:
            candidate.trained = with_declared(candidate.trained, portfolio.config, run.inputs)
    _register(portfolio, run, settings, candidates)


def _compose(
    context: TrainingContext, candidate: Candidate, candidates: dict[str, Candidate]
) -> None:
    """Make a composite, unless it is registered already."""
    check_parts(candidate, candidates)
    parts = pin_parts(context.portfolio.registry, candidate, candidates)
    if candidate.is_new:
        check_rows(context, candidate)
        compose_candidate(context, candidate, parts)


def _judged(candidates: dict[str, Candidate]) -> dict[str, ModelSettings]:
    """Return the models whose columns a run needs: the new ones, composites, and their parts."""
    composites = [c for c in candidates.values() if c.is_composite]
    parts = {part for composite in composites for part in composite.settings.parts}
    return {
        name: c.settings
        for name, c in candidates.items()
        if c.is_new or c.is_composite or name in parts
    }


def _register(
    portfolio: Portfolio, run: Run, settings: TrainSettings, candidates: dict[str, Candidate]
) -> None:
    """Register what was trained, and put what became of each model into the run."""
    registry = portfolio.registry
    # In the order of training: composites behind the models that they are made of.
    ordered = sorted(candidates.values(), key=lambda candidate: candidate.is_composite)
    trained = [c.trained for c in ordered if c.trained is not None]
    run.rows_in = int(max((model.metrics["rows_in"] for model in trained), default=0))
    with run.phase("register"):
        kept = [c.entry for c in candidates.values() if c.entry is not None]
        registered = registry.register(trained, kept, settings.status, run.batch, run.run_id)
        if registered.written is not None:
            run.outputs["models"] = registered.written
        changed = {entry.fingerprint: entry for entry in registered.changed}
        entries = {c.name: changed.get(c.fingerprint, c.entry) for c in candidates.values()}
        glms = [entries[name] for name, model in settings.models.items() if model.method == "glm"]
        write_coefficients(portfolio, run, [entry for entry in glms if entry is not None])
    run.rows_out = len(trained)
    run.details = {
        c.name: _details(c, entry, settings)
        for c in candidates.values()
        if (entry := entries[c.name]) is not None
    }
    run.details |= {c.name: failure_details(c) for c in candidates.values() if c.failure}
    with run.phase("account"):
        publish(portfolio, run, registered.changed, settings.mlflow)
    check(candidates.values(), registered)


def _details(candidate: Candidate, entry: Entry, settings: TrainSettings) -> dict[str, Any]:
    """Return what the result line has of one model."""
    details: dict[str, Any] = {
        "version": entry.version,
        "status": entry.status,
        "how": "kept" if candidate.trained is None else "trained",
        **{key: round(entry.metrics[key], 6) for key in _METRICS if key in entry.metrics},
    }
    if account := account_in(entry.metrics):
        details["rows"] = account.details()
    if candidate.trained is not None:
        training = candidate.trained.model.manifest.training
        strengths = training.get("one_way_d2", {})
        details |= {"one_way_d2": strengths, "suspect": suspects(strengths, settings)}
        if aliased := training.get("aliased"):
            details["aliased"] = aliased
        if candidate.settings.by:
            details["segments"] = segment_counts(candidate.trained.model)
    return details
