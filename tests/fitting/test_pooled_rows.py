"""The pooled fit's kernels give the equations of the rows' own solver, whatever the family."""

import numpy as np
import pytest

from kyros_spark.fitting.design import layout_of
from kyros_spark.fitting.family import Family
from kyros_spark.fitting.local_rows import LocalRows
from kyros_spark.fitting.segments.pooled_rows import PooledRows
from kyros_spark.model.manifest import Feature

FUEL = Feature(name="fuel", kind="levels", levels=("petrol", "diesel", "electric"), base_code=0)
PLACE = Feature(name="place", kind="levels", levels=("town", "country"), base_code=1)
AGE, POWER = Feature(name="age", impute=40.0), Feature(name="power", impute=100.0)
DESIGNS = {
    "numbers": (AGE, POWER), "levels": (FUEL, PLACE), "both": (FUEL, AGE, PLACE, POWER),
    "constant": (),
}  # fmt: skip
FAMILIES = {
    "poisson": Family(1.0, "log"), "gamma": Family(2.0, "log"), "tweedie": Family(1.5, "log"),
    "negative binomial": Family(1.0, "log", 2.0), "identity": Family(1.0, "identity"),
    "binomial": Family(1.0, "logit"),
}  # fmt: skip
COUNT = 3000


def rows_of(features, family):
    random = np.random.default_rng(3)
    numbers = [f.name for f in features if f.kind == "numeric"]
    codes = [random.integers(0, len(f.levels), COUNT) for f in features if f.kind == "levels"]
    layout = layout_of(features, dict.fromkeys(numbers, 50.0), dict.fromkeys(numbers, 20.0))
    label = random.gamma(2.0, 0.5, COUNT)
    if family.is_binomial:
        label = (label > 1.0).astype(float)
    offset = random.normal(size=COUNT) if family.link == "log" else np.zeros(COUNT)
    block = layout.block(
        np.column_stack([np.empty((COUNT, 0), int), *codes]),
        random.normal(50, 20, (COUNT, len(numbers))), label, random.uniform(0.5, 2, COUNT), offset,
    )  # fmt: skip
    coefficients = random.normal(0, 0.1, len(layout.columns))
    coefficients[0] = 5.0 if family.link == "identity" else 0.2
    return block, layout, coefficients


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("features", DESIGNS.values(), ids=DESIGNS)
def test_the_equations_are_those_of_the_rows_own_solver(features, family):
    block, layout, coefficients = rows_of(features, family)
    own = LocalRows(block, layout).equations(family, coefficients)
    pooled = PooledRows(block, layout).equations(family, coefficients)
    np.testing.assert_allclose(pooled.gram, own.gram, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(pooled.gradient, own.gradient, rtol=1e-9, atol=1e-9)
    assert pooled.deviance == pytest.approx(own.deviance, rel=1e-10)
    assert pooled.pearson == pytest.approx(own.pearson, rel=1e-10)
    likelihoods = [
        rows(block, layout).likelihood(family, coefficients, 1.3)
        for rows in (LocalRows, PooledRows)
    ]
    assert likelihoods[1] == pytest.approx(likelihoods[0], rel=1e-10, nan_ok=True)


def test_a_mean_below_zero_has_an_infinite_deviance():
    family = FAMILIES["identity"]
    block, layout, coefficients = rows_of(DESIGNS["both"], family)
    coefficients[0] = -1.0
    assert PooledRows(block, layout).equations(family, coefficients).deviance == np.inf


def test_a_parameter_that_changes_changes_the_equations():
    block, layout, coefficients = rows_of(DESIGNS["both"], FAMILIES["tweedie"])
    rows = PooledRows(block, layout)
    for family in (FAMILIES["tweedie"], Family(1.3, "log"), FAMILIES["negative binomial"]):
        own = LocalRows(block, layout).equations(family, coefficients)
        pooled = rows.equations(family, coefficients)
        assert pooled.deviance == pytest.approx(own.deviance, rel=1e-10)
