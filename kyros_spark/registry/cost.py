"""Measure what a model costs on one core of this host, and hold it against the budgets."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np

from kyros_spark.config import BudgetSettings
from kyros_spark.errors import GateError
from kyros_spark.model.artefact import Model, model_to_bytes, read_model
from kyros_spark.registry.gate import budget_faults
from kyros_spark.scoring.scorer import Scorer

SAMPLE_ROWS = 8192
SECONDS = 0.5  # spent on repeating the sample, of which the fastest pass counts


def measure(model: Model) -> dict[str, float]:
    """Return rows_per_second, model_bytes and first_score_seconds of a model.

    The first score is from the file's bytes on, with whatever had to be compiled in this process;
    the sample's values lie between the model's own thresholds, so that every branch is walked.
    """
    data = model_to_bytes(model)
    columns = _sample(model)
    start = time.perf_counter()
    scorer = Scorer(read_model(data))
    scorer.response([column[:64] for column in columns])
    first = time.perf_counter() - start
    passes: list[float] = []
    while sum(passes) < SECONDS:
        start = time.perf_counter()
        scorer.response(columns)
        passes.append(time.perf_counter() - start)
    return {
        "rows_per_second": round(SAMPLE_ROWS / min(passes), 1),
        "model_bytes": float(len(data)),
        "first_score_seconds": round(first, 4),
    }


def declared_cost(model: Model, budgets: BudgetSettings) -> dict[str, float]:
    """Return what a model costs: its bytes, and where a budget is declared all of `measure`."""
    declared = any(limit is not None for limit in budgets.model_dump().values())
    if declared and model.manifest.kind != "composite":  # whose parts were measured themselves
        return measure(model)
    return {"model_bytes": float(len(model_to_bytes(model)))}


def check_budgets(name: str, cost: dict[str, float], budgets: BudgetSettings) -> None:
    """Raise GateError for a model over budget, naming every budget it breaks."""
    broken = budget_faults(budgets.model_dump(), cost)
    if broken:
        raise GateError(f"model {name}: {'; '.join(broken)}; nothing was registered")


def _sample(model: Model) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    if model.manifest.kind == "glm":
        return [
            rng.integers(0, len(one.levels), SAMPLE_ROWS).astype(np.float64)
            if one.levels
            else rng.normal(size=SAMPLE_ROWS)
            for one in model.manifest.features
        ]
    cuts, starts = model.arrays["cut_value"], model.arrays["cut_start"]
    columns = []
    for begin, end in pairwise(starts):
        own = cuts[begin:end]
        own = own[np.isfinite(own)]
        columns.append(rng.choice(own, SAMPLE_ROWS) if own.size else np.zeros(SAMPLE_ROWS))
    for feature, categories in _categories(model.arrays).items():
        columns[feature] = rng.integers(0, max(categories, 1), SAMPLE_ROWS).astype(np.float64)
    return columns


def _categories(arrays: dict[str, np.ndarray]) -> dict[int, int]:
    """Return of each feature split by categories how many its largest set knows."""
    if "set_feature" not in arrays:
        return {}
    found: dict[int, int] = {}
    for feature, size in zip(arrays["set_feature"], np.diff(arrays["set_start"]), strict=True):
        found[int(feature)] = max(found.get(int(feature), 0), 8 * int(size))
    return found
