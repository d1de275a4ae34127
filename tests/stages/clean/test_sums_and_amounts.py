"""Sums of records of one key obey their bounds; amounts that no double or count vouches for."""

import json

import pytest
from portfolio import Portfolio

BATCH = "2024"
HEADER = ["policy", "day", "exposure", "premium", "claims", "paid", "money"]
ROWS = [
    ["A", "2024-01-01", "0.7", "1", "1", "100", "EUR"],
    ["A", "2024-07-01", "0.6", "1", "1", "100", "EUR"],  # 1.3 years together: cut to 1
    ["B", "2024-01-01", "0.2", "6", "1", "100", "EUR"],
    ["B", "2024-07-01", "0.3", "6", "1", "100", "EUR"],  # a premium of 12 together: refused
    ["C", "2024-01-01", "0.2", "1", "1", "100", "EUR"],
    ["C", "2024-07-01", "", "1", "1", "100", "EUR"],  # an exposure that nobody knows
    ["D", "2024-01-01", "1", "1", "", "900", "EUR"],  # a count that nobody knows
    ["E", "2024-01-01", "1", "1", "0", "900", "EUR"],  # an amount without a claim
    ["F", "2024-01-01", "1", "1", "1", "1e20", "EUR"],
    ["G", "2024-01-01", "1", "1", "1", "70", "XXX"],
    ["H", "2024-01-01", "1", "1", "1", "89999999999999.25", "EUR"],
]


@pytest.fixture(params=[0, 5_000_000], ids=["executors", "driver"])
def cleaned(request, spark, tmp_path):
    text = {"type": "string", "required": True}
    made = Portfolio(tmp_path, {
        "portfolio": "sums", "tables": {}, "batches": [BATCH],
        "sources": {"policies": {
            "path": str(tmp_path / "source" / "policies_{batch}.csv"), "key": ["policy"],
            "conflicts": "sum", "sum": ["exposure", "premium"],
            "columns": {
                "policy": text, "day": {"type": "date"},
                "exposure": {"type": "double", "required": True, "max": 1, "severity": {"max": "repair"}},
                "premium": {"type": "double", "max": 10},
                "claims": {"type": "int"}, "paid": {"type": "double"}, "money": text,
            },
            "amounts": {"paid": {"count": "claims", "without_count": "zero", "zero": "reject",
                                 "currency": "money", "rates": {"EUR": 1.0}}},
        }},
        "clean": {"max_rejected_share": 1.0},
        "prepare": {"exposure": "exposure", "split": {"by": ["policy"]},
                    "features": {"day": {"kind": "levels"}}},
        "spark": {"local_rows": request.param},
    })  # fmt: skip
    made.write("policies", HEADER, ROWS, BATCH)
    details = made.must(f"clean --batch {BATCH}")["details"]["policies"]
    kept = {row["policy"]: row for row in made.read(spark, "policies").collect()}
    refused = [
        (json.loads(row["record"])["policy"], row["rule"])
        for row in made.read(spark, "rejects").collect()
    ]
    repairs = [
        (row["key"]["policy"], row["rule"], row["column"], row["before"], row["after"])
        for row in made.read(spark, "repairs").collect()
    ]
    return details, kept, refused, sorted(repairs)


@pytest.mark.repeats
def test_sums_obey_bounds_and_unknown_counts_wipe_out_no_amount(cleaned):
    details, kept, refused, repairs = cleaned
    assert sorted(kept) == ["A", "D", "E", "H"]
    # A sum beyond its bound is cut and counted, as a value of one record is.
    assert kept["A"]["exposure"] == 1.0 and details["repaired"]["max:exposure"] == 1
    # Only a count of 0 says that there is no claim.
    assert kept["D"]["paid"] == 900.0 and kept["E"]["paid"] == 0.0
    assert details["repaired"]["without_count:paid"] == 1
    assert repairs == [
        ("A", "max", "exposure", "1.2999999999999998", "1.0"),
        ("E", "without_count", "paid", "900.0", "0.0"),
    ]
    rules = {policy: {rule for name, rule in refused if name == policy} for policy, _ in refused}
    assert rules["A"] == {"summed"}
    assert rules["B"] == {"max"}  # the sum's, in both records
    assert rules["C"] == {"required"}
    # One amount that no sum to the cent can hold does not stop the batch; it is refused by name.
    assert rules["F"] == {"too_large"}
    assert rules["G"] == {"currency"}
    amounts = {kind: float(text) for kind, text in details["amounts"]["paid"].items()}
    assert amounts["out"] == 100 + 900 + 89999999999999.25
    assert amounts["in"] == amounts["out"] + amounts["rejected"] + amounts["changed"]
