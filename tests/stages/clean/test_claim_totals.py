"""Clean claims are compared with the number and amount that their policies state."""

import copy
import json
import re

import pandas as pd
import pytest
import yaml
from portfolio import CLAIM_HEADER, FIRST, POLICY_HEADER, SETTINGS, claim_rows, policy_rows

from kyros_spark.config import parse_config
from kyros_spark.errors import ConfigError

RECONCILE = "sources.claims.reconcile"


def stated(portfolio):
    """Let policies state their claims, one in ten wrongly; return the two files as pandas has them."""
    claims = pd.DataFrame(claim_rows(FIRST), columns=CLAIM_HEADER).astype({"amount": float})
    sums = claims.groupby("policy")["amount"].agg(["size", "sum"])
    rows = policy_rows(FIRST)
    for n, row in enumerate(rows):
        count, amount = sums.loc[row[0]] if row[0] in sums.index else (0, 0.0)
        row += [str(int(count + (n % 10 == 0))), f"{amount + (n % 10 in (0, 3)) * 250.5:.2f}"]
    rows[5][-2:] = ["", ""]  # nobody knows
    rows[6][-1] = f"{float(rows[6][-1]) + 0.01:.2f}"  # a cent is noise
    header = [*POLICY_HEADER, "nb", "total"]
    portfolio.write("policies", header, rows)
    for name, kind in (("nb", "int"), ("total", "double")):
        portfolio.set(f"sources.policies.columns.{name}", {"type": kind})
    portfolio.set(RECONCILE, {"count": "nb", "total": "total", "amount": "amount"})
    policies = pd.DataFrame(rows, columns=header).set_index("policy")
    policies = policies[["nb", "total"]].apply(pd.to_numeric)
    return policies.join(sums).fillna({"size": 0, "sum": 0})


@pytest.mark.repeats
@pytest.mark.parametrize("local_rows", [0, 5_000_000], ids=["executors", "driver"])
def test_policies_that_differ_from_their_claims_are_counted_and_kept(
    raw_portfolio, spark, local_rows
):
    twin = stated(raw_portfolio)
    raw_portfolio.set("spark.local_rows", local_rows)
    line = raw_portfolio.must(f"clean --batch {FIRST}")
    told = line["details"]["claims"]["reconcile"]
    more, less = (twin["size"] > twin["nb"]).sum(), (twin["size"] < twin["nb"]).sum()
    off = (twin["sum"] - twin["total"]).abs() > 0.0101
    assert told["policies"] == 120
    assert told["differ"] == (off | (twin["size"] != twin["nb"]) & twin["nb"].notna()).sum() == 24
    assert told["count"] == {"stated": twin["nb"].sum(), "of_claims": twin["size"].sum(), "more": more,
                             "fewer": less, "unknown": 1}  # fmt: skip
    assert told["total"] == {"stated": f"{twin['total'].sum():.2f}", "of_claims": f"{twin['sum'].sum():.2f}",
                             "more": 0, "fewer": off.sum(), "unknown": 1}  # fmt: skip
    assert told["examples"][0].startswith("P000: count 2 stated, 1 of claims; total ")
    assert line["rows_rejected"] == 0
    rules = {row["column"]: row["rules"] for row in raw_portfolio.read(spark, "profiles").collect()
             if row["source"] == "policies"}  # fmt: skip
    assert rules["nb"] == {"reconcile:nb": less} and rules["total"] == {
        "reconcile:total": off.sum()
    }


@pytest.mark.slow
def test_a_share_above_the_limit_refuses_the_batch(raw_portfolio):
    stated(raw_portfolio)
    raw_portfolio.set(f"{RECONCILE}.max_share", 0.15)
    outcome = raw_portfolio.kyros(f"clean --batch {FIRST}")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "ClaimsDifferError")
    assert (
        "expected at most 15.00% of policies to differ from their claims, found 24 of 120"
        in outcome.message
    )
    assert "P000: count 2 stated, 1 of claims" in outcome.message
    assert not (raw_portfolio.base / "policies").exists()
    raw_portfolio.set(f"{RECONCILE}.max_share", 0.2)  # and 24 of 120 is not above it
    raw_portfolio.must(f"clean --batch {FIRST}")


@pytest.mark.parametrize(
    "source, value, says",
    [
        ("claims", {}, "give count, or total and amount"),
        ("claims", {"total": "bonus"}, "total (a column of policies) and amount"),
        ("claims", {"count": "fuel"}, "reconcile.count: expected a number of sources.policies.columns (age, "),
        ("claims", {"total": "bonus", "amount": "paid"},
         "reconcile.amount: expected a number of sources.claims.columns (amount), found 'paid'"),
        ("claims", {"count": "age", "where": "rand() < 0.5"}, "where: expected values that the row"),
        ("policies", {"count": "age"}, "sources.policies.reconcile: only claims"),
    ],
)  # fmt: skip
def test_settings_that_compare_nothing_are_refused(source, value, says):
    settings = copy.deepcopy(SETTINGS)
    settings["tables"]["base"] = "t"
    for name in settings["sources"]:
        settings["sources"][name]["path"] = "x"
    settings["sources"][source]["reconcile"] = value
    with pytest.raises(ConfigError, match=re.escape(says)):
        parse_config(yaml.safe_dump(settings))


def test_a_count_that_a_batch_does_not_have_yet_is_compared_with_nothing(raw_portfolio):
    stated(raw_portfolio)
    raw_portfolio.set("sources.policies.columns.nb.batches", ["2020"])
    raw_portfolio.set(RECONCILE, {"count": "nb", "max_share": 0})
    details = raw_portfolio.must(f"clean --batch {FIRST}")["details"]["claims"]
    assert "reconcile" not in details, json.dumps(details)
