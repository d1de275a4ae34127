"""The GLM against statsmodels and glum on the same rows: all that they and we both state."""

import warnings

import glum
import numpy as np
import pytest
import statsmodels.api as sm
from rows_of_glm import generated, settings

from kyros_spark.fitting import glm_fit, irls
from kyros_spark.fitting.glm_fit import fit_rows
from kyros_spark.fitting.local_rows import LocalRows

POWER = 1.6
FAMILIES = {
    "poisson": (sm.families.Poisson, {}),
    "gamma": (sm.families.Gamma, {}),
    "tweedie": (sm.families.Tweedie, {"var_power": POWER, "eql": False}),
    "negative_binomial": (sm.families.NegativeBinomial, {"alpha": 1 / 2.5}),
    "binomial": (sm.families.Binomial, {}),
}
OWN = {"tweedie": {"tweedie_power": POWER}, "negative_binomial": {"theta": 2.5}}


def peer(design, family, link="log", **changed):
    kind, given = FAMILIES[family]
    links = {
        "log": sm.families.links.Log,
        "identity": sm.families.links.Identity,
        "logit": sm.families.links.Logit,
    }
    start = None
    if link == "identity":
        start = np.zeros(design.matrix().shape[1])
        start[0] = design.label.mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # identity allows means below zero; none is, here
        model = sm.GLM(
            design.label, design.matrix(), family=kind(links[link](), **{**given, **changed}),
            offset=design.offset, var_weights=design.weight,
        )  # fmt: skip
        return model.fit(start_params=start, tol=1e-14, maxiter=300, tol_criterion="params")


def told(fit, name):
    """Return an attribute of the coefficients that are not a base level's."""
    return np.array([getattr(c, name) for c in fit.coefficients if not c.is_base], float)


CASES = [
    (family, link, offset, weight)
    for family in FAMILIES
    for link in (("logit",) if family == "binomial" else ("log", "identity"))
    for offset, weight in ((False, False), (True, True))
    if (family, link) != ("negative_binomial", "identity")
]


@pytest.mark.parametrize(("family", "link", "offset", "weight"), CASES)
def test_all_that_is_told_is_statsmodels(family, link, offset, weight):
    design = generated(family, link, offset, weight, rows=1000)
    ours = fit_rows(design.rows(), settings(family, link, confidence=0.9, **OWN.get(family, {})))
    theirs = peer(design, family, link)
    interval = theirs.conf_int(0.1)
    for name, expected in {
        "coefficient": theirs.params, "standard_error": theirs.bse, "z": theirs.tvalues,
        "lower": interval[:, 0], "upper": interval[:, 1],
    }.items():  # fmt: skip
        np.testing.assert_allclose(told(ours, name), expected, rtol=2e-7, atol=1e-11, err_msg=name)
    np.testing.assert_allclose(told(ours, "p_value"), theirs.pvalues, rtol=1e-5, atol=1e-300)
    for name, expected in {
        "null_deviance": theirs.null_deviance, "residual_deviance": theirs.deviance,
        "aic": theirs.aic, "bic": theirs.bic_llf, "log_likelihood": theirs.llf,
        "dispersion": theirs.scale, "pearson_chi2": theirs.pearson_chi2,
        "df_residual": theirs.df_resid, "df_model": theirs.df_model,
    }.items():  # fmt: skip
        assert ours.statistics[name] == pytest.approx(expected, rel=1e-8), name


