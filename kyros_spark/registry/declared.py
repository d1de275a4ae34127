"""Add the declared quality and budgets, and the cost, to a trained or imported model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kyros_spark.config import Config, ModelSettings
from kyros_spark.registry import Trained
from kyros_spark.registry.cost import declared_cost


def with_declared(
    trained: Trained,
    config: Config,
    inputs: Mapping[str, str],
    cost: Mapping[str, float] | None = None,
) -> Trained:
    """Return the model with its inputs, its cost, and the quality and budgets of the settings.

    cost: the measured cost; None takes `declared_cost`.
    """
    settings = config.train.models.get(trained.name) if config.train is not None else None
    return replace(
        trained,
        inputs=inputs,
        quality=_quality(settings) if settings is not None else {},
        budgets=config.budgets,
        cost=cost if cost is not None else declared_cost(trained.model, config.budgets),
    )


def _quality(model: ModelSettings) -> dict[str, Any]:
    declared = model.model_dump(mode="json", include={"quality", "not_worse_than_champion"})
    return {
        "thresholds": declared["quality"],
        "not_worse_than_champion": declared["not_worse_than_champion"],
    }
