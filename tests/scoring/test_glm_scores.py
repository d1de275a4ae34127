"""Linear predictors equal the textbook sum."""

import numpy as np
import pytest

from kyros_spark.errors import DataContractError, ModelFormatError
from kyros_spark.model.artefact import model_to_bytes, read_model
from kyros_spark.model.glm import glm_model
from kyros_spark.model.manifest import Feature, Manifest, Source
from kyros_spark.scoring.scorer import Scorer
from tests import naive

FEATURES = (
    Feature(name="area", kind="levels", levels=("A", "B", "C")),
    Feature(name="age", kind="numeric", impute=40.0),
    Feature(
        name="fuel", kind="levels", levels=("petrol", "diesel", "(missing)"), missing="(missing)"
    ),
    Feature(name="power", kind="numeric"),
)
TABLES = {"area": [0.0, 0.21, -0.13], "fuel": [0.0, 0.05, 0.01]}
SLOPES = {"age": -0.0123, "power": 0.0031}


def manifest(**changes):
    facts = {
        "name": "frequency",
        "kind": "glm",
        "source": Source(library="spark.ml", version="4.1"),
        "family": "poisson",
        "link": "log",
        "target": "claim_count",
        "per": "exposure",
        "intercept": -2.345,
        "features": FEATURES,
    }
    return Manifest(**(facts | changes))


def rows(count=2000):
    rng = np.random.default_rng(2)
    age = rng.uniform(17, 95, count)
    age[rng.random(count) < 0.1] = np.nan
    return [
        rng.integers(0, 3, count).astype(np.float64),
        age,
        rng.integers(0, 3, count),
        rng.uniform(3, 500, count),
    ], np.log(rng.uniform(0.01, 1, count))


def test_raw_scores_are_the_textbook_sum_to_1e_12():
    model = glm_model(manifest(), TABLES, SLOPES)
    columns, offset = rows()
    described = [(f.name, f.kind, f.impute) for f in FEATURES]
    tables = [TABLES.get(f.name) or [SLOPES[f.name]] for f in FEATURES]
    expected = naive.glm_scores(described, tables, columns, offset - 2.345)
    raw = Scorer(model).raw(columns, offset)
    np.testing.assert_allclose(raw, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        Scorer(model).response(columns, offset), np.exp(expected), rtol=1e-12
    )


def test_a_glm_survives_its_file():
    model = glm_model(manifest(), TABLES, SLOPES)
    again = read_model(model_to_bytes(model))
    assert again.manifest == model.manifest
    columns, _ = rows()
    np.testing.assert_array_equal(Scorer(again).raw(columns), Scorer(model).raw(columns))


def test_a_missing_number_without_imputation_gives_nan_not_a_guess():
    columns, _ = rows(3)
    columns[3] = np.array([np.nan, 1.0, 2.0])
    raw = Scorer(glm_model(manifest(), TABLES, SLOPES)).raw(columns)
    assert np.isnan(raw).tolist() == [True, False, False]


@pytest.mark.parametrize("code", [-1.0, 3.0, np.nan, 1e30])
def test_a_code_outside_the_levels_is_refused(code):
    columns, _ = rows(4)
    columns[0] = np.array([0.0, 1.0, code, 2.0])
    with pytest.raises(DataContractError, match="feature area: expected codes 0 to 2"):
        Scorer(glm_model(manifest(), TABLES, SLOPES)).raw(columns)


@pytest.mark.parametrize(
    ("tables", "slopes", "said"),
    [
        ({"area": [0.0, 1.0], "fuel": [0.0] * 3}, SLOPES, "feature area: expected 3 coefficients"),
        ({"fuel": [0.0] * 3}, SLOPES, "coefficients: expected"),
        (TABLES, {"age": float("nan"), "power": 0.0}, "feature age: coefficients must be finite"),
        (TABLES | {"age": [1.0]}, SLOPES, "coefficients: expected"),
    ],
)
def test_coefficients_that_do_not_fit_are_refused(tables, slopes, said):
    with pytest.raises(ModelFormatError, match=said):
        glm_model(manifest(), tables, slopes)
