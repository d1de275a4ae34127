"""Check the settings of a model with one fit per segment: `by`, and what belongs to it."""

from __future__ import annotations

from typing import Any, Literal

Credibility = Literal["none", "buhlmann_straub", "ridge"]
_OWN = ("min_rows", "min_claims", "credibility")


def check_segments(model: Any) -> None:
    """Refuse `by` where no segments can be fitted, and settings of segments without `by`.

    model: its ModelSettings, which import this module

    Raises:
        ValueError: names the setting, what it needs, and its value.
    """
    if not model.by:
        # The registry's settings of a model without segments name them all, with their defaults.
        fields = type(model).model_fields
        given = [name for name in _OWN if getattr(model, name) != fields[name].default]
        if given:
            raise ValueError(f"{', '.join(given)}: for a model with segments; name them in by")
        return
    if len(set(model.by)) < len(model.by):
        raise ValueError(f"by: expected each feature once, found {', '.join(model.by)}")
    if model.method != "glm" or model.glm.solver != "irls":
        method = model.method if model.method != "glm" else "glm.solver: mllib"
        raise ValueError(f"by: expected method: glm with glm.solver: irls, found {method}")
    if model.search is not None:
        raise ValueError("by: a search fits one model at a time; leave search out")
    if model.glm.l1_ratio and model.glm.alpha:
        raise ValueError("by: segments are fitted with a ridge at most; leave glm.l1_ratio out")
    if model.credibility == "buhlmann_straub" and model.glm.alpha:
        raise ValueError(
            "credibility: buhlmann_straub needs standard errors, which a fit with glm.alpha has "
            "not; use credibility: ridge, or leave glm.alpha out"
        )
    both = [name for name in model.by if name in (model.features or ())]
    if both:
        raise ValueError(
            f"by: {', '.join(both)} is among features too; its levels are the segments, so leave "
            "it out there"
        )
