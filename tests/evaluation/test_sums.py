"""Metrics, Gini, quantiles and A/E of generated rows: scikit-learn's, and independent NumPy twins'.

The rows have ties, zero exposures, zero claims, a part without any claim and a level of one row.
Every test runs twice: with the rows on the executors, and with the rows in this process.
"""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import twins
from pyspark.sql import functions as F
from scipy import stats
from sklearn import metrics as sk

from kyros_spark.aggregates.rows import collected
from kyros_spark.config import ModelSettings
from kyros_spark.errors import BatchMissingError, PredictionValueError
from kyros_spark.evaluation.base import BatchTotals
from kyros_spark.evaluation.charts import curve_rows, dislocation_rows, factor_rows
from kyros_spark.evaluation.curves import Pair
from kyros_spark.evaluation.factors import OTHER_LEVELS, factor_sums, ordered_levels
from kyros_spark.evaluation.intervals import ConfidenceInterval
from kyros_spark.evaluation.judged_rows import ExecutorJudgedRows, LocalJudgedRows
from kyros_spark.evaluation.losses import loss_sums
from kyros_spark.evaluation.results import PARTS, EvaluationContext, metric_rows
from kyros_spark.evaluation.sample import whole
from kyros_spark.evaluation.stability import (
    local_reference_bins,
    reference_bins,
    reference_values,
    stability,
)
from kyros_spark.evaluation.subjects import EvaluatedModel

ROWS, QUANTILES = 3000, 10
FAMILIES = {
    "frequency": ("poisson", "claim_count", "exposure"),
    "severity": ("gamma", "claim_amount", "claim_count"),
    "premium": ("tweedie", "claim_amount", "exposure"),
    "rival": ("poisson", "claim_count", "exposure"),
    "lapse": ("binomial", "lapsed", "trials"),
}
# 0/1 outcomes and shares of several trials; the validation part has one outcome only.
TRIALS = [0.0, 1.0, 2.0, 5.0]


def generated():
    draw = np.random.default_rng(17)
    exposure = draw.choice([0.0, 0.1, 0.25, 0.7, 1.0], ROWS, p=[0.05, 0.2, 0.25, 0.2, 0.3])
    rate = np.round(draw.gamma(3, 0.1, ROWS) + 0.01, 2)  # about a hundred values: ties
    split = draw.choice(["train", "valid", "test"], ROWS, p=[0.6, 0.1, 0.3])
    count = draw.poisson(rate * exposure) * (split != "valid")
    amount = np.array([np.round(draw.gamma(2, 500, n).sum(), 2) for n in count])
    rows = pd.DataFrame({
        "key": np.arange(ROWS), "exposure": exposure, "split": split,
        "claim_count": count.astype(float), "claim_amount": amount,
        "area": np.where(np.arange(ROWS) == 7, "alone", draw.choice(["a", "b", "c"], ROWS)),
        "power": np.where(draw.random(ROWS) < 0.05, np.nan, draw.integers(40, 200, ROWS)),
        "_p0": rate, "_p1": np.round(800 + 400 * draw.random(ROWS), -1),
        "_p2": np.round(rate * 1000 * draw.choice([0.9, 1.1], ROWS), -1),
        "_p3": np.round(rate * draw.choice([0.7, 1.0, 1.2], ROWS), 3) + 0.001,
    })  # fmt: skip
    probability = np.round(draw.beta(2, 5, ROWS), 2) * 0.98 + 0.01  # a hundred values: ties
    trials = draw.choice(TRIALS, ROWS, p=[0.05, 0.6, 0.2, 0.15])
    lapsed = draw.binomial(trials.astype(int), probability) * (split != "valid")
    return rows.assign(_p4=probability, trials=trials, lapsed=lapsed.astype(float))


def rows_of(runner, wide):
    if runner == "driver":
        return LocalJudgedRows(collected(wide).table)
    return ExecutorJudgedRows(wide, ROWS, rows_per_range=1000)


@pytest.fixture(scope="module")
def wide(spark):
    """The generated rows as a DataFrame of two partitions."""
    frame = spark.createDataFrame(generated()).repartition(2, "key")
    return whole(frame.withColumn("power", F.when(~F.isnan("power"), F.col("power")))).cache()


