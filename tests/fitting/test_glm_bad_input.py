"""What a GLM makes of bad rows: named errors, or results that are told."""

import numpy as np
import pytest
from rows_of_glm import generated, settings

from kyros_spark.errors import FitError, TrainingDataError
from kyros_spark.fitting.aliased import aliased_columns
from kyros_spark.fitting.glm import fit_glm
from kyros_spark.fitting.glm_fit import fit_rows
from kyros_spark.model.manifest import Feature


def terms(fit):
    return {(c.feature, c.level): c for c in fit.coefficients}


def predicted(fit, design):
    eta = np.full(design.label.size, fit.intercept)
    for name, codes in design.codes.items():
        eta += np.array(fit.tables[name])[codes]
    for name, values in design.numbers.items():
        eta += fit.slopes[name] * values
    return eta


def test_columns_that_others_determine_are_dropped_and_listed():
    design = generated()
    plain = fit_rows(design.rows(), settings())
    design.levels["copy"] = ("x", "y", "z")
    design.codes["copy"] = design.codes["area"]
    design.numbers["twice"] = 2 * design.numbers["value"] - design.numbers["age"]
    fit = fit_rows(design.rows(), settings())
    assert fit.aliased == ("copy = y", "copy = z", "twice")
    one = terms(fit)[("copy", "z")]
    assert one.aliased and one.coefficient == 0.0 and one.standard_error is None
    assert fit.statistics["df_residual"] == plain.statistics["df_residual"]
    np.testing.assert_allclose(predicted(fit, design), predicted(plain, generated()), rtol=1e-9)


def test_aliasing_is_the_rank_that_numpy_finds():
    random = np.random.default_rng(3)
    design = random.normal(size=(200, 12))
    design[:, 4] = design[:, 1] - 3 * design[:, 2]
    design[:, 9] = 0.0
    design[:, 11] = design[:, 4] + design[:, 10]
    assert aliased_columns(design.T @ design) == [4, 9, 11]
    assert np.linalg.matrix_rank(design) == 12 - 3


def test_a_level_without_claims_is_named_and_a_ridge_makes_it_finite():
    design = generated(rows=500)
    design.label[design.codes["fuel"] == 3] = 0.0
    with pytest.raises(FitError, match="found none in fuel = gas: .*minus infinity"):
        fit_rows(design.rows(), settings())
    fit = fit_rows(design.rows(), settings(alpha=0.01))
    assert -20 < terms(fit)[("fuel", "gas")].coefficient < -1


def test_levels_that_only_together_hold_no_claims_are_named():
    design = generated(rows=2000)
    design.levels["twin"] = ("no", "yes")
    design.codes["twin"] = (design.codes["area"] == 1).astype(int)
    design.codes["twin"][::50] = 0  # nearly the village
    alone = (design.codes["twin"] == 0) & (design.codes["area"] == 1)
    assert alone.any()
    design.label[alone] = 0.0
    with pytest.raises(FitError, match=r"area = village, twin = yes run to infinity"):
        fit_rows(design.rows(), settings())


@pytest.mark.parametrize("without", [0.0, 1.0])
@pytest.mark.parametrize("rare", [3, 700])
def test_a_number_whose_claims_are_all_at_one_end_is_named_as_a_level_is(without, rare):
    """A 0/1 number of which one value has no claims: its coefficient is infinite at any share."""
    design = generated(rows=2000)
    flag = np.where(np.arange(2000) < rare, without, 1.0 - without)
    design.numbers["flag"] = flag
    design.label[flag == without] = 0.0
    with pytest.raises(FitError, match=f"found all of them at flag = {1 - without:.0f}: the coef"):
        fit_rows(design.rows(), settings())
    assert abs(fit_rows(design.rows(), settings(alpha=0.01)).slopes["flag"]) < 20
    design.label[0] = 1.0
    if rare == 700:
        assert abs(fit_rows(design.rows(), settings()).slopes["flag"]) < 20


