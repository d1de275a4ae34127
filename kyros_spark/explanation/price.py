"""Describe a price as a sum on the scale of its link: of one model, or of a product of several.

link(prediction - load) = base + sum of contributions + rest, where the price of a product of models
with log link is the sum of theirs, feature by feature of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kyros_spark.explanation.explainer import Contributions


@dataclass(frozen=True)
class PricePart:
    """One output of a model that a price is made of, and where its features stand among all.

    reads: the numbers of the features that the model uses. places: their numbers among the price's.
    scale: what the raw score is multiplied by on the way to the link: LightGBM's sigmoid, or the
    rebalance factor of an identity link.
    """

    model: int
    output: int
    reads: tuple[int, ...]
    places: tuple[int, ...]
    scale: float = 1.0


@dataclass(frozen=True)
class Price:
    """One model name of table `predictions`, as a sum on the scale of its link.

    shift: the logarithm of all rebalance factors, which belongs to the base.
    factor, load: what the product of the parts' responses is multiplied by, and what is added then.
    shown_load: all that is added behind the product, a single model's own load included.
    """

    name: str
    version: str
    link: str
    features: tuple[str, ...]
    parts: tuple[PricePart, ...]
    shift: float = 0.0
    factor: float = 1.0
    load: float = 0.0
    shown_load: float = 0.0

    @property
    def multiplies(self) -> bool:
        """Tell whether exp(contribution) is a factor: on the price, or on the odds."""
        return self.link in ("log", "logit")


@dataclass(frozen=True)
class ExplainedRows:
    """A price of n rows: prediction and raw score, float64[n]; base; values, float64[n, features].

    raw: the linear predictor of the price as scored, to which base and values add up but for
    rounding.
    """

    price: Price
    prediction: np.ndarray
    raw: np.ndarray
    base: float
    values: np.ndarray


def explained_rows(
    price: Price,
    raws: Sequence[np.ndarray],
    responses: Sequence[np.ndarray],
    contributions: Sequence[Contributions],
) -> ExplainedRows:
    """Add up the parts of a price.

    raws, responses: float64[n, outputs] by model. contributions: by model.
    """
    first = price.parts[0]
    count = raws[first.model].shape[0]
    prediction, raw, base = np.ones(count), np.full(count, price.shift), price.shift
    values = np.zeros((count, len(price.features)))
    for part in price.parts:
        of_model = contributions[part.model]
        prediction = prediction * responses[part.model][:, part.output]
        raw += part.scale * raws[part.model][:, part.output]
        base += part.scale * float(of_model.base[part.output])
        used = of_model.values[:, part.output, :][:, list(part.reads)]
        values[:, list(part.places)] += part.scale * used
    if price.factor != 1.0:
        prediction = prediction * price.factor
    if price.load:
        prediction = prediction + price.load
    return ExplainedRows(price, prediction, raw, base, values)