@pytest.mark.parametrize("weight", [False, True])
def test_a_logits_coefficients_and_errors_are_statsmodels_to_the_ninth_digit(weight):
    """With 0/1 labels, and with shares of as many trials as the weight says."""
    design = generated("binomial", "logit", weight=weight, rows=1000)
    assert set(design.label) > {0.0, 1.0} if weight else set(design.label) == {0.0, 1.0}
    ours, theirs = fit_rows(design.rows(), settings("binomial")), peer(design, "binomial", "logit")
    np.testing.assert_allclose(told(ours, "coefficient"), theirs.params, rtol=1e-9)
    np.testing.assert_allclose(told(ours, "standard_error"), theirs.bse, rtol=1e-9)
    mean = 1 / (1 + np.exp(-(design.matrix() @ told(ours, "coefficient"))))
    observed = design.weight @ design.label
    assert design.weight @ mean == pytest.approx(observed, rel=1e-9), "the logit holds the balance"


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("family", ["poisson", "gamma", "tweedie", "binomial"])
def test_penalised_coefficients_are_glums(family, l1_ratio):
    design = generated(family, offset=True, weight=True, rows=800)
    ours = fit_rows(
        design.rows(), settings(family, alpha=0.1, l1_ratio=l1_ratio, **OWN.get(family, {}))
    )
    law = f"tweedie ({POWER})" if family == "tweedie" else family
    theirs = glum.GeneralizedLinearRegressor(
        family=law, link="logit" if family == "binomial" else "log", alpha=0.1, l1_ratio=l1_ratio, gradient_tol=1e-10, max_iter=1000,
    ).fit(design.matrix(scaled=True)[:, 1:], design.label, sample_weight=design.weight,
          offset=design.offset)  # fmt: skip
    spread = np.array([v.std() for v in design.numbers.values()])
    found = told(ours, "coefficient")[1:]
    found[-2:] *= spread  # numbers are penalised by standard deviation
    np.testing.assert_allclose(found, theirs.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(found == 0, theirs.coef_ == 0)
    assert (found == 0).any() == (l1_ratio > 0)
    assert ours.coefficients[2].standard_error is None


def test_a_profiled_power_maximises_statsmodels_likelihood():
    design = generated("tweedie", weight=True, rows=400)
    ours = fit_rows(design.rows(), settings("tweedie", tweedie_power="profile"))
    best = peer(design, "tweedie", var_power=ours.power).llf
    assert ours.statistics["log_likelihood"] == pytest.approx(best, rel=1e-9)
    for beside in (-0.003, 0.003):
        assert peer(design, "tweedie", var_power=ours.power + beside).llf < best


def test_a_profiled_theta_is_statsmodels_discrete_models():
    design = generated("negative_binomial", offset=True)
    ours = fit_rows(design.rows(), settings("negative_binomial", theta="profile"))
    design.numbers["value"] = design.numbers["value"] / 1e4  # its solver cannot do with raw ones
    model = sm.NegativeBinomial(design.label, design.matrix(), offset=design.offset)
    theirs = model.fit(method="bfgs", disp=0, maxiter=500, gtol=1e-7)
    assert ours.theta == pytest.approx(1 / theirs.params[-1], rel=1e-4)
    assert ours.statistics["log_likelihood"] == pytest.approx(theirs.llf, rel=1e-9)


def test_an_iteration_that_takes_long_is_told(monkeypatch):
    said = []
    monkeypatch.setattr(irls, "event", said.append)
    fit_rows(generated().rows(), settings("poisson"))
    assert not said
    monkeypatch.setattr(irls, "REPORT_AFTER", -1.0)
    fit = fit_rows(generated().rows(), settings("poisson"))
    mine = said[-fit.iterations :]
    assert [line.split(":")[0] for line in mine] == [
        f"iteration {n}" for n in range(1, fit.iterations + 1)
    ]
    lengths = [float(line.split(" a step of ")[1].split()[0]) for line in mine]
    assert lengths == sorted(lengths, reverse=True) and lengths[-1] <= 1e-8 < lengths[-2]


def test_no_pass_over_the_rows_is_made_twice(monkeypatch):
    found, passes = [], []
    solve, equations = irls.solve, LocalRows.equations
    monkeypatch.setattr(
        glm_fit, "solve", lambda *given, **more: found.append(solve(*given, **more)) or found[-1]
    )
    monkeypatch.setattr(
        LocalRows, "equations", lambda *given: passes.append(given) or equations(*given)
    )
    fit = fit_rows(generated().rows(), settings("poisson"))
    assert [one.iterations for one in found] == [1, fit.iterations]  # the mean rate; all columns
    assert len(passes) == 1 + 1 + fit.iterations