@pytest.mark.parametrize("tol", [1e-5, 1e-6, 1e-8])
def test_numbers_that_only_together_hold_no_claims_are_named(tol):
    """The equations may become singular on the way, on some machines sooner than on others."""
    design = generated(rows=4000)
    village = (design.codes.pop("area") == 1).astype(float)
    del design.levels["area"]
    flag = village.copy()
    flag[::50] = 0.0
    design.numbers |= {"village": village, "flag": flag}
    design.label[(flag == 0) & (village == 1)] = 0.0
    with pytest.raises(FitError, match="village, flag run to infinity"):
        fit_rows(design.rows(), settings(tol=tol))


def outcomes(rows=2000):
    return generated("binomial", "logit", rows=rows)


SEPARATED = {
    "a level of zeros": (lambda d: d.label.__setitem__(d.codes["fuel"] == 3, 0.0),
                         "expected outcomes of 1 in every level, found none in fuel = gas"),
    "a level of ones": (lambda d: d.label.__setitem__(d.codes["area"] == 1, 1.0),
                        "both outcomes in every level, found all rows at 1 in area = village"),
    "a flag of ones": (lambda d: (d.numbers.__setitem__("flag", np.eye(1, 2000, 3)[0]),
                                  d.label.__setitem__(3, 1.0)),
                       "between the ends of every number, found them apart at flag = 0"),
    "a number that parts them": (lambda d: d.numbers.__setitem__("knows", d.label * 9 + d.label),
                                 "found them apart at knows = 10:"),
    "a number that parts them, falling": (
        lambda d: d.numbers.__setitem__("knows", 5.0 - d.label), "apart at knows = 4:"),
    "one outcome": (lambda d: d.label.fill(1.0), "expected both outcomes, found 2000 rows"),
    "a share above one": (lambda d: d.label.__setitem__(7, 1.5), "label is above one in 1 rows"),
    "a share below zero": (lambda d: d.label.__setitem__(7, -1.0), "label is below zero in 1 rows"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), SEPARATED.values(), ids=list(SEPARATED))
def test_outcomes_that_no_logit_can_tell_apart_finitely_are_named(spoil, message):
    design = outcomes()
    spoil(design)
    with pytest.raises((FitError, TrainingDataError), match=message):
        fit_rows(design.rows(), settings("binomial"))


def test_levels_of_one_outcome_only_together_are_named_and_a_ridge_fits_them():
    design = outcomes()
    design.levels["twin"] = ("no", "yes")
    design.codes["twin"] = (design.codes["area"] == 1).astype(int)
    design.codes["twin"][::50] = 0
    design.label[(design.codes["twin"] == 0) & (design.codes["area"] == 1)] = 1.0
    with pytest.raises(FitError, match=r"area = village.* run to infinity: .* of one outcome"):
        fit_rows(design.rows(), settings("binomial"))
    fit = fit_rows(design.rows(), settings("binomial", alpha=0.01))
    assert all(abs(term.coefficient) < 20 for term in fit.coefficients)


def test_a_number_that_nearly_parts_the_outcomes_is_fitted():
    design = outcomes()
    design.numbers["knows"] = design.label.copy()
    design.numbers["knows"][:40] = 1 - design.label[:40]
    knows = terms(fit_rows(design.rows(), settings("binomial")))[("knows", None)]
    assert 5 < knows.coefficient < 12 and knows.standard_error < 1


def test_a_steep_number_with_a_rare_large_value_is_no_separation():
    """Between its ends the rate falls by more than e^20, and yet it is known to a tenth."""
    design = generated(rows=4000)
    design.numbers["value"] = np.linspace(0.0, 2.0, 4000)
    design.label = np.random.default_rng(1).poisson(50 * np.exp(-4 * design.numbers["value"]))
    design.label = design.label.astype(float)
    design.numbers["value"][-1] = 9.0
    slope = terms(fit_rows(design.rows(), settings()))[("value", None)]
    assert 9 * abs(slope.coefficient) > 20 and slope.standard_error < 0.1