def judge(runner, wide):
    """Everything evaluate computes of the generated rows; on the executors in three ranges."""
    rows = rows_of(runner, wide)
    subjects = [
        EvaluatedModel(n, name, "1", ModelSettings(method="glm", family=f, target=t, per=p),
                used=frozenset({"area"}), labelled=True)
        for n, (name, (f, t, p)) in enumerate(FAMILIES.items())
    ]  # fmt: skip
    base = BatchTotals(rows, subjects)
    base.check("b", subjects)
    means = {of: mean for one in subjects for of, mean in base.null_means(one).items()}
    losses = loss_sums(rows, rows.extra, subjects, means)
    pair = Pair(len(subjects), subjects[3], subjects[0])
    curves = rows.curves(subjects, [pair], QUANTILES)
    judging = EvaluationContext("b", "r", "full", ConfidenceInterval(0.95), None, PARTS)
    metrics = [
        row
        for one in subjects
        for row in metric_rows(
            judging, one, [r for r in losses if r["subject"] == one.number], curves.ginis, {},
            "none", {}
        )
    ]  # fmt: skip
    factors = {"area": None, **rows.number_groups(["power"], QUANTILES)}
    large = rows.largest_levels(factors, 50)
    found = factor_sums(rows, rows.extra, factors, large, subjects, [pair])
    order = ordered_levels(found, {"power": factors["power"].labels})
    return SimpleNamespace(
        data=generated(), wide=wide, rows=rows, subjects=subjects, pair=pair, runner=runner,
        metrics={(r["model_name"], r["part"]): r for r in metrics},
        lift=list(curve_rows(judging, curves.points, subjects, [pair])),
        factors=[r for one in subjects for r in factor_rows(judging, one, found, order)],
        moves=list(dislocation_rows(judging, pair, found, order)),
    )  # fmt: skip


@pytest.fixture(scope="module", params=["executors", "driver"])
def judged(request, wide):
    return judge(request.param, wide)


def close(first, second):
    """Whether two results are the same up to the last digits of sums."""
    if isinstance(first, dict):
        return list(first) == list(second) and all(close(first[k], second[k]) for k in first)
    if isinstance(first, float) and second is not None:
        return first == pytest.approx(second, rel=1e-12, abs=1e-12)
    return first == second


@pytest.mark.slow
def test_both_runners_give_the_same_rows_in_the_same_order(wide):
    on_executors, on_driver = judge("executors", wide), judge("driver", wide)
    for name in ("metrics", "lift", "factors", "moves"):
        first, second = getattr(on_executors, name), getattr(on_driver, name)
        first, second = (list(r.values()) if name == "metrics" else r for r in (first, second))
        assert len(first) == len(second) > 5
        for row, other in zip(first, second, strict=True):
            assert close(row, other), (row, other)


def usable(data, name, part):
    """The rows that judge a model: value, units, observed, expected, by the rules of the trade."""
    family, target, per = FAMILIES[name]
    rows = data if part == "all" else data[data.split == part]
    rows = rows[(rows[per] > 0) & ((rows[target] > 0) | (family != "gamma"))]
    value = rows[f"_p{list(FAMILIES).index(name)}"].to_numpy()
    units, observed = rows[per].to_numpy(), rows[target].to_numpy()
    return rows, value, units, observed, value * units


CASES = [(n, p) for n in FAMILIES for p in PARTS if p != "valid"]


@pytest.mark.parametrize(("name", "part"), [c for c in CASES if c[0] != "lapse"])
def test_deviance_d2_and_errors_are_scikit_learns(judged, name, part):
    power = {"poisson": 1, "gamma": 2, "tweedie": 1.5}[FAMILIES[name][0]]
    _, value, units, observed, expected = usable(judged.data, name, part)
    row = judged.metrics[name, part]
    weighted = {"sample_weight": units, "power": power}
    deviance = sk.mean_tweedie_deviance(observed / units, value, **weighted)
    null = np.full(len(value), observed.sum() / units.sum())
    nothing = sk.mean_tweedie_deviance(observed / units, null, **weighted)
    assert row["rows"] == row["sampled_rows"] == len(value) > 50
    close = {"rel": 1e-10, "abs": 1e-12}
    assert row["deviance_per_exposure"] == pytest.approx(deviance, **close)
    assert row["deviance_per_row"] == pytest.approx(deviance * units.sum() / len(value), **close)
    assert row["null_deviance_per_exposure"] == pytest.approx(nothing, **close)
    d2 = sk.d2_tweedie_score(observed / units, value, **weighted)
    assert row["d2"] == pytest.approx(d2, **close)
    assert row["mae"] == pytest.approx(sk.mean_absolute_error(observed, expected), **close)
    assert row["rmse"] == pytest.approx(sk.root_mean_squared_error(observed, expected), **close)
    assert row["balance"] == pytest.approx(expected.sum() / observed.sum(), **close)
    if power == 1:  # a Poisson's deviance of counts is that of rates, weighted
        counts = sk.mean_poisson_deviance(observed, expected)
        assert row["deviance_per_row"] == pytest.approx(counts, **close)


