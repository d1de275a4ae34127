"""Fit, judge and calibrate the models that are new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kyros_spark.config import OWN_PARAMETERS, ModelSettings, TrainSettings
from kyros_spark.errors import FitError
from kyros_spark.fitting.calibrate import calibrate
from kyros_spark.fitting.train_model import train_model
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
    candidate.trained = Trained(name, model, chosen, candidate.fingerprint, metrics)


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
    candidate.trained = Trained(name, model, settings, candidate.fingerprint, metrics)


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
    """Refuse a GLM that fits its own training part worse than the intercept alone: it diverged."""
    if settings.method == "glm" and not metrics["train_d2"] >= -1e-6:
        raise FitError(
            f"model {name}: expected a deviance on the training part of at most "
            f"{metrics['train_null_deviance']:g} (intercept only), found "
            f"{metrics['train_deviance']:g}: the solver diverged; use fewer levels, or set "
            f"train.models.{name}.glm.alpha"
        )
