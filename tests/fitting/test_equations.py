"""The kernels of the GLM against the dense design, whatever the blocks and stripes."""

import naive
import numpy as np
import pytest
from rows_of_glm import generated

from kyros_spark.fitting import equations
from kyros_spark.fitting.design import Block
from kyros_spark.fitting.family import Family
from kyros_spark.fitting.spark_rows import SparkRows
from kyros_spark.kernels.binomial import binomial_log_likelihood, binomial_working

VARIANCES = {
    "poisson": (Family(1.0), lambda mu: mu),
    "gamma": (Family(2.0), lambda mu: mu * mu),
    "tweedie": (Family(1.7), lambda mu: mu**1.7),
    "negative_binomial": (Family(1.0, theta=3.0), lambda mu: mu + mu * mu / 3.0),
    "binomial": (Family(1.0, "logit"), "mu (1 - mu)"),
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


class ThroughNumbers(SparkRows):
    """Two partitions of rows in this process, whose sums travel as the executors' do."""

    def __init__(self, blocks, layout):
        self.layout, self.count = layout, sum(block.label.size for block in blocks)
        self.blocks = blocks

    def _pass(self, evaluate, as_numbers):
        return [as_numbers(evaluate(block)) for block in self.blocks]


def test_sums_of_levels_and_ends_of_numbers_are_those_of_the_whole_after_travelling():
    design = generated(rows=1000)
    design.numbers["flag"] = (np.arange(1000) < 10).astype(float)
    design.label[:10] = 0.0
    local, family = design.rows(), Family(1.0)
    blocks = [
        Block(*(values[part] for values in vars(stripe).values()))
        for stripe in local._stripes
        for part in (slice(0, 7), slice(7, None))
    ]
    travelled = ThroughNumbers(blocks, local.layout).level_sums(family)
    whole = local.level_sums(family)
    for name in ("rows", "exposure", "observed", "ends"):
        np.testing.assert_allclose(getattr(travelled, name), getattr(whole, name), rtol=1e-12)
    assert travelled.weight == whole.weight and travelled.faults == whole.faults
    raw = np.column_stack(list(design.numbers.values()))
    scaled = (raw - local.layout.centre) / local.layout.scale
    claims, none = scaled[design.label > 0], scaled[design.label < 1]
    ends = [scaled.min(0), -scaled.max(0), claims.min(0), -claims.max(0), none.min(0), -none.max(0)]
    np.testing.assert_array_equal(travelled.ends, np.column_stack(ends))
    assert claims.max(0)[2] < scaled.max(0)[2], "no claim where the flag is set"


def test_a_probability_near_0_or_1_loses_no_digits():
    """At |eta| of 36 and more, 1 - mu is 0 in plain arithmetic; the deviance stays 2 |eta|."""
    eta = np.array([-700.0, -40.0, 40.0, 700.0])
    information, score, sums = np.empty(4), np.empty(4), np.zeros(2)
    label, ones = (eta < 0).astype(float), np.ones(4)
    binomial_working(label, ones, eta, information, score, sums)
    assert sums[0] == pytest.approx(2 * np.abs(eta).sum(), rel=1e-15)
    np.testing.assert_allclose(information, np.exp(-np.abs(eta)), rtol=1e-12)
    np.testing.assert_allclose(score, label - (eta > 0), rtol=1e-15)
    likelihood = binomial_log_likelihood(label, ones, eta)
    assert likelihood == pytest.approx(-np.abs(eta).sum(), rel=1e-15)
