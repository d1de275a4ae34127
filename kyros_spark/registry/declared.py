"""Put beside a trained or imported model what was declared before, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kyros_spark.config import Config, ModelSettings
from kyros_spark.registry import Trained
from kyros_spark.registry.cost import declared_cost


def with_declared(
    one: Trained,
    config: Config,
    inputs: Mapping[str, str],
    cost: Mapping[str, float] | None = None,
) -> Trained:
    """Return the model with its inputs, and the quality and budgets that the settings declare.

    cost: what it was measured to cost, where it was.
    """
    of_name = config.train.models.get(one.name) if config.train is not None else None
    return replace(
        one,
        inputs=inputs,
        quality=_quality(of_name) if of_name is not None else {},
        budgets=config.budgets,
        cost=cost if cost is not None else declared_cost(one.model, config.budgets),
    )


def _quality(model: ModelSettings) -> dict[str, Any]:
    told = model.model_dump(mode="json", include={"quality", "not_worse_than_champion"})
    return {
        "thresholds": told["quality"],
        "not_worse_than_champion": told["not_worse_than_champion"],
    }
