"""Turn the factors of a model card into the numbers of pictures: one of each factor's levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kyros_spark.evaluation.report.explained_charts import shown_value

MOST_LEVELS = 40  # of a picture: a page of paper has no more lines
_WIDTH, _ABOVE, _LINE = 3.7, 0.85, 0.2  # inches: as wide as a telephone shows without scaling
Spec = dict[str, Any]
Term = Mapping[str, Any]


def of_factors(factors: Sequence[Mapping[str, Any]], link: str) -> list[Spec]:
    """Return the pictures of a GLM's factors, as ``publishing.factors`` has them; else none.

    Each factor with levels has one, and all numbers share one, of what a unit more does. With a log
    link they show relativities, else coefficients.
    """
    glm = [factor for factor in factors if factor.get("terms")]
    by_level = [factor for factor in glm if factor["terms"][0]["level"] is not None]
    numbers = [
        {**term, "level": factor["feature"]}
        for factor in glm
        for term in factor["terms"]
        if term["level"] is None
    ]
    drawn = [_of_levels(factor["feature"], factor["terms"], link) for factor in by_level]
    if numbers:
        title = f"{_measure(link)} of one unit more"
        drawn.append(_spec(title, numbers, [None] * len(numbers), link))
    return drawn


def _of_levels(feature: str, terms: Sequence[Term], link: str) -> Spec:
    exposures = [term["exposure"] for term in terms]
    total = math.fsum(exposure or 0.0 for exposure in exposures)
    shares = [None if e is None or not total else e / total for e in exposures]
    rank = sorted(range(len(terms)), key=lambda n: (not terms[n]["is_base"], -(shares[n] or 0.0)))
    kept = sorted(rank[:MOST_LEVELS])
    title = f"{_measure(link)} of {feature}"
    if len(kept) < len(terms):
        title += f": {len(kept)} of {len(terms)} levels, those of most exposure"
    return _spec(title, [terms[n] for n in kept], [shares[n] for n in kept], link)


def _spec(title: str, terms: Sequence[Term], shares: Sequence[float | None], link: str) -> Spec:
    is_log = link == "log"
    value = "relativity" if is_log else "coefficient"
    return {
        "kind": "relativities", "title": title, "logarithmic": is_log,
        "levels": [
            shown_value(term["level"]) + (" (base)" if term["is_base"] else "") for term in terms
        ],
        "values": [term[value] or 0.0 for term in terms],
        "lower": [term["lower"] for term in terms], "upper": [term["upper"] for term in terms],
        "is_base": [term["is_base"] for term in terms], "shares": list(shares),
        "xlabel": "relativity, on a logarithmic scale" if is_log else f"coefficient ({link} link)",
        "size": (_WIDTH, _ABOVE + _LINE * len(terms)),
    }  # fmt: skip


def _measure(link: str) -> str:
    return "relativities" if link == "log" else "coefficients"
