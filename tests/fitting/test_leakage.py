"""What a feature explains alone, against scikit-learn, and what is said of one that knows too much."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import statsmodels.api as sm
from portfolio import FIRST, POLICY_HEADER, claim_rows, policy_rows
from sklearn.metrics import d2_tweedie_score

from kyros_spark.aggregates.rows import DriverRows
from kyros_spark.config import ModelSettings
from kyros_spark.fitting.leakage import one_way_d2
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, model_rows
from kyros_spark.model.manifest import Feature

ROWS = 4000
FAMILIES = {
    "poisson": (1, "claim_count", "exposure"),
    "tweedie": (1.5, "claim_amount", "exposure"),
    "gamma": (2, "claim_amount", "claim_count"),
}
FEATURES = [
    Feature(name="area", kind="levels", levels=("city", "village", "farm")),
    Feature(name="noisy_count", impute=0.0),
    Feature(name="noise", impute=0.0),
    Feature(name="never_varies", impute=0.0),
]


@pytest.fixture(scope="module")
def portfolio_rows():
    random = np.random.default_rng(5)
    area = random.choice(["city", "village", "farm"], ROWS)
    exposure = random.uniform(0.2, 1, ROWS)
    rate = np.where(area == "city", 0.3, 0.1)
    count = random.poisson(rate * exposure).astype(float)
    amount = count * random.gamma(2.0, np.where(area == "farm", 900.0, 300.0))
    noise = random.normal(size=ROWS)
    return pd.DataFrame({
        "area": area, "exposure": exposure, "claim_count": count, "claim_amount": amount,
        "noisy_count": count + 0.1 * noise, "noise": random.normal(size=ROWS), "never_varies": 1.0,
    })  # fmt: skip


@pytest.mark.parametrize("family", list(FAMILIES))
def test_one_way_d2_is_that_of_the_groups_own_means(spark, portfolio_rows, family):
    power, target, per = FAMILIES[family]
    settings = ModelSettings(method="glm", family=family, target=target, per=per)
    frame = model_rows(spark.createDataFrame(portfolio_rows), settings)
    found = one_way_d2(frame, frame.count(), FEATURES, settings)
    rows = portfolio_rows[portfolio_rows[target] > 0] if family == "gamma" else portfolio_rows
    sums = rows.groupby("area")[[target, per]].transform("sum")
    mean = sums[target] / sums[per]
    rate, unit, weight = rows[target] / rows[per], 1.0, rows[per]
    if family == "poisson":  # the exposure is an offset: each row has a mean of its own
        rate, unit, weight = rows[target], rows[per], None
    null = (rows[target].sum() / rows[per].sum() * unit) + 0 * mean

    def deviance(mu):  # scikit-learn compares with the plain mean of y; here with `null`
        return 1 - d2_tweedie_score(rate, mu, sample_weight=weight, power=power)

    plain = deviance(mean * unit) / deviance(null)
    adjusted = 1 - plain * (len(rows) - 1) / (len(rows) - 3)
    assert found["area"] == pytest.approx(adjusted, rel=1e-9)
    assert abs(found["noise"]) < 0.05 and "never_varies" not in found
    if family == "poisson":
        assert found["noisy_count"] > 0.5


def test_one_way_d2_of_a_probability_is_that_of_the_groups_own_shares():
    random = np.random.default_rng(8)
    area = random.choice(["city", "village", "farm"], ROWS)
    trials = random.integers(1, 4, ROWS).astype(float)
    share = random.binomial(trials.astype(int), np.where(area == "city", 0.4, 0.2)) / trials
    table = pd.DataFrame({
        "area": area, "exposure": 1.0, LABEL: share, WEIGHT: trials, OFFSET: 0.0,
    })  # fmt: skip
    settings = ModelSettings(method="glm", family="binomial", target="hit", per="trials")
    rows = DriverRows(pa.Table.from_pandas(table))
    found = one_way_d2(rows, ROWS, FEATURES[:1], settings)["area"]
    fits = [
        sm.GLM(share, design, family=sm.families.Binomial(), var_weights=trials).fit()
        for design in (pd.get_dummies(area).to_numpy(float), np.ones((ROWS, 1)))
    ]
    adjusted = 1 - (fits[0].deviance / (ROWS - 3)) / (fits[1].deviance / (ROWS - 1))
    assert found == pytest.approx(adjusted, rel=1e-9) and found > 0.01


@pytest.fixture
def leaking(raw_portfolio):
    """The tiny portfolio with a column that is a noisy copy of the claim count."""
    claims = [row[1] for row in claim_rows(FIRST)]
    rows = [
        [*row, f"{claims.count(row[0]) + 0.01 * (n % 7):.2f}"]
        for n, row in enumerate(policy_rows(FIRST))
    ]
    raw_portfolio.write("policies", [*POLICY_HEADER, "letters"], rows)
    raw_portfolio.set("sources.policies.columns.letters", {"type": "double"})
    raw_portfolio.set("prepare.features.letters", {"kind": "numeric"})
    models = raw_portfolio.settings["train"]["models"]
    raw_portfolio.settings["train"]["models"] = {"boosted": models["boosted"]}
    raw_portfolio.set("predict", {})
    raw_portfolio.must(f"clean --batch {FIRST}")
    raw_portfolio.must(f"prepare --batch {FIRST}")
    return raw_portfolio


@pytest.mark.slow
def test_a_feature_that_knows_the_claims_is_suspect_by_name(leaking, finished, caplog):
    told = leaking.must("train")["details"]["boosted"]
    assert told["suspect"] == ["letters"] and told["one_way_d2"]["letters"] > 0.5
    assert "model boosted: letters (" in caplog.text
    leaking.set("train.suspects", "fail")
    outcome = leaking.kyros("train")
    assert (outcome.code, outcome.line["error"]["type"]) == (4, "LeakageError")
    assert "expected each feature alone to explain at most 0.2" in outcome.message
    leaking.set("train.max_one_way_d2", 1)
    assert leaking.must("train")["details"]["boosted"]["suspect"] == []


def test_no_feature_of_a_clean_portfolio_is_suspect(finished, spark):
    (row,) = finished.read(spark, "runs").where("stage = 'train'").select("details").collect()
    told = json.loads(row["details"])
    assert [one["suspect"] for one in told.values()] == [[]] * 5
    assert set(told["frequency"]["one_way_d2"]) == set(finished.settings["prepare"]["features"])
