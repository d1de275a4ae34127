"""The published GLM of bemtpl97, through the real jobs, against the paper and statsmodels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from pyspark.sql import functions as F

from kyros_spark.cli.main import main

CONF = Path(__file__).parents[2] / "conf" / "bemtpl97.yaml"
# The paper's levels as (first, last), in its own words and order; the base is what is left.
LEVELS = {
    "ageph": [(18, 23), (24, 26), (27, 29), (30, 34), (50, 55), (56, 57), (58, 77), (78, 95)],
    "bm": [(1, 1), (2, 2), (3, 5), (6, 6), (7, 9), (10, 10), (11, 13), (14, 17), (18, 22)],
    "power": [(10, 30), (31, 33), (34, 36), (37, 40), (41, 44), (68, 75), (76, 100), (101, 108),
              (109, 141), (142, 243)],
    "agec": [(0, 1), (2, 3), (15, 16), (17, 17), (18, 48)],
    "postcode": [(1000, 1080), (1081, 1210), (1300, 2160), (2200, 2590), (2620, 3090),
                 (4600, 4690), (4700, 5350), (5360, 5680), (6000, 6250), (6280, 6997),
                 (7000, 7380), (7387, 8980), (9000, 9667), (9680, 9990)],
}  # fmt: skip
OTHERS = {"coverage": "TPL", "sex": "male", "fuel": "gasoline", "fleet": "0"}


@pytest.fixture(scope="module")
def raw(real_data):
    """The paper's rows in its order, with the fold of each."""
    rows = pd.read_parquet(real_data("bemtpl97") / "policies.parquet")
    rows = rows.sort_values(["nclaims", "amount", "expo"], kind="stable").reset_index(drop=True)
    return rows.assign(fold=1 + rows.index % 6)


@pytest.fixture(scope="module")
def base(real_data, spark, tmp_path_factory):
    """Where the four stages and evaluate wrote their tables."""
    base = tmp_path_factory.mktemp("bemtpl97")
    path = real_data("bemtpl97") / "policies.parquet"
    words = ["--set", f"tables.base={base}", "--set", f"sources.policies.path={path}"]
    stages = "clean,prepare,train,predict,evaluate"
    words += ["--stages", stages, "--set", "evaluate.report=false"]
    assert main(["run", "--config", str(CONF), *words]) == 0
    return base


@pytest.fixture(scope="module")
def ours(base, spark):
    """The relativities of the GLM, by feature and level."""
    rows = spark.read.format("delta").load(f"{base}/relativities").collect()
    assert {row["model_name"] for row in rows} == {"frequency_glm"}
    return {(row["feature"], row["level"]): row for row in rows}


def level_of(name, values, first):
    """Return the label our bins give a value; the paper's first value of a level is in it."""
    labels = {"ageph": "<24", "bm": "<1", "power": "<31", "agec": "<2", "postcode": "<1081"}
    starts = sorted({low for low, _ in LEVELS[name]} | {values})
    after = [low for low in starts if low > first]
    if first == starts[0] and name != "bm":
        return labels[name]
    return f"{first}-<{after[0]}" if after else f"{first}+"


@pytest.mark.slow
def test_the_51_coefficients_are_statsmodels_and_the_papers(raw, ours):
    train = raw[raw["fold"] != 1]
    assert len(train) == 136_010
    base_start = {"ageph": 35, "bm": 0, "power": 45, "agec": 4, "postcode": 3110}
    columns, keys = [np.ones(len(train))], [("(intercept)", None)]
    for name, base in OTHERS.items():
        columns.append(train[name].astype(str) != base)
        keys.append((name, {"coverage": "TPL+ or TPL++", "sex": "female", "fuel": "diesel",
                            "fleet": "1"}[name]))  # fmt: skip
    for name, spans in LEVELS.items():
        for first, last in spans:
            columns.append(train[name].between(first, last))
            keys.append((name, level_of(name, base_start[name], first)))
    design = np.column_stack(columns).astype(float)
    theirs = sm.GLM(
        train["nclaims"], design, family=sm.families.Poisson(), offset=np.log(train["expo"])
    ).fit(tol=1e-12)
    assert len(keys) == 51
    found = {key: row for key, row in ours.items() if not row["is_base"]}
    assert set(found) == set(keys)
    for name, expected in (("coefficient", theirs.params), ("standard_error", theirs.bse)):
        np.testing.assert_allclose([found[k][name] for k in keys], expected, rtol=0, atol=1e-6)
    published = {("(intercept)", None): -2.2251583, ("bm", "18+"): 0.8974709,
                 ("postcode", "<1081"): 0.5588566}  # fmt: skip
    for key, value in published.items():
        assert found[key]["coefficient"] == pytest.approx(value, abs=5.1e-8)


@pytest.mark.slow
def test_deviances_and_aic_are_the_papers(base, ours, spark):
    rows = spark.read.format("delta").load(f"{base}/models").collect()
    told = {row["model_name"]: row["metrics"] for row in rows}["frequency_glm"]
    assert told["train_rows"] == 136_010
    assert told["null_deviance"] == pytest.approx(74901.3044, abs=5e-5)
    assert told["residual_deviance"] == pytest.approx(72094.7318, abs=5e-5)
    assert told["aic"] == pytest.approx(103607.2889, abs=1e-4)
    for feature in ("sex", "bm", "postcode"):
        levels = [row for (name, _), row in ours.items() if name == feature]
        assert sum(row["rows"] for row in levels) == 136_010
        assert [row["relativity"] for row in levels if row["is_base"]] == [1.0]


@pytest.mark.slow
def test_the_test_fold_scores_as_published_and_the_trees_beat_it(raw, base, spark):
    stored = spark.read.format("delta").load(f"{base}/predictions")
    parts = spark.read.format("delta").load(f"{base}/prepared").where("split = 'test'")
    joined = parts.select("id", "claims").join(stored, "id").where(F.col("batch_id") == "1997")
    rows = joined.select("id", "claims", "model_name", "expected").toPandas()
    assert set(rows["id"]) == set(raw[raw["fold"] == 1]["id"])
    found = {}
    for name, part in rows.groupby("model_name"):
        y, mu = part["claims"].to_numpy(), part["expected"].to_numpy()
        log = np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / mu), 0.0)
        found[name] = (2 * (log - (y - mu))).mean()
    assert found["frequency_glm"] == pytest.approx(0.5307749520, abs=1e-9)
    assert 0.525 < found["frequency_boost"] < 0.5308


@pytest.mark.slow
def test_evaluate_tells_the_published_deviance_of_the_test_fold(base, spark):
    rows = spark.read.format("delta").load(f"{base}/evaluation_metrics").where("part = 'test'")
    told = {row["model_name"]: row for row in rows.collect()}
    assert told["frequency_glm"]["deviance_per_row"] == pytest.approx(0.5307749520, abs=1e-9)
    assert 0.525 < told["frequency_boost"]["deviance_per_row"] < 0.5308
    assert told["frequency_glm"]["rows"] == 27_202
