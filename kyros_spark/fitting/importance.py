"""Measure how much each feature contributes to boosted trees, by xgboost's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kyros_spark.fitting.local_boosting import library


def total_gain(booster: bytes, rounds: int, names: Sequence[str]) -> dict[str, float]:
    """Return the reduction of the loss by all splits of each feature, over the first rounds.

    names: the features in the booster's order. A feature without a split has 0.
    Source: xgboost, Booster.get_score, importance_type total_gain.
    """
    xgboost = library()
    ensemble = xgboost.Booster()
    ensemble.load_model(bytearray(booster))
    first_rounds = ensemble[:rounds]
    first_rounds.feature_names = [f"f{number}" for number in range(len(names))]
    gains: dict[str, Any] = first_rounds.get_score(importance_type="total_gain")
    return {name: float(gains.get(f"f{number}", 0.0)) for number, name in enumerate(names)}
