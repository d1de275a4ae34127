"""Turn a model's segments into caterpillar plots: each segment's relativity with its interval."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from kyros_spark.fitting.design import INTERCEPT
from kyros_spark.fitting.relativities import MAX_EXPONENT
from kyros_spark.fitting.segments.results import StoredSegments
from kyros_spark.model.artefact import Model

MOST_TERMS, MOST_SEGMENTS = 6, 120  # of a page, and of a plot: lines closer than this run together
NAMED = 40  # segments whose names a plot has room for
Spec = dict[str, Any]


def of_segments(model: Model) -> dict[str, Spec]:
    """Return a plot for the level of the finest segments, and for the factors that vary most.

    The charts' names are `segments FEATURE = LEVEL`. How much a factor varies is the standard
    deviation of the segments' coefficients over their median standard error.
    """
    stored = StoredSegments(model)
    is_finest = (stored.kept == len(model.manifest.by)) & stored.has_own
    sets = model.arrays["segment_row"][is_finest]
    names = np.array(stored.labels()[1], object)[is_finest]
    values, errors = (stored.per_term(f"segment_{kind}") for kind in ("value", "error"))
    terms = _labels(model)
    reach = NormalDist().inv_cdf(0.5 + confidence(model) / 2)
    charts = []
    for n, label in enumerate(terms):
        error, value = errors[sets, n], values[sets, n]
        own = error > 0
        if own.sum() < 2:
            continue
        varies = np.inf if n == 0 else value[own].std() / np.median(error[own])
        ends = np.column_stack([value, value - reach * error, value + reach * error])[own]
        whole = float(values[0, n])
        charts.append((varies, label, _caterpillar(model, label, names[own], ends, whole)))
    charts.sort(key=lambda chart: -chart[0])
    return {f"segments {label}": spec for _, label, spec in charts[:MOST_TERMS]}


def _caterpillar(
    model: Model, label: str, names: np.ndarray, ends: np.ndarray, whole: float
) -> Spec:
    """Return one plot. ends: float64[S, 3], value, lower and upper on the scale of the link."""
    is_log = model.manifest.link == "log"
    rank = np.argsort(ends[:, 0], kind="stable")
    if rank.size > MOST_SEGMENTS:
        rank = rank[np.linspace(0, rank.size - 1, MOST_SEGMENTS).round().astype(int)]
    shown = np.exp(np.minimum(ends[rank], MAX_EXPONENT)) if is_log else ends[rank]
    value, lower, upper = shown.T.tolist()
    at_whole = float(np.exp(whole)) if is_log else whole
    height = 1.0 + (0.15 if rank.size <= NAMED else 0.035) * rank.size
    count = f"{rank.size} of {len(names)}" if rank.size < len(names) else f"{len(names)}"
    what = "level of the segment, over all segments'" if label == INTERCEPT else label
    return {
        "kind": "caterpillar", "title": f"{what}: {count} segments", "whole": at_whole,
        "names": names[rank].tolist() if rank.size <= NAMED else [],
        "values": value, "lower": lower, "upper": upper, "logarithmic": is_log,
        "apart": [low > at_whole or high < at_whole
                  for low, high in zip(lower, upper, strict=True)],
        "xlabel": f"relativity of {label}" if is_log else f"coefficient of {label}",
        "size": (4.2, max(2.4, height)),
    }  # fmt: skip


def confidence(model: Model) -> float:
    """Return the confidence of a GLM's intervals, as its settings had it."""
    settings = model.manifest.training.get("settings", {})
    return float(settings.get("glm", {}).get("confidence", 0.95))


def _labels(model: Model) -> list[str]:
    """Return the name of each term, in the order of the model's file."""
    manifest = model.manifest
    rated = manifest.features[: len(manifest.features) - len(manifest.by)]
    labels = [INTERCEPT]
    for feature in rated:
        labels += [f"{feature.name} = {level}" for level in feature.levels] or [feature.name]
    return labels
