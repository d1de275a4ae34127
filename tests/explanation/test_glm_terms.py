"""A linear model's contributions are its terms, less those that they are compared with."""

import numpy as np
import pytest

from kyros_spark.errors import DataContractError
from kyros_spark.explanation.explainer import Explainer
from kyros_spark.model.glm import glm_model
from kyros_spark.model.manifest import Feature, Manifest, Source
from kyros_spark.scoring.scorer import Scorer

MODEL = glm_model(
    Manifest(
        name="freq",
        kind="glm",
        source=Source(library="kyros-spark", version="1"),
        family="poisson",
        link="log",
        target="claims",
        intercept=-2.0,
        features=(
            Feature(name="fuel", kind="levels", levels=("petrol", "diesel")),
            Feature(name="power", impute=70.0),
        ),
    ),
    {"fuel": [0.0, 0.25]},
    {"power": 0.01},
)
COLUMNS = [np.array([0, 1, 1]), np.array([50.0, np.nan, 100.0])]


@pytest.mark.parametrize("kernel", ["auto", "numpy"])
@pytest.mark.parametrize(
    ("options", "base", "values"),
    [
        ({}, -2.0, [[0, 0.5], [0.25, 0.7], [0.25, 1.0]]),
        (
            {"reference_terms": np.array([0.1, 0.7])},
            -1.2,
            [[-0.1, -0.2], [0.15, 0.0], [0.15, 0.3]],
        ),
        (
            {"background": [np.array([0, 1]), np.array([60.0, 100.0])]},
            -2 + 0.125 + 0.8,
            [[-0.125, -0.3], [0.125, -0.1], [0.125, 0.2]],
        ),
    ],
)
def test_a_term_is_compared_with_the_base_level_a_reference_or_a_sample(
    options, base, values, kernel
):
    ours = Explainer(MODEL, kernel, **options).contributions(COLUMNS)
    np.testing.assert_allclose(ours.base, [base], rtol=1e-14)
    np.testing.assert_allclose(ours.values[:, 0], values, rtol=0, atol=1e-14)
    sums = ours.base + ours.values.sum(axis=2)
    np.testing.assert_allclose(sums[:, 0], Scorer(MODEL).raw(COLUMNS), rtol=1e-14)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference_terms": np.zeros(3)}, "expected 2 finite reference terms"),
        ({"reference_terms": np.array([0, np.nan])}, "expected 2 finite reference terms"),
        ({"background": [np.zeros(0)] * 2}, "rows in the background"),
        ({"background": [np.array([2]), np.zeros(1)]}, "codes 0 to 1"),
        ({"background": COLUMNS, "reference_terms": np.zeros(2)}, "found both"),
    ],
)
def test_what_terms_cannot_be_compared_with_is_named(options, message):
    with pytest.raises(DataContractError, match=message):
        Explainer(MODEL, **options)


def test_an_unseen_level_is_refused_as_the_scorer_refuses_it_and_no_rows_have_no_values():
    explainer = Explainer(MODEL)
    with pytest.raises(DataContractError, match="fuel: expected codes 0 to 1"):
        explainer.contributions([np.array([2]), np.zeros(1)])
    assert explainer.contributions([np.zeros(0)] * 2).values.shape == (0, 1, 2)
