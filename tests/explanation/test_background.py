"""Values against a sample: the unknown features are those of its rows, each in turn."""

import numpy as np
import pytest

from kyros_spark.errors import DataContractError, ModelNotSupportedError
from kyros_spark.explanation.explainer import Explainer
from tests.explanation.subjects import (
    lightgbm_model,
    onnx_model,
    rows_for,
    shapley,
    sums_of_leaves,
    without_covers,
    xgboost_model,
)
from tests.scoring.boosters import columns_of

MODELS = {
    "xgboost": lambda: xgboost_model(3)[1],
    "xgboost, categories": lambda: xgboost_model(3, kind="c", max_cat_to_onehot=1)[1],
    "lightgbm, classes": lambda: lightgbm_model(1, objective="multiclass")[1],
    "lightgbm, leaf-wise": lambda: lightgbm_model(1, leaves=120, min_data_in_leaf=1)[1],
    "onnx": lambda: onnx_model()[1],
}


@pytest.mark.parametrize("name", MODELS)
def test_values_are_the_mean_over_the_sample_of_shapleys_sums(name):
    model = without_covers(MODELS[name]())
    row, sample = rows_for(model, 1, seed=3), rows_for(model, 3, seed=4)
    ours = Explainer(model, background=columns_of(sample)).contributions(columns_of(row))

    def worth(known):
        mixed = sample.copy()
        mixed[:, sorted(known)] = row[0, sorted(known)]
        return sums_of_leaves(model, mixed).mean(axis=0)

    outputs = max(len(model.manifest.outputs), 1)
    for output in range(outputs):
        expected = shapley(lambda known, output=output: worth(known)[output], range(6))
        np.testing.assert_allclose(ours.values[0, output], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.base, worth(frozenset()), rtol=1e-12)
    total = ours.base + ours.values.sum(axis=2)
    np.testing.assert_allclose(total, sums_of_leaves(model, row), rtol=0, atol=1e-12)


def test_a_sample_larger_than_a_block_of_rows_counts_every_row_once():
    model = xgboost_model(3)[1]
    sample, rows = rows_for(model, 1300), rows_for(model, 40, seed=9)
    whole = Explainer(model, background=columns_of(sample)).contributions(columns_of(rows))
    parts = [
        Explainer(model, background=columns_of(sample[a:b])).contributions(columns_of(rows))
        for a, b in ((0, 500), (500, 1300))
    ]
    mean = (500 * parts[0].values + 800 * parts[1].values) / 1300
    np.testing.assert_allclose(whole.values, mean, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("background", "error", "message"),
    [
        ([np.zeros(0)] * 6, DataContractError, "rows in the background"),
        ([np.zeros(1)] * 5, DataContractError, "expected 6 columns"),
        ([np.array(["a"])] * 6, DataContractError, "array of numbers"),
    ],
)
def test_what_is_no_sample_is_refused(background, error, message):
    with pytest.raises(error, match=message):
        Explainer(xgboost_model()[1], background=background)


def test_tables_against_a_sample_are_bounded():
    model = xgboost_model()[1]
    with pytest.raises(ModelNotSupportedError, match=r"take \d+ bytes"):
        Explainer(model, max_table_bytes=10_000, background=columns_of(rows_for(model, 3)))
