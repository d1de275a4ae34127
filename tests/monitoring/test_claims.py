"""What claims say of a model: A/E, Gini and calibration are NumPy's, and name what has moved."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from kyros_spark.aggregates.rows import DriverRows
from kyros_spark.config import ModelSettings
from kyros_spark.evaluation.rows import STANDS_FOR
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.monitoring.bins import ColumnBins
from kyros_spark.monitoring.claims import TEST, ClaimPlan
from kyros_spark.monitoring.targets import calibration, gini, gini_change, ratio_p_value

SETTINGS = ModelSettings(method="glm", family="poisson", target="claim_count", per="exposure")
MODEL = EvaluatedModel(0, "frequency", "1", SETTINGS, labelled=True)
CUTS = (0.06, 0.08, 0.1, 0.12, 0.15)
REGIONS = ("north", "south", "west")
PLAN = ClaimPlan(
    (MODEL,),
    {0: ColumnBins("prediction", True, CUTS)},
    {"region": ("north", "south")},
    with_test=True,
)


def claims(rows, seed, factor=1.0, north=1.0, flat=False):
    """Policies with their frequencies and claims. factor: of all claims; north: of one region's."""
    rng = np.random.default_rng(seed)
    exposure, region = rng.uniform(0.2, 1, rows), rng.choice(REGIONS, rows)
    true = rng.gamma(8, 0.0125, rows)
    counts = rng.poisson(true * exposure * factor * np.where(region == "north", north, 1.0))
    predicted = np.full(rows, true.mean()) * rng.uniform(0.99, 1.01, rows) if flat else true
    return pa.table({
        "claim_count": counts.astype(float), "exposure": exposure, "_p0": predicted,
        "region": region, "split": rng.choice(["train", "test"], rows),
        STANDS_FOR: np.ones(rows), "_group": np.zeros(rows),
    })  # fmt: skip


def summed(table):
    state = DriverRows(table).aggregate(table.column_names, PLAN.state)
    return state.by_part()


def column(table, name):
    return table.column(name).to_numpy(zero_copy_only=False)


def test_sums_are_those_of_the_rows_by_bin_part_and_region():
    table = claims(5000, seed=1)
    by_part = summed(table)
    y, w, p = (column(table, n) for n in ("claim_count", "exposure", "_p0"))
    bins = np.searchsorted(CUTS, p, "right")
    for part, rows in (("", np.ones(5000, bool)), (TEST, column(table, "split") == "test")):
        sums = PLAN.sums(by_part, MODEL, part)
        for k in range(len(CUTS) + 1):
            chosen = rows & (bins == k)
            assert sums.observed[k] == y[chosen].sum()
            assert sums.expected[k] == pytest.approx((p * w)[chosen].sum(), rel=1e-12)
            assert sums.variance[k] == (y[chosen] ** 2).sum()
    of_regions = dict(PLAN.sliced(by_part, MODEL, "region"))
    north = column(table, "region") == "north"
    assert set(of_regions) == {"north", "south"}
    assert of_regions["north"].actual_expected == pytest.approx(
        y[north].sum() / (p * w)[north].sum(), rel=1e-12
    )


def test_gini_is_that_of_rows_in_the_order_of_their_bins():
    table = claims(5000, seed=2)
    y, w, p = (column(table, n) for n in ("claim_count", "exposure", "_p0"))
    bins = np.searchsorted(CUTS, p, "right")
    # The Lorenz curve by the trapezes between its points.
    units = np.array([0, *(w[bins == k].sum() for k in range(6))]).cumsum() / w.sum()
    losses = np.array([0, *(y[bins == k].sum() for k in range(6))]).cumsum() / y.sum()
    area = np.sum(np.diff(units) * (losses[1:] + losses[:-1]) / 2)
    value, error = gini(PLAN.sums(summed(table), MODEL))
    assert value == pytest.approx(1 - 2 * area, rel=1e-12)
    # Its error is about the spread of what other claims of the same policies would give.
    others = [gini(PLAN.sums(summed(claims(5000, seed)), MODEL))[0] for seed in range(20, 60)]
    assert error == pytest.approx(np.std(others), rel=0.4)


def test_calibration_is_hosmers_and_lemeshows():
    sums = PLAN.sums(summed(claims(5000, seed=3)), MODEL)
    scaled = sums.expected * sums.observed.sum() / sums.expected.sum()
    variance = scaled * sums.variance.sum() / sums.observed.sum()
    statistic = ((sums.observed - scaled) ** 2 / variance).sum()
    error, p_value = calibration(sums)
    assert p_value == pytest.approx(stats.chi2.sf(statistic, 5), rel=1e-12)
    assert error == pytest.approx(np.abs(sums.observed - scaled).sum() / sums.observed.sum() / 2)


@pytest.fixture(scope="module")
def trained():
    return summed(claims(60_000, seed=4))


def p_values(now, before):
    whole = ratio_p_value(PLAN.sums(now, MODEL), PLAN.sums(before, MODEL))
    known = dict(PLAN.sliced(before, MODEL, "region"))
    regions = {r: ratio_p_value(s, known[r]) for r, s in PLAN.sliced(now, MODEL, "region")}
    return whole, regions


def test_a_stale_model_and_a_dear_region_are_told_apart_from_noise(trained):
    steady, of_steady = p_values(summed(claims(40_000, seed=5)), trained)
    stale, _ = p_values(summed(claims(40_000, seed=6, factor=1.15)), trained)
    _, dear = p_values(summed(claims(40_000, seed=7, north=1.2)), trained)
    assert min(steady, *of_steady.values()) > 0.01
    assert stale < 1e-6 and dear["north"] < 1e-4 < 0.01 < dear["south"]


def test_a_model_that_no_longer_orders_loses_its_gini_and_is_noticed(trained):
    test = PLAN.sums(trained, MODEL, TEST)
    change, p_value = gini_change(PLAN.sums(summed(claims(40_000, seed=8)), MODEL), test)
    assert abs(change) < 0.05 and p_value > 0.01
    change, p_value = gini_change(PLAN.sums(summed(claims(40_000, seed=9, flat=True)), MODEL), test)
    assert change < -0.1 and p_value < 1e-6


def test_noise_of_the_ratio_is_told_as_often_as_it_says(trained):
    """100 batches without any change: p-values below 10 % are at most 20, which chance gives once
    in 500 such tests."""
    below = sum(p_values(summed(claims(3000, seed)), trained)[0] < 0.1 for seed in range(100, 200))
    assert below <= 20


def test_without_claims_nothing_is_divided_by_zero():
    nothing = summed(claims(50, seed=10, factor=0.0))
    sums = PLAN.sums(nothing, MODEL)
    assert sums.actual_expected == 0 and sums.balance is None
    assert gini(sums) is None and calibration(sums) is None
    assert 0 < ratio_p_value(sums, None) < 1
