"""Rows of a design made by formula, and the same design as a dense matrix for the peers."""

from dataclasses import dataclass

import numpy as np

from kyros_spark.config import ModelSettings
from kyros_spark.fitting.design import layout_of
from kyros_spark.fitting.local_rows import LocalRows
from kyros_spark.model.manifest import Feature

AREA = ("city", "village", "suburb")
FUEL = ("petrol", "diesel", "electric", "gas")


@dataclass
class Design:
    """Rows as arrays: codes by factor, numbers by name, label, weight, offset."""

    levels: dict
    codes: dict
    numbers: dict
    label: np.ndarray
    weight: np.ndarray
    offset: np.ndarray

    @property
    def features(self):
        factors = [Feature(name=n, kind="levels", levels=v) for n, v in self.levels.items()]
        return [*factors, *(Feature(name=n, impute=0.0) for n in self.numbers)]

    def rows(self):
        """Return the rows as the solver takes them."""
        layout = layout_of(
            self.features,
            {n: v.mean() for n, v in self.numbers.items()},
            {n: v.std() for n, v in self.numbers.items()},
        )
        empty = np.empty((self.label.size, 0))
        codes = np.column_stack([empty.astype(int), *self.codes.values()])
        numbers = np.column_stack([empty, *self.numbers.values()])
        return LocalRows(layout.block(codes, numbers, self.label, self.weight, self.offset), layout)

    def matrix(self, scaled=False):
        """Return the dense design: constant, an indicator a level but the first, the numbers."""
        columns = [np.ones(self.label.size)]
        for name, levels in self.levels.items():
            columns += [self.codes[name] == code for code in range(1, len(levels))]
        for values in self.numbers.values():
            columns.append((values - values.mean()) / values.std() if scaled else values)
        return np.column_stack(columns).astype(float)


def generated(family="poisson", link="log", offset=False, weight=False, rows=3000, seed=7):
    """Return rows of a family with known effects; a binomial's weight is its number of trials."""
    random = np.random.default_rng(seed)
    codes = {"area": random.integers(0, 3, rows), "fuel": random.integers(0, 4, rows)}
    numbers = {"value": random.gamma(2.0, 9000.0, rows), "age": random.uniform(18, 80, rows)}
    eta = np.array([0.0, 0.3, -0.2])[codes["area"]] + np.array([0.0, 0.1, 0.4, -0.3])[codes["fuel"]]
    eta = eta + numbers["value"] / 60000.0 - numbers["age"] / 200.0
    away = np.log(random.uniform(0.3, 1.0, rows)) if offset else np.zeros(rows)
    away = away if link != "identity" else np.exp(away) - 0.6 * offset
    mean = 2.0 + eta + away if link == "identity" else np.exp(eta + away)
    weights = random.integers(1, 4, rows).astype(float) if weight else np.ones(rows)
    label = {
        "poisson": lambda: random.poisson(mean),
        "negative_binomial": lambda: random.poisson(mean * random.gamma(2.0, 0.5, rows)),
        "gamma": lambda: random.gamma(2.0, mean / 2.0),
        "tweedie": lambda: np.array([random.gamma(1.5, m, n).sum() for n, m in
                                     zip(random.poisson(mean), mean, strict=True)]),
        "binomial": lambda: random.binomial(weights.astype(int), mean / (1 + mean)) / weights,
    }[family]()  # fmt: skip
    return Design({"area": AREA, "fuel": FUEL}, codes, numbers, label.astype(float), weights, away)


def settings(family="poisson", link="log", **more):
    """Return a model's settings; ``glm`` options beside ``tweedie_power`` and ``theta``."""
    own = {k: more.pop(k) for k in ("tweedie_power", "theta") if k in more}
    return ModelSettings(
        method="glm", family=family, target="claim_count", per="exposure",
        glm={"link": "logit" if family == "binomial" else link, **more}, **own,
    )  # fmt: skip
