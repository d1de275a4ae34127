"""A list of category names goes to the column that pandas held as a category, or to none."""

import re

import numpy as np
import pandas as pd
import pytest

from kyros_spark.errors import ModelNotSupportedError, UsageError
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer

lightgbm = pytest.importorskip("lightgbm")


def portfolio(ordered=True, rows=1500, **columns):
    """A grade from 1 to 5 as a category, a region from 0 to 5 as whole numbers, and a target."""
    rng = np.random.default_rng(0)
    grade, region = rng.integers(1, 6, rows), rng.integers(0, 6, rows)
    frame = pd.DataFrame({"grade": pd.Categorical(grade, range(1, 6), ordered), "region": region})
    for name, draw in columns.items():
        frame[name] = draw(rng, rows)
    y = rng.poisson(np.exp(0.2 * grade + np.array([0.5, -0.5, 0.8, 0, -1, 0.3])[region] - 1))
    return frame, y


def fitted(frame, y, categorical="auto"):
    data = lightgbm.Dataset(frame, y, categorical_feature=categorical)
    settings = {"objective": "poisson", "verbose": -1, "num_threads": 1, "min_data_per_group": 5}
    return lightgbm.train(settings | {"cat_smooth": 1}, data, 15)


def imported(booster, **options):
    return import_model(booster.model_to_string().encode(), "m", "claims", **options)


def codes(frame):
    columns = [
        column.cat.codes if column.dtype == "category" else column for _, column in frame.items()
    ]
    return [np.asarray(column, np.float64) for column in columns]


@pytest.mark.parametrize("ordered", [True, False])
def test_five_names_are_not_those_of_a_column_whose_categories_reach_five(ordered):
    """Ordered or left out of categorical_feature, grade is not split by categories; region is."""
    frame, y = portfolio(ordered)
    booster = fitted(frame, y, ["region"])
    with pytest.raises(ModelNotSupportedError, match="region: its categories reach 5.*5 names"):
        imported(booster)
    model = imported(booster, categories=["grade"])
    grade, region = model.manifest.features
    assert (grade.levels, region.levels) == (("1", "2", "3", "4", "5"), ())
    expected = booster.predict(frame, raw_score=True)
    np.testing.assert_array_equal(Scorer(model).raw(codes(frame)), expected)


def flag(rng, rows):
    return rng.integers(0, 2, rows)


def test_a_file_that_leaves_a_choice_asks_for_the_columns_name():
    frame, y = portfolio(False, flag=flag)
    frame["fuel"] = pd.Categorical(np.where(frame.flag == 1, "diesel", "petrol"))
    booster = fitted(frame[["flag", "fuel"]], y)
    with pytest.raises(UsageError, match="those of fuel.*or of flag.*--categories fuel"):
        imported(booster)
    model = imported(booster, categories=["fuel"])
    assert [feature.levels for feature in model.manifest.features] == [(), ("diesel", "petrol")]


SHOWN = {
    "numbers beyond the names": lambda rng, rows: rng.integers(0, 99, rows),
    "negative numbers": lambda rng, rows: rng.integers(-1, 3, rows),
    "fractions": lambda rng, rows: np.append(rng.uniform(0, 4, rows - 2).round(2), [0, 4]),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_a_column_that_holds_no_codes_leaves_no_choice(kind):
    frame, y = portfolio(False, other=SHOWN[kind])
    y = y + (frame.other > 1.5)
    model = imported(fitted(frame[["other", "grade"]], y))
    assert model.manifest.features[1].levels == ("1", "2", "3", "4", "5")


def test_an_unused_category_is_named_too():
    frame, y = portfolio(False)
    frame["land"] = pd.Categorical(["BE"] * len(frame))
    booster = fitted(frame[["grade", "land"]], y)
    with pytest.raises(ModelNotSupportedError, match="2 lists of category names for 1 features"):
        imported(booster)
    model = imported(booster, categories=["land", "grade"])
    assert [len(feature.levels) for feature in model.manifest.features] == [5, 1]


def test_confirmed_names_are_held_against_the_file():
    frame, y = portfolio()
    booster = fitted(frame, y, ["region"])
    with pytest.raises(ModelNotSupportedError, match="region: its categories reach 5"):
        imported(booster, categories=["region"])
    with pytest.raises(ModelNotSupportedError, match="1 lists of category names for 2 features"):
        imported(booster, categories=["region", "grade"])
    with pytest.raises(UsageError, match="grade, region, found place"):
        imported(booster, categories=["place"])
    text = re.sub(
        "(?m)^pandas_categorical:.*", "pandas_categorical:null", booster.model_to_string()
    )
    with pytest.raises(ModelNotSupportedError, match="0 lists of category names for 1 features"):
        import_model(text.encode(), "m", "claims", categories=["grade"])
