"""The kernels of the GLM against the dense design, whatever the blocks and stripes."""

import naive
import numpy as np
import pytest
from rows_of_glm import generated

from kyros_spark.fitting import equations
from kyros_spark.fitting.equations import Family

VARIANCES = {
    "poisson": (Family(1.0), lambda mu: mu),
    "gamma": (Family(2.0), lambda mu: mu * mu),
    "tweedie": (Family(1.7), lambda mu: mu**1.7),
    "negative_binomial": (Family(1.0, theta=3.0), lambda mu: mu + mu * mu / 3.0),
}


@pytest.mark.parametrize("family", list(VARIANCES))
def test_index_arithmetic_gives_the_dense_designs_normal_equations(family, monkeypatch):
    monkeypatch.setattr(equations, "BLOCK_ROWS", 100)  # 1,999 rows in stripes of 249 and 250
    design = generated(family, offset=True, weight=True, rows=1999)
    law, variance = VARIANCES[family]
    rows = design.rows()
    kept = [n for n in range(len(rows.layout.columns)) if n not in rows.layout.bases]
    coefficients = np.zeros(len(rows.layout.columns))
    coefficients[kept] = np.random.default_rng(1).normal(0, 0.3, len(kept))
    found = rows.equations(law, coefficients)
    gram, gradient = naive.normal_equations(
        design.matrix(scaled=True), design.label, design.weight, design.offset,
        coefficients[kept], variance,
    )  # fmt: skip
    np.testing.assert_allclose(found.gram[np.ix_(kept, kept)], gram, rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(found.gradient[kept], gradient, rtol=1e-10, atol=1e-9)
    again = design.rows().equations(law, coefficients)
    assert np.array_equal(again.gram, found.gram)  # to the last bit, whatever the threads did
