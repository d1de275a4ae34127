"""Tell how much each feature contributes to boosted trees, by xgboost's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def total_gain(booster: bytes, rounds: int, names: Sequence[str]) -> dict[str, float]:
    """Return the loss that all splits of each feature saved together, over the rounds kept.

    names: the features in the booster's order; one without a split has 0.
    Source: xgboost, Booster.get_score, importance_type total_gain.
    """
    import xgboost

    read = xgboost.Booster()
    read.load_model(bytearray(booster))
    kept = read[:rounds]
    kept.feature_names = [f"f{number}" for number in range(len(names))]
    gains: dict[str, Any] = kept.get_score(importance_type="total_gain")
    return {name: float(gains.get(f"f{number}", 0.0)) for number, name in enumerate(names)}
