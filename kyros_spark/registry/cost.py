"""Measure the cost of a model on one core of this host, and compare it with the budgets."""

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
SECONDS = 0.5  # time for repeating the sample; the fastest pass counts


def measure(model: Model) -> dict[str, float]:
    """Return rows_per_second, model_bytes and first_score_seconds of a model.

    first_score_seconds starts at the file's bytes and includes whatever had to be compiled in this
    process. The sample's values are the model's own thresholds, so that every branch is taken.
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
    """Return a model's cost: its bytes, and all of `measure` if any budget is declared."""
    declared = any(limit is not None for limit in budgets.model_dump().values())
    if declared and model.manifest.kind != "composite":  # its parts were measured themselves
        return measure(model)
    return {"model_bytes": float(len(model_to_bytes(model)))}


def check_budgets(name: str, cost: dict[str, float], budgets: BudgetSettings) -> None:
    """Refuse a model that is over budget.

    Raises:
        GateError: names every budget that the model breaks.
    """
    broken = budget_faults(budgets.model_dump(), cost)
    if broken:
        raise GateError(f"model {name}: {'; '.join(broken)}; nothing was registered")


def _sample(model: Model) -> list[np.ndarray]:
    """Return one column per feature, float64[SAMPLE_ROWS]."""
    rng = np.random.default_rng(0)
    if model.manifest.kind == "glm":
        return [
            rng.integers(0, len(feature.levels), SAMPLE_ROWS).astype(np.float64)
            if feature.levels
            else rng.normal(size=SAMPLE_ROWS)
            for feature in model.manifest.features
        ]
    cuts, starts = model.arrays["cut_value"], model.arrays["cut_start"]
    columns = []
    for begin, end in pairwise(starts):
        thresholds = cuts[begin:end]
        thresholds = thresholds[np.isfinite(thresholds)]
        columns.append(
            rng.choice(thresholds, SAMPLE_ROWS) if thresholds.size else np.zeros(SAMPLE_ROWS)
        )
    for number, categories in _categories(model.arrays).items():
        columns[number] = rng.integers(0, max(categories, 1), SAMPLE_ROWS).astype(np.float64)
    return columns


def _categories(arrays: dict[str, np.ndarray]) -> dict[int, int]:
    """Return the capacity of the largest category set, by number of the features split by sets."""
    if "set_feature" not in arrays:
        return {}
    largest: dict[int, int] = {}
    for feature, size in zip(arrays["set_feature"], np.diff(arrays["set_start"]), strict=True):
        largest[int(feature)] = max(largest.get(int(feature), 0), 8 * int(size))
    return largest
