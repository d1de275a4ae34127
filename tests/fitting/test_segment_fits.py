"""Many small fits are those of statsmodels, segment by segment, whatever the segments hold."""

import numpy as np
import pytest
import statsmodels.api as sm
from rows_of_glm import generated, settings

from kyros_spark.fitting.design import Block
from kyros_spark.fitting.family import Family
from kyros_spark.fitting.glm_fit import fit_rows
from kyros_spark.fitting.irls import Stop
from kyros_spark.fitting.local_rows import LocalRows
from kyros_spark.fitting.segments import reasons
from kyros_spark.fitting.segments.columns import columns_of
from kyros_spark.fitting.segments.fits import SegmentTask, fit_batch

FAMILIES = {
    ("poisson", "log"): (Family(1.0), sm.families.Poisson()),
    ("poisson", "identity"): (
        Family(1.0, "identity"), sm.families.Poisson(sm.families.links.Identity()),
    ),
    ("gamma", "log"): (Family(2.0), sm.families.Gamma(sm.families.links.Log())),
    ("gamma", "identity"): (
        Family(2.0, "identity"), sm.families.Gamma(sm.families.links.Identity()),
    ),
    ("tweedie", "log"): (
        Family(1.6), sm.families.Tweedie(sm.families.links.Log(), 1.6, eql=True),
    ),
    ("negative_binomial", "log"): (
        Family(1.0, theta=2.5), sm.families.NegativeBinomial(alpha=1 / 2.5),
    ),
    ("binomial", "logit"): (Family(1.0, "logit"), sm.families.Binomial()),
}  # fmt: skip
SEGMENTS, ROWS = 6, 300


def problem(family="poisson", link="log", numbers=True, **more):
    """Return a design, its segments' columns and rows, and the pooled fit's coefficients."""
    offset = link == "log"
    design = generated(family, link, offset=offset, weight=True, rows=SEGMENTS * ROWS, **more)
    if link != "log":
        design.offset = np.zeros(design.label.size)  # these links have none in table prepared
    if not numbers:
        design.numbers = {}
    layout = design.rows().layout
    block = layout.block(
        np.column_stack(list(design.codes.values())),
        np.column_stack([np.empty((design.label.size, 0)), *design.numbers.values()]),
        design.label, design.weight, design.offset,
    )  # fmt: skip
    return design, columns_of(layout), block


def pooled(family, link, block, columns):
    law = {"tweedie": {"tweedie_power": 1.6}, "negative_binomial": {"theta": 2.5}}.get(family, {})
    fit = fit_rows(LocalRows(block, columns.layout), settings(family, link, **law))
    values = np.array([term.coefficient for term in fit.coefficients])
    return np.linalg.solve(columns.layout.unscaled(), values)


def begins(count=SEGMENTS, rows=ROWS):
    return np.arange(count + 1) * rows


def fitted(family, link, block, columns, cuts=None, **more):
    start = pooled(family, link, block, columns)
    cuts = begins() if cuts is None else cuts
    task = SegmentTask(columns, FAMILIES[family, link][0], Stop(), **more)
    starts = np.tile(columns.inwards(start[None]), (cuts.size - 1, 1))
    return fit_batch(task, columns.rows(block, cuts), starts), starts


def unscaled(columns, values):
    return columns.outwards(values) @ columns.layout.unscaled().T


def peer(design, part, family):
    return sm.GLM(
        design.label[part], design.matrix()[part], family=family, offset=design.offset[part],
        var_weights=design.weight[part],
    )  # fmt: skip