@pytest.mark.parametrize(("name", "part"), CASES)
def test_gini_and_quantiles_are_the_twins_in_any_number_of_ranges(judged, name, part):
    _, value, units, observed, expected = usable(judged.data, name, part)
    found = judged.metrics[name, part]["gini"]
    lorenz = twins.gini(value, units, observed)
    most = 1 - observed.sum() / units.sum() if name == "lapse" else 1.0
    assert found == pytest.approx(lorenz / most, abs=1e-10)
    quantile = twins.quantile_of(value, units, QUANTILES)
    told = twins.by(quantile, units, observed, expected)
    mine = [r for r in judged.lift if (r["model_name"], r["part"]) == (name, part)]
    chart = {r["quantile"]: r for r in mine if r["chart"] == "calibration"}
    assert list(chart) == sorted(told) and len(chart) > 5
    mean = observed.sum() / units.sum()
    for number, (e, o, m) in told.items():
        row = chart[number]
        found = (row["units"], row["observed"], row["expected"])
        np.testing.assert_allclose(found, (e, o, m), rtol=1e-10)
        assert row["lift"] == pytest.approx(o / e / mean, rel=1e-10)
        inside = value[quantile == number]
        assert (row["least"], row["most"]) == (inside.min(), inside.max())
    lorenz = [r for r in mine if r["chart"] == "lorenz"]
    for row in lorenz:
        below = value <= row["most"]
        assert row["units_share"] == pytest.approx(units[below].sum() / units.sum(), rel=1e-10)
        share = observed[below].sum() / observed.sum()
        assert row["observed_share"] == pytest.approx(share, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("part", ["train", "test", "all"])
def test_scores_of_a_probability_are_scikit_learns(judged, part):
    """A row of n trials, k of them lapsed, is k rows that lapsed and n - k that did not."""
    _, value, units, observed, _ = usable(judged.data, "lapse", part)
    outcome, both = np.repeat([1, 0], len(value)), np.concatenate([value, value])
    weighted = {"sample_weight": np.concatenate([observed, units - observed])}
    row, close = judged.metrics["lapse", part], {"rel": 1e-10}
    auc = sk.roc_auc_score(outcome, both, **weighted)
    assert row["auc"] == pytest.approx(auc, **close) and auc > 0.6
    assert row["gini"] == pytest.approx(2 * auc - 1, **close)
    assert row["log_loss"] == pytest.approx(sk.log_loss(outcome, both, **weighted), **close)
    assert row["brier"] == pytest.approx(sk.brier_score_loss(outcome, both, **weighted), **close)
    share = observed / units
    saturated = np.where((share > 0) & (share < 1), share, 0.5)
    entropy = -(saturated * np.log(saturated) + (1 - saturated) * np.log(1 - saturated))
    entropy = np.where((share > 0) & (share < 1), entropy, 0.0) @ units / units.sum()
    deviance = 2 * (row["log_loss"] - entropy)
    assert row["deviance_per_exposure"] == pytest.approx(deviance, **close)
    null = np.full(2 * len(value), observed.sum() / units.sum())
    nothing = 2 * (sk.log_loss(outcome, null, **weighted) - entropy)
    assert row["null_deviance_per_exposure"] == pytest.approx(nothing, **close)
    assert row["d2"] == pytest.approx(1 - deviance / nothing, **close)


def test_auc_is_the_share_of_pairs_in_order_by_counting_them(judged):
    _, value, units, observed, _ = usable(judged.data, "lapse", "test")
    order = np.sign(value[:, None] - value[None, :]) / 2 + 0.5  # a tie is half
    pairs = observed[:, None] * (units - observed)[None, :]
    counted = (order * pairs).sum() / pairs.sum()
    assert judged.metrics["lapse", "test"]["auc"] == pytest.approx(counted, rel=1e-12)


def test_scores_of_a_probability_belong_to_no_other_family(judged):
    row = judged.metrics["frequency", "test"]
    assert row["log_loss"] is row["brier"] is row["auc"] is None
    assert not {"log_loss", "brier", "auc"} & set(row["absent"])
    nothing = judged.metrics["lapse", "valid"]
    assert nothing["log_loss"] > 0 and nothing["brier"] > 0
    assert nothing["absent"]["auc"] == nothing["absent"]["gini"] == "one outcome only in this part"


def test_what_is_no_probability_is_refused(judged):
    lapse = judged.subjects[4:]
    above = judged.wide.withColumn("_p4", F.when(F.col("key") < 3, 1.01).otherwise(F.col("_p4")))
    with pytest.raises(PredictionValueError, match=r"numbers up to 1, found 3 rows .* above 1 or"):
        BatchTotals(rows_of(judged.runner, above), lapse).check("b", lapse)
    hits = judged.wide.withColumn("lapsed", F.when(F.col("key") == 5, 9.0).otherwise(0.0))
    with pytest.raises(PredictionValueError, match=r"lapsed or trials.*found 1 rows .*above trial"):
        BatchTotals(rows_of(judged.runner, hits), lapse).check("b", lapse)


def test_a_double_lift_is_ordered_by_the_ratio_of_the_two(judged):
    rows, _, units, observed, _ = usable(judged.data, "rival", "test")
    ratio = (rows["_p3"] / rows["_p0"]).to_numpy()
    old, new = (rows["_p0"] * units).to_numpy(), (rows["_p3"] * units).to_numpy()
    told = twins.by(twins.quantile_of(ratio, units, QUANTILES), observed, new, old)
    chart = [r for r in judged.lift if r["chart"] == "double_lift" and r["part"] == "test"]
    assert [r["quantile"] for r in chart] == sorted(told)
    for row in chart:
        found = (row["observed"], row["expected"], row["other_expected"])
        np.testing.assert_allclose(found, told[row["quantile"]], rtol=1e-10)
        loss_ratio = row["observed"] / row["other_expected"]
        assert row["other_actual_expected"] == pytest.approx(loss_ratio, rel=1e-12)
        assert (row["model_name"], row["other_model"]) == ("rival", "frequency@1")


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_over_e_by_level_with_its_interval_is_the_twins(judged, name):
    rows, _, units, observed, expected = usable(judged.data, name, "all")
    told = twins.by(rows["area"].to_numpy(), units, observed, expected)
    mine = [r for r in judged.factors if (r["model_name"], r["part"]) == (name, "all")]
    area = {r["level"]: r for r in mine if r["factor"] == "area"}
    assert set(area) == set(told)
    for level, (e, o, m) in told.items():
        row, inside = area[level], (rows["area"] == level).to_numpy()
        found = (row["units"], row["observed"], row["expected"])
        np.testing.assert_allclose(found, (e, o, m), rtol=1e-10)
        assert row["actual_expected"] == pytest.approx(o / m, rel=1e-10, abs=1e-12)
        if name == "lapse":
            lower = stats.beta.ppf(0.025, o, e - o + 1) if o else 0
            upper = stats.beta.ppf(0.975, o + 1, e - o) if o < e else 1
            ends = [lower * e, upper * e]
        elif FAMILIES[name][0] == "poisson":
            ends = [
                stats.chi2.ppf(0.025, 2 * o) / 2 if o else 0,
                stats.chi2.ppf(0.975, 2 * o + 2) / 2,
            ]
        else:
            base = expected[inside] if FAMILIES[name][0] == "gamma" else 0.0
            half = stats.norm.ppf(0.975) * np.sqrt(((observed[inside] - base) ** 2).sum())
            ends = [max(0.0, o - half), o + half]
        np.testing.assert_allclose((row["lower"], row["upper"]), np.array(ends) / m, rtol=1e-9)
    assert sum(r["units_share"] for r in area.values()) == pytest.approx(1)
    assert all(r["used"] == (r["factor"] == "area") for r in mine)


def test_numbers_are_cut_by_equal_exposure_and_missing_ones_stand_apart(judged):
    data = judged.data[judged.data.power.notna()]
    quantile = twins.quantile_of(data.power.to_numpy(), data.exposure.to_numpy(), QUANTILES)
    mine = [r for r in judged.factors if r["factor"] == "power" and r["part"] == "all"]
    levels = [r["level"] for r in mine if r["model_name"] == "frequency"]
    ends = data.power.groupby(quantile).agg(["min", "max"]).to_numpy()
    assert levels == [*(f"{low:g} to {high:g}" for low, high in ends), "(missing)"]
    told = data[data.exposure > 0].claim_count.groupby(quantile[data.exposure > 0]).sum()
    found = [r["observed"] for r in mine if r["model_name"] == "frequency"][:-1]
    np.testing.assert_allclose(found, told.to_numpy(), rtol=1e-12)


def test_dislocation_is_the_distribution_of_the_ratio_by_exposure(judged):
    data = judged.data[judged.data.area == "b"]
    ratio = data._p3 / data._p0
    row = next(r for r in judged.moves if (r["part"], r["level"]) == ("all", "b"))
    mean = (ratio * data.exposure).sum() / data.exposure.sum()
    assert row["mean_ratio"] == pytest.approx(mean, rel=1e-10)
    cheaper = data.exposure[ratio <= 0.8].sum() / data.exposure.sum()
    assert cheaper > 0.1 and row["bands"]["below -20 %"] == pytest.approx(cheaper, rel=1e-10)
    assert sum(row["bands"].values()) == pytest.approx(1)


def test_a_part_without_claims_says_why_it_has_no_gini(judged):
    row = judged.metrics["frequency", "valid"]
    assert (row["observed"], row["actual_expected"], row["lower"]) == (0, 0, 0)
    assert row["upper"] > 0 and row["deviance_per_row"] > 0
    assert row["gini"] is None and row["d2"] is None and row["balance"] is None
    assert row["absent"]["gini"] == row["absent"]["d2"] == "no claims in this part"
    nothing = judged.metrics["severity", "valid"]
    assert nothing["rows"] is None and "no rows to judge" in nothing["absent"]["deviance_per_row"]


def test_levels_beyond_the_largest_are_put_together(judged):
    large = judged.rows.largest_levels({"area": None}, 2)
    one = judged.subjects[:1]
    found = factor_sums(judged.rows, judged.rows.extra, {"area": None}, large, one, [])
    order = ordered_levels(found, {})["area"]
    assert len(order) == 3 and order[-1] == OTHER_LEVELS
    exposure = sum(r["_size"] for r in found if r["factor"] == "area")
    assert exposure == pytest.approx(judged.data.exposure.sum())
    sizes = judged.data.groupby("area").exposure.sum()
    assert large["area"] == set(sizes.nlargest(2).index)


def test_psi_is_the_twins(judged, spark):
    data, one = judged.data, judged.subjects[0]
    draw = np.random.default_rng(3)
    value, units = np.round(draw.gamma(2.5, 0.1, 2000) + 0.01, 2), draw.random(2000)
    reference = spark.createDataFrame(pd.DataFrame({"prediction": value, "exposure": units}))
    if judged.runner == "driver":
        bins = local_reference_bins(one, collected(reference).table, QUANTILES)
    else:
        bins = reference_bins(reference_values([(one, reference)], 10), QUANTILES)
    found = stability(judged.rows, [one], bins)
    for part in ("test", "all"):
        rows = data if part == "all" else data[data.split == part]
        told = twins.psi(rows._p0.to_numpy(), rows.exposure.to_numpy(), value, units, QUANTILES)
        assert found[0, part] == pytest.approx(told, rel=1e-9) and told > 0.01


@pytest.mark.parametrize("value", ["double('NaN')", "double('Infinity')", "0.0"])
def test_a_prediction_that_is_no_positive_number_is_refused(judged, value):
    spoilt = judged.wide.withColumn("_p0", F.when(F.col("key") < 3, F.expr(value)).otherwise(1.0))
    with pytest.raises(PredictionValueError, match=r"frequency@1.*found 3 rows"):
        BatchTotals(rows_of(judged.runner, spoilt), judged.subjects[:1]).check(
            "b", judged.subjects[:1]
        )


def test_a_target_that_is_nan_is_refused_and_a_missing_prediction_named(judged):
    one = judged.subjects[:1]
    nan = judged.wide.withColumn("claim_count", F.when(F.col("key") == 5, F.lit(float("nan"))))
    with pytest.raises(PredictionValueError, match=r"claim_count.*found 1 rows"):
        BatchTotals(rows_of(judged.runner, nan), one).check("b", one)
    gone = judged.wide.withColumn("_p0", F.when(F.col("key") > 0, F.col("_p0")))
    with pytest.raises(BatchMissingError, match="kyros predict --batch b"):
        BatchTotals(rows_of(judged.runner, gone), one).check("b", one)
