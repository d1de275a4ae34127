"""Rows that train nothing are counted with the reason; targets without a deviance are refused."""

import numpy as np
import pyarrow as pa
import pytest

from kyros_spark.aggregates.rows import DriverRows
from kyros_spark.config import ModelSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.left_out import RowAccount, account_in, is_account
from kyros_spark.fitting.row_account import account_of
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, modelled


def settings(family, target="amount", per="count"):
    return ModelSettings(method="glm", family=family, target=target, per=per)


def rows(**columns):
    given = {"split": ["train"] * 4 + ["test"] * 3, **columns}
    return DriverRows(pa.table(given))


SEVERITY = {
    "amount": pa.array([100.0, 0.0, None, -5.0, 50.0, None, 0.0]),
    "count": pa.array([1, 0, 1, 1, None, 0, 2]),
}


def test_each_row_left_out_has_one_reason_and_the_others_are_modelled():
    account = account_of("m", rows(**SEVERITY), settings("gamma"))
    assert account.left_out == {
        "units_not_above_zero": 2, "units_missing": 1, "target_missing": 1,
        "target_not_above_zero": 2,
    }  # fmt: skip
    assert (account.rows, account.used) == (7, 1)
    assert account.share == 4 / 5, "a policy without claims is not missed by a severity"
    used = modelled(rows(**SEVERITY), settings("gamma"), ["split"]).table
    assert used.num_rows == 1 and used.column(LABEL).to_pylist() == [100.0]
    assert set(used.column_names) == {"split", LABEL, WEIGHT, OFFSET}


def test_a_book_of_unknown_targets_is_told_in_one_sentence():
    """Of 15 policies 14 have no target: a total 15 times the observed one would look well."""
    table = DriverRows(pa.table({
        "split": ["train"] * 15, "exposure": np.ones(15), "count": pa.array([2.0] + [None] * 14),
    }))  # fmt: skip
    account = account_of("m", table, settings("poisson", "count", "exposure"))
    assert account.share == pytest.approx(14 / 15)
    assert account.details() == {"in": 15, "used": 1, "left_out": {"target_missing": 14}}
    assert account.sentence("count", "exposure") == "14 of 15 rows left out (count is NULL in 14)"


SHARES = {
    "above its units": ([1.0, 0.0, 1.0], [0.5, 1.0, 1.0], "hit above units in 1 rows .train 1"),
    "below zero": ([1.0, 0.0, -1.0], [1.0, 1.0, 1.0], "hit below zero in 1 rows .test 1"),
    "no number": ([1.0, np.nan, 0.0], [1.0, 1.0, 1.0], "hit or units not finite in 1 rows"),
}


@pytest.mark.parametrize(("hit", "units", "says"), SHARES.values(), ids=list(SHARES))
def test_what_is_no_share_of_trials_is_refused_with_what_to_do(hit, units, says):
    table = {"split": ["train", "valid", "test"], "hit": hit, "units": units}
    with pytest.raises(TrainingDataError, match=says) as refused:
        account_of("lapse", DriverRows(pa.table(table)), settings("binomial", "hit", "units"))
    assert "an exposure is no offset of a logit" in str(refused.value)
    assert "{policies: '1'}" in str(refused.value) and "hit * units" in str(refused.value)


def test_shares_of_trials_are_labels_weighted_by_their_trials():
    table = {"split": ["train"] * 4, "hit": [1.0, 0.0, 3.0, 0.0], "units": [1.0, 1.0, 4.0, 0.0]}
    given, lapse = DriverRows(pa.table(table)), settings("binomial", "hit", "units")
    assert account_of("lapse", given, lapse).details() == {
        "in": 4, "used": 3, "left_out": {"units_not_above_zero": 1},
    }  # fmt: skip
    used = modelled(given, lapse, ["split"]).table
    assert used.column(LABEL).to_pylist() == [1.0, 0.0, 0.75]
    assert used.column(WEIGHT).to_pylist() == [1.0, 1.0, 4.0]
    assert used.column(OFFSET).to_pylist() == [0.0, 0.0, 0.0]


def test_an_account_is_found_again_among_the_metrics_of_a_version():
    account = RowAccount(10.0, {"target_missing": 3.0, "units_missing": 1.0})
    metrics = {"test_deviance": 1.0, "train_rows": 5.0, **account.metrics()}
    assert metrics["rows_left_out"] == 4.0 and account_in(metrics) == RowAccount(
        10.0, {"units_missing": 1.0, "target_missing": 3.0}
    )
    assert [name for name in metrics if not is_account(name)] == ["test_deviance", "train_rows"]
    assert account_in({"all_rows": 6.0}) is None, "a version of an earlier package"


@pytest.mark.parametrize("family", ["poisson", "tweedie", "negative_binomial"])
def test_targets_below_zero_are_refused_before_a_fit_in_whatever_part_they_are(family):
    table = rows(amount=[1.0, 0.0, 3.0, -2.0, 1.0, -1.5, -1.0], count=np.ones(7))
    with pytest.raises(TrainingDataError) as refused:
        account_of("premium", table, settings(family))
    assert str(refused.value) == (
        f"model premium: expected in table prepared targets that a {family} model has, finite and "
        "not below zero, found amount below zero in 3 rows (test 2, train 1): -4.5 together. "
        "Reject these rows in clean, or bound the target in prepare.targets, such as "
        "greatest(claim_amount, 0)"
    )


@pytest.mark.parametrize("family", ["poisson", "gamma"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_targets_that_are_no_numbers_are_refused(family, value):
    table = rows(amount=[1.0, 1.0, 3.0, value, 1.0, 2.0, 1.0], count=np.ones(7))
    with pytest.raises(TrainingDataError, match=r"not finite in 1 rows \(train 1\)"):
        account_of("m", table, settings(family))


def test_a_severity_leaves_recoveries_out_and_counts_them():
    table = rows(amount=[1.0, 2.0, 3.0, -2.0, 1.0, 2.0, 1.0], count=np.ones(7))
    account = account_of("m", table, settings("gamma"))
    assert account.left_out == {"target_not_above_zero": 1.0} and account.share == 1 / 7
