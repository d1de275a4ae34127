"""Every measure of drift is what NumPy and SciPy make of the rows themselves, to 1e-12."""

import numpy as np
import pyarrow as pa
import pytest
from histograms import columns, measured
from scipy import stats
from scipy.spatial.distance import jensenshannon

from kyros_spark.monitoring import chance, distances
from kyros_spark.monitoring.histogram import aligned

CLOSE = {"rel": 1e-12, "abs": 1e-12}


def shares(codes, weight, count):
    return np.array([weight[codes == k].sum() for k in range(count)]) / weight.sum()


def kish(weight):
    return weight.sum() ** 2 / (weight**2).sum()


def index_twin(p, q, n, m):
    """The stability index with a plain loop: an empty bin counts as half a row."""
    total = 0.0
    for a, b in zip(p, q, strict=True):
        if a > 0 or b > 0:
            a, b = max(a, 0.5 / n), max(b, 0.5 / m)
            total += (a - b) * np.log(a / b)
    return total


@pytest.mark.parametrize("name", ["uniform", "skewed", "tied", "with missing", "constant"])
def test_a_number_is_compared_as_numpy_and_scipy_compare_its_rows(name):
    before, now = columns(name)
    bins, baseline, current = measured(before, now)
    (x, v), (y, w) = before, now
    cuts = np.array([bins.cuts[n] for n in bins.coarse])
    coded = [
        np.where(np.isnan(z), cuts.size + 1, np.searchsorted(cuts, z, "right")) for z in (x, y)
    ]
    p, q = (shares(c, u, cuts.size + 2) for c, u in zip(coded[::-1], (w, v), strict=True))
    pair = bins.coarsened(current), bins.coarsened(baseline)
    assert pair[0].shares == pytest.approx(p, **CLOSE)
    assert distances.stability_index(*pair) == pytest.approx(
        index_twin(p, q, kish(w), kish(v)), **CLOSE
    )
    assert distances.jensen_shannon(*pair) == pytest.approx(
        np.nan_to_num(jensenshannon(p, q, base=2)), rel=1e-12, abs=1e-8
    )
    assert distances.total_variation(*pair) == pytest.approx(np.abs(p - q).sum() / 2, **CLOSE)
    given = [~np.isnan(z) for z in (x, y)]
    fine = [np.searchsorted(bins.cuts, z[g], "right") for z, g in zip((x, y), given, strict=True)]
    values = np.arange(len(bins.cuts) + 1)
    by_bin = [shares(c, u[g], values.size) for c, u, g in zip(fine, (v, w), given, strict=True)]
    largest = max(abs(by_bin[0][: k + 1].sum() - by_bin[1][: k + 1].sum()) for k in values)
    assert distances.kolmogorov_smirnov(current.given, baseline.given) == pytest.approx(
        largest, **CLOSE
    )


@pytest.mark.parametrize("name", ["tied", "constant"])
def test_with_a_bin_per_value_wasserstein_and_smirnov_are_those_of_the_rows(name):
    before, now = columns(name)
    _, baseline, current = measured(before, now)
    expected = stats.wasserstein_distance(now[0], before[0], now[1], before[1])
    given = current.given, baseline.given
    assert distances.wasserstein(*given) == pytest.approx(expected, **CLOSE)
    plain = [(values, np.ones(values.size)) for values, _ in (before, now)]
    _, baseline, current = measured(*plain)
    distance = distances.kolmogorov_smirnov(current.given, baseline.given)
    twin = stats.ks_2samp(now[0], before[0], method="asymp")
    assert distance == pytest.approx(twin.statistic, **CLOSE)


def test_a_shift_within_the_outermost_bin_still_has_a_distance():
    """Years that became months lie above every cut, all in one bin."""
    years = np.linspace(1.0, 2.0, 500)
    _, baseline, current = measured((years, np.ones(500)), (years * 12, np.ones(500)))
    expected = stats.wasserstein_distance(years * 12, years)
    assert distances.wasserstein(current.given, baseline.given) == pytest.approx(expected, rel=1e-3)


def test_levels_are_tested_as_scipy_tests_their_table():
    rng = np.random.default_rng(5)
    before, now = (rng.choice(list("abcde"), n, p=p) for n, p in (
        (900, [0.3, 0.3, 0.2, 0.1, 0.1]), (400, [0.35, 0.25, 0.2, 0.15, 0.05])))  # fmt: skip
    ones = np.ones(900), np.ones(400)
    _, baseline, current = measured(
        (pa.array(before), ones[0]), (pa.array(now), ones[1]), is_number=False
    )
    pair = aligned(current, baseline)
    table = [[(side == level).sum() for level in pair[0].bins] for side in (now, before)]
    table = np.array(table)[:, np.array(table).sum(axis=0) > 0]
    twin = stats.chi2_contingency(table, correction=False)
    statistic, p_value, freedom = chance.chi_square(*pair)
    assert (statistic, p_value) == pytest.approx((twin.statistic, twin.pvalue), rel=1e-12)
    assert freedom == twin.dof
    index = distances.stability_index(*pair)
    assert chance.chance_of_index(*pair) == pytest.approx(4 * (1 / 900 + 1 / 400), rel=1e-12)
    assert chance.index_p_value(index, *pair) == pytest.approx(
        stats.chi2.sf(index / (1 / 900 + 1 / 400), 4), rel=1e-12
    )


def test_rare_levels_are_tested_together():
    names = [f"level{n}" for n in range(200)]
    before = pa.array(["common"] * 1000 + names)
    now = pa.array(["common"] * 500 + names[:60])
    _, baseline, current = measured((before, np.ones(1200)), (now, np.ones(560)), is_number=False)
    twin = stats.chi2_contingency([[500, 60], [1000, 200]], correction=False)
    assert chance.chi_square(*aligned(current, baseline))[:2] == pytest.approx(
        (twin.statistic, twin.pvalue), rel=1e-12
    )


def test_p_values_are_corrected_as_holm_wrote():
    given = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    # Holm 1979, by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and not below the one before.
    assert chance.holm(given) == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert chance.holm({}) == {}


def test_the_limit_of_smirnov_is_scipys():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=3000), rng.normal(0.03, 1, size=2000)
    _, baseline, current = measured((x, np.ones(3000)), (y, np.ones(2000)))
    distance = 0.03
    expected = stats.kstwobign.sf(np.sqrt(3000 * 2000 / 5000) * distance)
    assert chance.smirnov_p_value(distance, current, baseline) == pytest.approx(expected, rel=1e-9)
