"""Fit, judge and calibrate the models that are new."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kyros_spark.config import OWN_PARAMETERS, ModelSettings, TrainSettings
from kyros_spark.errors import FitError, TrainingDataError
from kyros_spark.fitting.calibrate import calibrate
from kyros_spark.fitting.row_account import account_of
from kyros_spark.fitting.train_model import train_model
from kyros_spark.log import event
from kyros_spark.model.artefact import Model
from kyros_spark.registry import Trained
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.stages.train.candidates import Candidate
from kyros_spark.stages.train.composite import PinnedModel, compose
from kyros_spark.stages.train.search import searched
from kyros_spark.stages.train.training_rows import TrainingRows


@dataclass(frozen=True)
class TrainingContext:
    """What every fit of a run shares; ``rows`` are those of the training batches."""

    portfolio: Portfolio
    run: Run
    settings: TrainSettings
    rows: TrainingRows

    def provenance(self, model: ModelSettings) -> dict[str, Any]:
        """Return what a model file says of its own making."""
        return {
            "inputs": self.run.inputs,
            "batches": list(self.settings.batches),
            "settings": model.model_dump(mode="json"),
        }


def check_rows(context: TrainingContext, candidate: Candidate) -> None:
    """Account for a model's rows, before anything is fitted.

    Raises:
        TrainingDataError: a target is one that the family does not allow, or more rows are left
            out than the settings allow.
    """
    name, model, settings = candidate.name, candidate.settings, context.settings
    with context.run.phase("check rows"):
        account = account_of(name, context.rows.of(model), model)
    candidate.account = account
    sentence = f"model {name}: {account.sentence(model.target, model.per)}"
    if account.share > settings.max_left_out_share:
        raise TrainingDataError(
            f"{sentence}: expected at most a share of {settings.max_left_out_share:g} "
            "(train.max_left_out_share), as the targets of training batches are known"
        )
    if account.share > settings.left_out_warning_share:
        event(f"{sentence}; are the claims of these batches known?", level=30)


def fit_candidate(context: TrainingContext, candidate: Candidate) -> None:
    """Fit a model, its parameters searched for if the settings ask so, and calibrate it.

    Raises:
        FitError: the solver diverged.
    """
    portfolio, run, name = context.portfolio, context.run, candidate.name
    chosen = searched(portfolio, run, name, candidate.settings, context.rows)
    provenance = context.provenance(chosen)
    with run.phase(f"fit {name}"):
        prepare = portfolio.config.prepare
        rows = context.rows.of(chosen)
        model = train_model(name, rows, chosen, prepare, provenance, context.settings)
    with run.phase(f"judge {name}"):
        fitted = _as_fitted(chosen, model)
        model, metrics = calibrate(name, model, [model], context.rows.of(chosen), fitted)
        metrics |= model.manifest.training.get("statistics", {}) | _own_parameter(fitted)
    _check_fit(name, chosen, metrics)
    candidate.trained = _trained(candidate, model, chosen, metrics)


def compose_candidate(
    context: TrainingContext, candidate: Candidate, parts: Mapping[str, PinnedModel]
) -> None:
    """Make a composite of models that are registered, or about to be."""
    name, settings = candidate.name, candidate.settings
    with context.run.phase(f"judge {name}"):
        provenance = context.provenance(settings)
        rows = context.rows.of(settings)
        model, metrics = compose(name, settings, parts, rows, provenance)
        metrics |= _own_parameter(settings)
    _check_fit(name, settings, metrics)
    candidate.trained = _trained(candidate, model, settings, metrics)


def _trained(
    candidate: Candidate, model: Model, settings: ModelSettings, metrics: Mapping[str, float]
) -> Trained:
    """Return what was made, to be registered; a measure that is not defined is no metric."""
    account = {} if candidate.account is None else candidate.account.metrics()
    defined = {name: value for name, value in metrics.items() if not math.isnan(value)}
    return Trained(candidate.name, model, settings, candidate.fingerprint, defined | account)


def _as_fitted(settings: ModelSettings, model: Model) -> ModelSettings:
    """Return the settings with a profiled parameter's value."""
    training = model.manifest.training
    parameter = OWN_PARAMETERS.get(settings.family)
    if settings.method != "glm" or parameter is None or training.get(parameter) is None:
        return settings
    return settings.model_copy(update={parameter: training[parameter]})


def _own_parameter(settings: ModelSettings) -> dict[str, float]:
    """Return the Tweedie power or theta that the deviances among the metrics are of."""
    parameter = OWN_PARAMETERS.get(settings.family)
    return {parameter: float(getattr(settings, parameter))} if parameter is not None else {}


def _check_fit(name: str, settings: ModelSettings, metrics: Mapping[str, float]) -> None:
    """Refuse a model whose deviance is no number in some part.

    So is a GLM that fits its own training part worse than the intercept alone: it diverged.
    """
    broken = [n for n, v in metrics.items() if n.endswith("_deviance") and not math.isfinite(v)]
    if broken:
        raise FitError(
            f"model {name}: expected deviances that are numbers, found none for "
            f"{', '.join(broken)}: its predictions or targets leave what family {settings.family} "
            "allows"
        )
    if settings.method == "glm" and not metrics["train_d2"] >= -1e-6:
        raise FitError(
            f"model {name}: expected a deviance on the training part of at most "
            f"{metrics['train_null_deviance']:g} (intercept only), found "
            f"{metrics['train_deviance']:g}: the solver diverged, or a few rows whose numbers lie "
            "far from all others carry the fit; use fewer levels, bound the numbers, or set "
            f"train.models.{name}.glm.alpha"
        )
