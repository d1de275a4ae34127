"""A million rows of thresholds, their neighbours and every odd float: raw scores, bit by bit."""

import lightgbm
import numpy as np
import pytest

from kyros_spark.kernels.cpu import KERNELS, missing_features
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import adversarial_rows, boost, margins, model_of

ROWS, PART = 1_000_000, 100_000
HERE = [kernel for kernel in KERNELS if not missing_features(kernel)]

pytestmark = pytest.mark.slow


def differing(model, score):
    """Return how many scores differ, by kernel, and how many different ones were seen."""
    scorers = {kernel: Scorer(model, kernel) for kernel in HERE}
    wrong, seen = dict.fromkeys(HERE, 0), set()
    for seed in range(ROWS // PART):
        rows = adversarial_rows(model.arrays, PART, seed)
        expected = np.asarray(score(rows), np.float64)
        seen.update(np.unique(expected)[:1000].tolist())
        for kernel, scorer in scorers.items():
            found = scorer.raw([np.ascontiguousarray(column) for column in rows.T])
            wrong[kernel] += int((found.view(np.int64) != expected.view(np.int64)).sum())
    return wrong, len(seen)


def test_xgboost():
    booster = boost(rounds=100, features=8)
    booster.set_param({"nthread": 2})
    wrong, seen = differing(model_of(booster), lambda rows: margins(booster, rows))
    assert wrong == dict.fromkeys(HERE, 0) and seen > 1000


def test_lightgbm(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5000, 8))
    x[:, 0] = rng.integers(0, 4, 5000)
    x[rng.random(x.shape) < 0.1] = np.nan
    y = np.nan_to_num(x[:, 1] * x[:, 2]) + (x[:, 0] == 2) + rng.normal(size=5000)
    settings = {"verbose": -1, "num_threads": 2, "num_leaves": 64, "min_data_in_leaf": 3}
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y), 100)
    booster.save_model(str(tmp_path / "m.txt"))
    names = [f"f{k}" for k in range(8)]
    model = import_model(tmp_path / "m.txt", name="m", target="y", features=names)
    wrong, seen = differing(model, lambda rows: booster.predict(rows, raw_score=True))
    assert wrong == dict.fromkeys(HERE, 0) and seen > 1000
