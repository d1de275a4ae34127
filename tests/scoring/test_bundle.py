"""Models scored together give, to the last bit, what each gives alone."""

import itertools

import lightgbm
import numpy as np
import pytest

from kyros_spark.model.artefact import Model
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.bundle import bundle, groups
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import adversarial_rows, boost, columns_of, model_of

KERNELS = ("auto", "portable")


def grown(tmp_path, number, **parameters):
    """A LightGBM model of six features, one of them categorical."""
    rng = np.random.default_rng(number)
    x = rng.normal(size=(3000, 6))
    x[:, 4] = rng.integers(0, 40, 3000)
    y = x[:, 0] * x[:, 1] + np.sin(x[:, 4]) + (x[:, 2] > 0.3)
    if parameters.get("objective") == "multiclass":
        y = np.digitize(y, [-0.5, 0.8])
    settings = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5, **parameters}
    data = lightgbm.Dataset(x, y, categorical_feature=[4])
    path = tmp_path / f"{number}.txt"
    lightgbm.train(settings, data, 15).save_model(str(path))
    return import_model(path, name="m", target="y", features=[f"f{k}" for k in range(6)])


def together(models, arguments, columns, kernel):
    """Return each model's raw scores out of their bundle."""
    whole = bundle(models, arguments)
    read = sorted({place for places in arguments for place in places})
    found = Scorer(whole, kernel).raw([columns[place] for place in read])
    sizes = [max(len(model.manifest.outputs), 1) for model in models]
    return np.split(found, np.cumsum(sizes)[:-1], axis=1)


def check(models, arguments, columns, kernel):
    for model, places, ours in zip(
        models, arguments, together(models, arguments, columns, kernel), strict=True
    ):
        alone = Scorer(model, kernel).raw([columns[place] for place in places])
        np.testing.assert_array_equal(ours, alone.reshape(len(ours), -1))
        assert len(np.unique(alone)) > 50


@pytest.mark.parametrize("kernel", KERNELS)
def test_boosters_that_read_the_same_columns_in_another_order(kernel):
    models = [model_of(boost(rounds=30)), model_of(boost(rounds=20, seed=3, max_depth=3))]
    rows = np.concatenate([adversarial_rows(model.arrays, 2000) for model in models])
    arguments = [[0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4]]
    check(models, arguments, columns_of(rows), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
def test_more_than_254_cuts_together_though_not_alone(kernel):
    models = [model_of(boost(rounds=60, max_bin=200, features=3, seed=k)) for k in (1, 2)]
    models.append(model_of(boost(rounds=120, max_bin=2000, features=3)))
    rows = adversarial_rows(models[2].arrays, 3000)
    check(models, [[0, 1, 2]] * 3, columns_of(rows), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
def test_categories_and_classes(kernel, tmp_path):
    models = [
        grown(tmp_path, 1),
        grown(tmp_path, 2, objective="multiclass", num_class=3),
        grown(tmp_path, 3, num_leaves=400),
    ]
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=4000) for _ in range(8)]
    columns[4] = rng.choice([np.nan, -1.0, 0.5, 1e9, *range(45)], 4000)
    columns[7] = rng.choice([np.nan, -1.0, 0.5, 1e9, *range(45)], 4000)
    arguments = [[0, 1, 2, 3, 4, 5], [6, 1, 2, 3, 7, 5], [0, 6, 2, 3, 4, 5]]
    check(models, arguments, columns, kernel)


def test_models_that_compare_otherwise_are_kept_apart(tmp_path):
    single, double = model_of(boost(rounds=3)), grown(tmp_path, 1)
    halved = Model(double.manifest.model_copy(update={"divisor": 2.0}), double.arrays)
    assert groups([single, double, single, halved, double]) == [[0, 2], [1, 4], [3]]
    both = itertools.chain(*groups([single, double]))
    assert sorted(both) == [0, 1]
