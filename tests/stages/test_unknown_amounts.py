"""An amount that is not known stays unknown, in each stage, on the executors as in the driver."""

import pytest
from portfolio import Portfolio
from pyspark.sql import functions as F

from kyros_spark.model.manifest import PredictionInterval
from kyros_spark.transforms.interval import bounds

BATCH = "2024"
POLICIES = [["P1", "1.0", "petrol"], ["P2", "1.0", "petrol"], ["P3", "1.0", "diesel"],
            ["P4", "1.0", "diesel"]]  # fmt: skip
# P2's one claim and one of P3's two have no amount yet; C3 lies above the cap.
CLAIMS = [["C1", "P1", "1200"], ["C2", "P2", ""], ["C3", "P3", "50000"], ["C4", "P3", ""]]
CAP = 30_000


def portfolio_of(folder, cap_in, local_rows):
    amounts = {"paid": {"cap": CAP} if cap_in == "clean" else {}}
    capped = {"cap": CAP} if cap_in == "prepare" else {}
    source = {"policies": str(folder / "source" / "policies_{batch}.csv"),
              "claims": str(folder / "source" / "claims_{batch}.csv")}  # fmt: skip
    name = {"type": "string", "required": True}
    made = Portfolio(folder, {
        "portfolio": "unknown", "tables": {}, "batches": [BATCH],
        "sources": {
            "policies": {"path": source["policies"], "key": ["policy"], "columns": {
                "policy": name, "exposure": {"type": "double"}, "fuel": {"type": "string"}}},
            "claims": {"path": source["claims"], "key": ["claim"], "reference": ["policy"],
                       "columns": {"claim": name, "policy": name, "paid": {"type": "double"}},
                       "amounts": amounts},
        },
        "clean": {"max_rejected_share": 0.6},
        "prepare": {
            "exposure": "exposure", "split": {"by": ["policy"], "train": 1.0, "valid": 0.0},
            "claims": {"amount": "paid", **capped}, "features": {"fuel": {"kind": "levels"}}},
        "spark": {"local_rows": local_rows},
    })  # fmt: skip
    made.write("policies", ["policy", "exposure", "fuel"], POLICIES, BATCH)
    made.write("claims", ["claim", "policy", "paid"], CLAIMS, BATCH)
    return made


@pytest.mark.repeats
@pytest.mark.parametrize("local_rows", [0, 5_000_000])
@pytest.mark.parametrize("cap_in", ["clean", "prepare"])
def test_an_unknown_amount_is_no_claim_at_the_cap(spark, tmp_path, cap_in, local_rows):
    portfolio = portfolio_of(tmp_path, cap_in, local_rows)
    told = portfolio.must(f"clean --batch {BATCH}")["details"]["claims"]
    assert told["warned"] == {"unknown:paid": 2}
    out = {"clean": ("31200.00", "20000.00"), "prepare": ("51200.00", "0.00")}[cap_in]
    amounts = told["amounts"]["paid"]
    assert amounts["in"] == "51200.00" and (amounts["out"], amounts["excess"]) == out
    assert amounts["changed"] == "0.00"
    claims = {row["claim"]: row.asDict() for row in portfolio.read(spark, "claims").collect()}
    assert claims["C2"]["paid"] is None and claims["C4"]["paid"] is None
    if cap_in == "clean":
        excess = [claims[f"C{n}"]["paid_excess"] for n in (1, 2, 3, 4)]
        assert excess == [0.0, None, 20_000.0, None]

    line = portfolio.must(f"prepare --batch {BATCH}")
    sums = {
        row["policy"]: (row["claim_count"], row["claim_amount"], row["claim_excess"])
        for row in portfolio.read(spark, "prepared").collect()
    }
    # An amount of P3 is known, but what its claims cost is not.
    assert sums == {
        "P1": (1.0, 1200.0, 0.0), "P2": (1.0, None, None), "P3": (2.0, None, None),
        "P4": (0.0, 0.0, 0.0),
    }  # fmt: skip
    assert line["details"]["unknown_targets"] == {"claim_amount": 2, "claim_excess": 2}


@pytest.mark.slow
def test_an_unknown_amount_is_refused_where_the_settings_say_so(spark, tmp_path):
    portfolio = portfolio_of(tmp_path, "clean", 5_000_000)
    portfolio.set("sources.claims.amounts.paid.unknown", "reject")
    told = portfolio.must(f"clean --batch {BATCH}")["details"]["claims"]
    assert told["rules"] == {"unknown:paid": 2} and "warned" not in told
    rejects = portfolio.read(spark, "rejects").collect()
    assert {(row["expected"], row["found"]) for row in rejects} == {("a known amount", "nothing")}
    portfolio.set("sources.claims.amounts.paid.unknown", "fail")
    outcome = portfolio.kyros(f"clean --batch {BATCH}")
    assert outcome.line["error"]["type"] == "RuleFailedError"


def test_a_sum_over_the_rows_of_a_key_is_unknown_if_one_of_them_is(spark, tmp_path):
    portfolio = portfolio_of(tmp_path, "clean", 5_000_000)
    payments = [["C1", "P1", "100"], ["C1", "P1", "250"], ["C2", "P2", "100"], ["C2", "P2", ""]]
    portfolio.write("claims", ["claim", "policy", "paid"], payments, BATCH)
    portfolio.set("sources.claims.conflicts", "sum")
    portfolio.set("sources.claims.sum", ["paid"])
    told = portfolio.must(f"clean --batch {BATCH}")["details"]["claims"]
    claims = {row["claim"]: row["paid"] for row in portfolio.read(spark, "claims").collect()}
    assert claims == {"C1": 350.0, "C2": None}
    assert told["warned"] == {"unknown:paid": 1}
    cents = {kind: float(total) for kind, total in told["amounts"]["paid"].items()}
    assert cents["in"] == 450.0 and cents["out"] == 350.0
    assert cents["in"] == sum(cents.values()) - cents["in"]


def test_what_has_no_prediction_has_no_interval(spark):
    """On the executors; the driver masks both ends together with the prediction."""
    interval = PredictionInterval(level=0.9, below=-2.0, above=3.0, power=1.0, rows=100)
    rows = spark.createDataFrame([(None, 1.0), (4.0, 1.0), (1.0, 1.0)], "p double, w double")
    ends = rows.select(*bounds(F.col("p"), F.col("w"), interval)).collect()
    assert [tuple(row) for row in ends] == [(None, None), (0.0, 10.0), (0.0, 4.0)]
