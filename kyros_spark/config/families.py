"""Hold a model's settings to the links and adjustments that its family allows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# A link belongs to one family here: no other has a logit, and a binomial has nothing else.
FAMILY, LINK = "binomial", "logit"


def with_logit(settings: Any) -> Any:
    """Return a model's settings as given, with the link that family binomial has by default."""
    if not isinstance(settings, dict) or settings.get("family") != FAMILY:
        return settings
    glm = settings.get("glm") or {}
    if isinstance(glm, dict):
        return {**settings, "glm": {"link": LINK, **glm}}
    given = "link" in glm.model_fields_set
    return settings if given else {**settings, "glm": glm.model_copy(update={"link": LINK})}


def check_link(family: str, link: str) -> None:
    """Refuse a link that the family does not take.

    Raises:
        ValueError: names both settings.
    """
    if family == "negative_binomial" and link != "log":
        raise ValueError("family: negative_binomial takes glm.link: log only")
    if (family == FAMILY) != (link == LINK):
        expected = LINK if family == FAMILY else "log or identity"
        raise ValueError(f"family: {family} takes glm.link: {expected}, found {link}")


def check_own(
    family: str,
    rebalance: bool | None,
    large_loss_load: bool,
    interval: object,
    quality: Iterable[str],
) -> None:
    """Refuse what takes a probability out of its range, and what no other family has.

    Raises:
        ValueError: names the setting and why it has no meaning.
    """
    if family != FAMILY:
        own = [name for name in quality if name.endswith(("_log_loss", "_brier"))]
        if own:
            raise ValueError(f"quality: {', '.join(own)} is of family: binomial, found {family}")
        return
    if rebalance:
        raise ValueError(
            "rebalance: a factor takes probabilities beyond 1; a GLM of family binomial holds the "
            "balance by itself, and evaluate tells that of boosting (actual_expected): leave it out"
        )
    if large_loss_load:
        raise ValueError("large_loss_load: a probability has no large losses: leave it out")
    if interval is not None:
        raise ValueError(
            "interval: what a probability is of happens or does not, and an interval of such "
            "values is 0 to 1: leave it out; relativities have the coefficients' intervals, "
            "evaluation_lift those of calibration"
        )
