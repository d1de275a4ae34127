"""Which measures of a model are beyond their bounds: chance and a sample's error are no reason."""

import pytest

from kyros_spark.config import BoundSettings, ThresholdSettings
from kyros_spark.evaluation.intervals import ConfidenceInterval
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.evaluation.thresholds import breaches, judged_rows, measures


def row(part="all", model="frequency", sampling_error=None, rows=1000.0, **values):
    """Return a row of evaluation_metrics in which all is well, but for what is given."""
    well = {"actual_expected": 1.0, "lower": 0.98, "upper": 1.02, "balance": 1.0, "gini": 0.3,
            "psi": 0.01}  # fmt: skip
    shared = {"model_name": model, "part": part, "rows": rows, "sampled_rows": rows}
    return {**shared, "sampling_error": sampling_error or {}, **well, **values}


def broken(judged, **thresholds):
    settings = ThresholdSettings.model_validate(thresholds)
    return [b.sentence() for b in breaches({f"{judged['model_name']}@1": judged}, settings, 10)]


def test_a_model_that_is_ten_per_cent_off_on_7726_claims_is_told():
    """A published motor portfolio scored with another year's model; once it passed without a word."""
    lower, upper = ConfidenceInterval(0.95).ratio(7726, 7726 / 1.099, 0.0, is_count=True)
    assert (lower, upper) == pytest.approx((1.075, 1.124), abs=1e-3)
    assert broken(row(actual_expected=1.099, lower=lower, upper=upper)) == [
        "model frequency@1, part all, actual_expected: expected at most 1.05, found 1.099 "
        "[1.075, 1.124]"
    ]


BAND = {"actual_expected": {"min": 0.95, "max": 1.05}}
CASES = {
    # name: the row, the thresholds, and which bounds are broken
    "well": (row(), {}, []),
    "off, but by chance": (row(actual_expected=1.2, lower=1.04, upper=1.4), {}, []),
    "an interval that ends at the bound": (
        row(actual_expected=0.9, lower=0.85, upper=0.95), {}, []),
    "too many claims expected": (
        row(actual_expected=0.9, lower=0.87, upper=0.94), {}, [("actual_expected", "min")]),
    "a wider band": (row(actual_expected=1.2, lower=1.1, upper=1.3),
                     {"actual_expected": {"max": 1.1}}, []),
    "no band": (row(actual_expected=3.0, lower=2.9, upper=3.1), {"actual_expected": None}, []),
    "another population": (row(psi=0.31), {}, [("psi", "max")]),
    "another population, by chance": (row(psi=0.31, rows=499), {}, []),
    "an order that was declared": (row(gini=0.19), {"gini": {"min": 0.2}}, [("gini", "min")]),
    "an order that nobody declared": (row(gini=-0.1), {}, []),
    "balance has no interval": (row(balance=1.08), {"balance": {"max": 1.05}},
                                [("balance", "max")]),
    "targets not known": (row(actual_expected=None, lower=None, upper=None, balance=None,
                              gini=None), {"gini": {"min": 0.2}, **BAND}, []),
    "a sample, within its error": (
        row(actual_expected=1.1, lower=1.06, upper=1.14, gini=0.19,
            sampling_error={"actual_expected": 0.01, "gini": 0.01}), {"gini": {"min": 0.2}}, []),
    "a sample, beyond its error": (
        row(actual_expected=1.1, lower=1.08, upper=1.12,
            sampling_error={"actual_expected": 0.01}), {}, [("actual_expected", "max")]),
    "a model of its own band": (
        row(actual_expected=1.099, lower=1.075, upper=1.124),
        {"models": {"frequency": {"actual_expected": {"max": 1.2}}}}, []),
    "a model without a band": (
        row(actual_expected=1.5, lower=1.4, upper=1.6, psi=0.4),
        {"models": {"frequency": {"actual_expected": None}}}, [("psi", "max")]),
    "another model's band": (
        row(actual_expected=1.099, lower=1.075, upper=1.124),
        {"models": {"severity": {"actual_expected": None}}}, [("actual_expected", "max")]),
}  # fmt: skip


@pytest.mark.parametrize(("judged", "thresholds", "expected"), CASES.values(), ids=list(CASES))
def test_a_bound_is_broken_beyond_chance_only(judged, thresholds, expected):
    settings = ThresholdSettings.model_validate(thresholds)
    assert [
        (b.measure, b.bound) for b in breaches({"frequency@1": judged}, settings, 10)
    ] == expected


def test_the_result_line_has_model_measure_value_and_limit():
    (breach,) = breaches(
        {"frequency@1": row(actual_expected=0.01, lower=0.0, upper=0.2)}, ThresholdSettings(), 10
    )
    assert breach.to_json() == {
        "model": "frequency@1", "part": "all", "measure": "actual_expected", "value": 0.01,
        "lower": 0.0, "upper": 0.2, "min": 0.95,
    }  # fmt: skip
    assert measures(row(actual_expected=None, lower=None, upper=None)) == {
        "part": "all", "balance": 1.0, "gini": 0.3, "psi": 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("trained_on", "test_rows", "part"),
    [(("2023",), 100.0, "test"), (("2022",), 100.0, "all"), (("2023",), None, "all"),
     ((), 100.0, "all")],
)  # fmt: skip
def test_a_model_is_held_to_rows_that_it_was_not_fitted_on(trained_on, test_rows, part):
    model = EvaluatedModel(0, "frequency", "1", settings=object(), trained_on=trained_on)
    unjudged = EvaluatedModel(1, "other", "1", settings=None)
    metrics = [row(p, rows=test_rows if p == "test" else 1e3) for p in ("train", "test", "all")]
    rows = judged_rows("2023", [model, unjudged], metrics)
    assert {name: chosen["part"] for name, chosen in rows.items()} == {"frequency@1": part}


def test_settings_tell_no_bound_from_none_given():
    """Or a threshold that somebody takes away would leave the run `skipped` as it was."""
    without = ThresholdSettings.model_validate({"models": {"frequency": {"psi": None}}})
    assert without.of("frequency").keys() == {"actual_expected"}
    assert without.of("severity") == {
        "actual_expected": BoundSettings(min=0.95, max=1.05), "psi": BoundSettings(max=0.25),
    }  # fmt: skip
    empty = ThresholdSettings.model_validate({"models": {"frequency": {}}})
    assert without.model_dump(mode="json") != empty.model_dump(mode="json")
