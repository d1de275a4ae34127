"""Turn the coefficients in a GLM file's training record into relativities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kyros_spark.fitting.glm_fit import GlmFit
from kyros_spark.model.manifest import Manifest

MAX_EXPONENT = 700.0  # e^709 is the largest double


def training_record(fit: GlmFit) -> dict[str, Any]:
    """Return the record of a fit that a model's file keeps beside the terms."""
    return {
        "iterations": fit.iterations,
        "converged": fit.converged,
        "rows_held": fit.rows_held,
        "tweedie_power": fit.power,
        "theta": fit.theta,
        "aliased": list(fit.aliased),
        "statistics": fit.statistics or {},
        "coefficients": [asdict(coefficient) for coefficient in fit.coefficients],
    }


def relativities(manifest: Manifest, version: int, batch: str, run_id: str) -> list[dict[str, Any]]:
    """Return a model's rows of table `relativities`; none if the solver recorded no terms."""
    coefficients: Sequence[Mapping[str, Any]] = manifest.training.get("coefficients", [])
    return [
        {
            "model_name": manifest.name,
            "model_version": version,
            **coefficient,
            **_relative(coefficient, manifest.link == "log"),
            "batch_id": batch,
            "run_id": run_id,
        }
        for coefficient in coefficients
    ]


def _relative(coefficient: Mapping[str, Any], log: bool) -> dict[str, float | None]:
    """Return a coefficient's relativity and its interval, which only a log link has."""
    if not log:
        return {"relativity": None}
    sources = {"relativity": "coefficient", "lower": "lower", "upper": "upper"}
    values = {name: coefficient[source] for name, source in sources.items()}
    return {
        name: None if value is None else math.exp(min(value, MAX_EXPONENT))
        for name, value in values.items()
    }
