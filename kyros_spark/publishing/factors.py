"""Describe what each factor does in a model: relativities by level, a slope, or total gain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from kyros_spark.model.artefact import Model
from kyros_spark.model.manifest import Feature
from kyros_spark.registry import Entry


def factors(
    entry: Entry, model: Model, relativities: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return one entry per feature: a GLM's in its own order, boosted trees' by falling total gain.

    relativities: this version's rows of table relativities. A feature without rows shows the GLM's
    own coefficients, which have no intervals.
    """
    if model.manifest.kind != "glm":
        gain = entry.importance
        by_gain = [_of_trees(feature, gain) for feature in model.manifest.features]
        return sorted(by_gain, key=lambda factor: -(factor["total_gain"] or 0.0))
    blocks = _blocks(model)
    return [
        _of_glm(feature, blocks[feature.name], relativities, model.manifest.link == "log")
        for feature in model.manifest.features
    ]


def _of_trees(feature: Feature, gain: Mapping[str, float]) -> dict[str, Any]:
    total = sum(gain.values())
    feature_gain = gain.get(feature.name)
    return {
        "feature": feature.name,
        "kind": feature.kind,
        "total_gain": feature_gain,
        "share": feature_gain / total if feature_gain is not None and total else None,
    }


def _of_glm(
    feature: Feature,
    coefficients: Sequence[float],
    relativities: Sequence[Mapping[str, Any]],
    is_log: bool,
) -> dict[str, Any]:
    rows = [row for row in relativities if row["feature"] == feature.name]
    order = {level: code for code, level in enumerate(feature.levels)}
    if rows:
        rows = sorted(rows, key=lambda r: (order.get(r["level"], len(order)), str(r["level"])))
        names = ("level", "is_base", "exposure", "coefficient", "relativity", "lower", "upper")
        terms = [{name: row[name] for name in names} for row in rows]
    else:
        labels: Sequence[str | None] = feature.levels or (None,)
        terms = [
            _term(label, bool(feature.levels) and code == feature.base_code, value, is_log)
            for code, (label, value) in enumerate(zip(labels, coefficients, strict=True))
        ]
    return {"feature": feature.name, "kind": feature.kind, "terms": terms}


def _term(level: str | None, is_base: bool, coefficient: float, is_log: bool) -> dict[str, Any]:
    relativity = math.exp(coefficient) if is_log else None
    return {
        "level": level,
        "is_base": is_base,
        "exposure": None,
        "coefficient": coefficient,
        "relativity": relativity,
        "lower": None,
        "upper": None,
    }


def _blocks(model: Model) -> dict[str, list[float]]:
    """Return each feature's coefficients: one per level, or one slope, on the link's scale."""
    values = model.arrays["table_value"]
    cuts = pairwise(model.arrays["table_start"])
    blocks = [[float(value) for value in values[begin:end]] for begin, end in cuts]
    return dict(zip((f.name for f in model.manifest.features), blocks, strict=True))
