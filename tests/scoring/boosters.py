"""Real boosters and the rows that would betray a wrong comparison: the subjects of many tests."""

import numpy as np
import xgboost

from kyros_spark.model.artefact import Model
from kyros_spark.model.importers.xgboost import trees_from_xgboost
from kyros_spark.model.manifest import Feature, Manifest, Source


def training_rows(rows=4000, features=6, missing=0.1, seed=7):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    x[:, 0] = rng.integers(0, 4, rows)
    x[rng.random(x.shape) < missing] = np.nan
    signal = np.nan_to_num(x[:, 1]) * 0.4 + (np.nan_to_num(x[:, 0]) == 2) + np.isnan(x[:, 2]) * 0.5
    return x, rng.poisson(np.exp(signal)).astype(np.float32)


def boost(rounds=40, features=6, missing=0.1, rows=4000, **parameters):
    x, y = training_rows(rows, features, missing)
    objective = parameters.get("objective", "count:poisson")
    if objective.startswith("binary"):
        y = (y > 0).astype(np.float32)
    if objective == "reg:gamma":
        y = y + 0.5
    settings = {"objective": objective, "max_depth": 6, "nthread": 1, **parameters}
    return xgboost.train(settings, xgboost.DMatrix(x, y), rounds)


def model_of(booster, form="json", **manifest):
    """Import a booster with features named f0, f1, ..."""
    found = trees_from_xgboost(booster.save_raw(form))
    facts = {
        "name": "demo",
        "kind": "trees",
        "source": Source(library="xgboost", version=found.version),
        "family": found.family,
        "link": found.link,
        "target": "claims",
        "intercept": found.intercept,
        "features": tuple(Feature(name=f"f{k}") for k in range(found.trees.n_features)),
    }
    return Model(Manifest(**(facts | manifest)), found.trees.as_dict())


def adversarial_rows(arrays, rows, seed=3):
    """Mix, column by column, the model's own cuts, their neighbours, and every odd float."""
    rng = np.random.default_rng(seed)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1e-40, 3e38, -3e38, 1e30])
    columns = []
    for begin, end in zip(arrays["cut_start"][:-1], arrays["cut_start"][1:], strict=True):
        cuts = arrays["cut_value"][begin:end]
        up, down = np.inf, -np.inf
        near = [
            cuts,
            np.nextafter(cuts, cuts.dtype.type(up)),
            np.nextafter(cuts, cuts.dtype.type(down)),
        ]
        pool = np.concatenate(
            [*near, odd.astype(cuts.dtype), rng.normal(size=20).astype(cuts.dtype)]
        )
        columns.append(pool[rng.integers(0, pool.size, rows)])
    return np.stack(columns, axis=1)


def columns_of(rows):
    return [np.ascontiguousarray(rows[:, k]) for k in range(rows.shape[1])]


def margins(booster, rows, base_margin=None):
    """XGBoost's own raw scores; infinities are passed in place, as its DMatrix refuses them."""
    rows = np.ascontiguousarray(rows)
    return booster.inplace_predict(rows, predict_type="margin", base_margin=base_margin)
