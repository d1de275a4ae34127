"""Turn a GLM's coefficients, as its file's training record holds them, into relativities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kyros_spark.fitting.glm_fit import GlmFit
from kyros_spark.model.manifest import Manifest

MOST = 700.0  # e^709 is the largest double


def training_record(fit: GlmFit) -> dict[str, Any]:
    """Return what a model's file keeps of a fit beside its terms."""
    return {
        "iterations": fit.iterations,
        "converged": fit.converged,
        "rows_held": fit.rows_held,
        "tweedie_power": fit.power,
        "theta": fit.theta,
        "aliased": list(fit.aliased),
        "statistics": fit.statistics or {},
        "coefficients": [asdict(one) for one in fit.coefficients],
    }


def relativities(manifest: Manifest, version: int, batch: str, run_id: str) -> list[dict[str, Any]]:
    """Return the rows of table `relativities` of a model; none where its solver told none."""
    told: Sequence[Mapping[str, Any]] = manifest.training.get("coefficients", [])
    return [
        {
            "model_name": manifest.name,
            "model_version": version,
            **one,
            **_relative(one, manifest.link == "log"),
            "batch_id": batch,
            "run_id": run_id,
        }
        for one in told
    ]


def _relative(one: Mapping[str, Any], log: bool) -> dict[str, float | None]:
    if not log:
        return {"relativity": None}
    ends = {"relativity": "coefficient", "lower": "lower", "upper": "upper"}
    return {
        name: None if one[given] is None else math.exp(min(one[given], MOST))
        for name, given in ends.items()
    }