@pytest.mark.repeats
@pytest.mark.parametrize("numbers", [True, False], ids=["numbers", "levels alone, joined"])
@pytest.mark.parametrize(("family", "link"), list(FAMILIES))
def test_every_segment_is_statsmodels_own_fit(family, link, numbers):
    design, columns, block = problem(family, link, numbers)
    fits, _ = fitted(family, link, block, columns)
    assert fits.is_fitted.all(), fits.reason
    kept = [n for n in range(len(columns.position)) if n not in columns.layout.bases]
    values, errors = unscaled(columns, fits.coefficients), columns.outwards(fits.errors)
    for s in range(SEGMENTS):
        part = slice(s * ROWS, (s + 1) * ROWS)
        model = peer(design, part, FAMILIES[family, link][1])
        theirs = model.fit(
            start_params=values[s, kept], tol=1e-14, maxiter=100, tol_criterion="params"
        )
        np.testing.assert_allclose(values[s, kept], theirs.params, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(errors[s, kept], theirs.bse, rtol=1e-6)
        assert fits.deviance[s] == pytest.approx(theirs.deviance, rel=1e-8)
        assert fits.null_deviance[s] == pytest.approx(theirs.null_deviance, rel=1e-7)
        assert fits.pearson[s] == pytest.approx(theirs.pearson_chi2, rel=1e-8)
        assert fits.dispersion[s] == pytest.approx(theirs.scale, rel=1e-8)
        assert 1 < fits.iterations[s] < 25
    assert fits.rows[:, 0].tolist() == [ROWS] * SEGMENTS
    np.testing.assert_allclose(
        fits.observed[:, 0], np.add.reduceat(design.label * design.weight, begins()[:-1])
    )


def test_the_pooled_solver_finds_the_same_from_the_same_rows():
    _, columns, block = problem("gamma", "log")
    fits, _ = fitted("gamma", "log", block, columns)
    for s in (0, SEGMENTS - 1):
        part = Block(*(v[s * ROWS : (s + 1) * ROWS] for v in vars(block).values()))
        own = fit_rows(LocalRows(part, columns.layout), settings("gamma", "log"))
        values = unscaled(columns, fits.coefficients)[s]
        np.testing.assert_allclose(values, [c.coefficient for c in own.coefficients], atol=1e-9)
        assert own.statistics["residual_deviance"] == pytest.approx(fits.deviance[s], rel=1e-10)
        assert own.statistics["null_deviance"] == pytest.approx(fits.null_deviance[s], rel=1e-10)


def odd_segments():
    """Return one segment of each odd kind behind an ordinary one, and what becomes of each."""
    _, columns, block = problem()
    label, places = block.label.copy(), block.places.copy()
    base = columns.layout.factor_start
    sets = [slice(s * ROWS, (s + 1) * ROWS) for s in range(SEGMENTS)]
    label[sets[1]] = 0.0  # all zero
    places[sets[2], 0] = base[0] + 1  # one level only: its column is the constant's, and aliased
    label[sets[3]][places[sets[3], 1] == base[1] + 2] = 0.0  # a level without claims
    apart = sets[4]
    number = block.numbers[apart, 0]
    label[apart] = np.where(number < np.sort(number)[-3], 0.0, 1.0)
    label[apart][number < number.max()] = 0.0  # claims at the largest value of a number alone
    changed = Block(places, block.numbers, label, block.weight, block.offset)
    return columns, changed


def test_odd_segments_say_why_and_stop_no_other():
    columns, block = odd_segments()
    cuts = np.insert(begins(), 1, ROWS)  # and an empty one behind the first
    fits, start = fitted("poisson", "log", block, columns, cuts)
    assert fits.reason.tolist() == [
        reasons.FITTED, reasons.FEW_ROWS, reasons.NO_CLAIMS, reasons.FITTED,
        reasons.LEVEL_APART, reasons.LEVEL_APART, reasons.FITTED,
    ]  # fmt: skip
    taken = ~fits.is_fitted
    np.testing.assert_array_equal(fits.coefficients[taken], start[taken])
    assert (fits.errors[taken] == 0).all()
    aliased = columns.position[columns.layout.factor_start[0] + 1]
    assert fits.active[3, aliased] == 0
    assert fits.coefficients[3, aliased] == start[3, aliased], "it keeps the parent's"


def test_what_a_segment_cannot_estimate_is_an_offset_of_its_fit():
    columns, block = odd_segments()
    fits, start = fitted("poisson", "log", block, columns, holds=True)
    s = 3  # a level without claims
    held = columns.position[columns.layout.factor_start[1] + 2]
    assert fits.reason[s] == reasons.FITTED and fits.active[s, held] == 0
    part = slice(s * ROWS, (s + 1) * ROWS)
    active = np.flatnonzero(fits.active[s])
    dense = np.zeros((ROWS, columns.size))
    rows = columns.rows(block, begins())
    dense[:, : columns.width] = rows.dense[part]
    for f in range(rows.places.shape[1]):
        dense[np.arange(ROWS), rows.places[part, f]] = 1.0
    away = block.offset[part] + dense[:, held] * start[s, held]
    theirs = sm.GLM(
        block.label[part], dense[:, active], family=sm.families.Poisson(), offset=away,
        var_weights=block.weight[part],
    ).fit(tol=1e-14, maxiter=100, tol_criterion="params")  # fmt: skip
    np.testing.assert_allclose(fits.coefficients[s, active], theirs.params, atol=1e-8)
    assert fits.deviance[s] == pytest.approx(theirs.deviance, rel=1e-9)


def test_thresholds_leave_small_segments_to_the_parent():
    _, columns, block = problem()
    few, _ = fitted("poisson", "log", block, columns, min_rows=ROWS + 1)
    assert (few.reason == reasons.FEW_ROWS).all()
    none, _ = fitted("poisson", "log", block, columns, min_claims=1e9)
    assert (none.reason == reasons.FEW_CLAIMS).all()


def test_a_strong_ridge_leaves_the_parent_and_a_weak_one_the_segments_own_fit():
    _, columns, block = problem()
    own, start = fitted("poisson", "log", block, columns)
    free = np.zeros(columns.size)
    free[columns.candidates] = 1.0
    strong, _ = fitted("poisson", "log", block, columns, ridge=1e12 * free, to_parent=True)
    np.testing.assert_allclose(strong.coefficients, start, atol=1e-8)
    weak, _ = fitted("poisson", "log", block, columns, ridge=1e-9 * free, to_parent=True)
    np.testing.assert_allclose(weak.coefficients, own.coefficients, atol=1e-6)
