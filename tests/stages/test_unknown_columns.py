"""A batch whose claims are not known yet, where policies hold them: it is scored, never counted."""

import pytest
from portfolio import FIRST, POLICY_HEADER, SECOND, policy_rows

LOCAL_ROWS = pytest.mark.parametrize("local_rows", [0, 1000], ids=["executors", "driver"])
COLUMNS = "sources.policies.columns"


def claims_of(number):
    return number % 5 % 2


@pytest.fixture
def with_counts(raw_portfolio):
    """Policies that say how many claims they had; nobody knows it of the second batch."""
    rows = [[*row, claims_of(n)] for n, row in enumerate(policy_rows(FIRST))]
    raw_portfolio.write("policies", [*POLICY_HEADER, "claims"], rows)
    raw_portfolio.set("sources.claims", None)
    raw_portfolio.set("prepare.claims", None)
    count = {"type": "int", "from": "claims", "required": True, "max": 9, "batches": [FIRST]}
    raw_portfolio.set(f"{COLUMNS}.nclaims", count)
    raw_portfolio.set(f"{COLUMNS}.claimed", {"type": "boolean", "sql": "coalesce(nclaims, 0) > 0"})
    raw_portfolio.set("prepare.targets", {"losses": "coalesce(nclaims, 0) + 0", "one": "1"})
    model = {"method": "glm", "family": "poisson", "target": "losses", "per": "exposure"}
    raw_portfolio.set("train", {"batches": [FIRST], "models": {"frequency": model}})
    raw_portfolio.set("predict", {})
    return raw_portfolio


def check_unknown(portfolio, spark):
    """Assert that the first batch has its counts, and the second none, whatever SQL says of it."""
    first = portfolio.read(spark, "prepared", FIRST).collect()
    assert {r["policy_id"]: r["losses"] for r in first} == {
        row[0]: claims_of(n) for n, row in enumerate(policy_rows(FIRST))
    }
    second = portfolio.read(spark, "prepared", SECOND).collect()
    assert {(row["losses"], row["one"]) for row in second} == {(None, 1.0)} and len(second) == 120
    policies = portfolio.read(spark, "policies", SECOND).select("nclaims", "claimed").distinct()
    assert [tuple(row) for row in policies.collect()] == [(None, None)]


@pytest.mark.repeats
@LOCAL_ROWS
def test_what_the_file_lacks_is_unknown_never_zero(with_counts, spark, local_rows):
    with_counts.set("spark.local_rows", local_rows)
    with_counts.must(f"run --stages clean,prepare --batch {FIRST} --batch {SECOND}")
    check_unknown(with_counts, spark)


@pytest.mark.slow
def test_what_the_file_has_too_early_is_not_read_and_the_batch_is_scored(with_counts, spark):
    rows = [[*row, "later"] for row in policy_rows(SECOND)]
    with_counts.write("policies", [*POLICY_HEADER, "claims"], rows, SECOND)
    line = with_counts.must(f"run --batch {FIRST} --batch {SECOND}")
    assert line["rows_rejected"] == 0
    check_unknown(with_counts, spark)
    scored = with_counts.read(spark, "predictions", SECOND)
    assert scored.where("prediction > 0").count() == 120
    again = with_counts.must(f"clean --batch {SECOND} --set clean.profile_rows=1000")
    changes = again["details"]["policies"]["changes"]["what"]
    assert not [change for change in changes if "claim" in change]


def test_a_column_that_the_batch_should_have_is_missed(with_counts):
    with_counts.set(f"{COLUMNS}.nclaims.batches", [FIRST, SECOND])
    outcome = with_counts.kyros(f"clean --batch {SECOND}")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "SourceSchemaError")
    assert "policies, column claims: expected in" in outcome.message