def test_one_level_only_has_relativity_one():
    design = generated(rows=300)
    design.levels["fuel"], design.codes["fuel"] = ("petrol",), np.zeros(300, int)
    fit = fit_rows(design.rows(), settings())
    only = terms(fit)[("fuel", "petrol")]
    assert only.is_base and only.coefficient == 0.0 and only.rows == 300
    assert fit.aliased == ()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.label.fill(0), "expected claims, found 300 rows with a total of 0"),
        (lambda d: d.numbers["age"].__setitem__(3, np.nan), "age is not a finite number in"),
        (lambda d: d.weight.__setitem__(3, 0.0), "weight is not above zero in 1 rows"),
        (lambda d: d.label.__setitem__(3, -1.0), "label is below zero in 1 rows"),
        (lambda d: d.label.__setitem__(3, np.inf), "label is not a finite number in 1 rows"),
    ],
)  # fmt: skip
def test_rows_that_no_glm_takes_are_counted_and_named(spoil, message):
    design = generated(rows=300)
    spoil(design)
    with pytest.raises(TrainingDataError, match=message):
        fit_rows(design.rows(), settings())


def test_a_factor_of_100_000_levels_is_refused_before_any_row_is_read():
    car = Feature(name="car", kind="levels", levels=tuple(f"m{n}" for n in range(100_000)))
    with pytest.raises(TrainingDataError, match="at most 5000 columns, found 100001, .* of car"):
        fit_glm(None, [car], settings())


def test_steps_that_do_not_end_are_an_error_that_says_where():
    with pytest.raises(FitError, match=r"within 2 iterations, found one of .* at "):
        fit_rows(generated().rows(), settings(max_iter=2))


def test_thousands_of_levels_are_fitted_level_by_level():
    """With one factor alone, each level's rate is its own claims over exposure."""
    random = np.random.default_rng(5)
    design = generated(rows=30_000, offset=True)
    levels = 1_000
    design.levels, design.numbers = {"car": tuple(f"m{n}" for n in range(levels))}, {}
    design.codes = {"car": random.integers(0, levels, 30_000)}
    fit = fit_rows(design.rows(), settings())
    claims = np.bincount(design.codes["car"], design.label, levels)
    exposure = np.bincount(design.codes["car"], np.exp(design.offset), levels)
    rates = np.exp(fit.intercept + np.array(fit.tables["car"]))
    np.testing.assert_allclose(rates, claims / exposure, rtol=1e-9)
    error = terms(fit)[("car", "m7")].standard_error
    assert error == pytest.approx(np.sqrt(1 / claims[0] + 1 / claims[7]), rel=1e-9)


@pytest.mark.parametrize("decimals", [20, 100])
def test_numbers_that_are_nearly_alike_are_no_separation(decimals):
    """An age in days and one in years: large coefficients that cancel, and a rate that is known."""
    design = generated(rows=4000)
    days = np.random.default_rng(3).integers(6600, 32000, 4000).astype(float)
    design.numbers |= {"days": days, "years": np.floor(days / 365.25 * decimals) / decimals}
    both = fit_rows(design.rows(), settings())
    years = terms(both)[("years", None)]
    assert years.standard_error > abs(years.coefficient) > 20 / 70  # over 70 years beyond e^20
    del design.numbers["years"]
    alone = fit_rows(design.rows(), settings())
    assert both.slopes["days"] + both.slopes["years"] / 365.25 == pytest.approx(
        alone.slopes["days"], abs=2 * terms(alone)[("days", None)].standard_error
    )


def test_a_level_of_enormous_amounts_is_no_separation_of_a_gamma():
    """Labels above zero cannot be told apart by zeros, however far apart they are."""
    design = generated(rows=2000)
    design.label = np.where(design.codes["area"] == 1, 1e12, 10.0)
    design.label *= np.random.default_rng(5).uniform(0.5, 1.5, 2000)
    fit = fit_rows(design.rows(), settings(family="gamma"))
    assert terms(fit)[("area", "village")].coefficient == pytest.approx(np.log(1e11), abs=0.1)
