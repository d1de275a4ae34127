"""What CSV text is read as: quotes, numbers, and fields that two columns are made of."""

import json

from portfolio import CLAIM_HEADER, FIRST, claim_rows

# The last field of each claim as it stands in the file, and what it is; None if it is refused.
NOTES = {
    "plain": "plain",
    '"Smith ""Bob"" Jones"': 'Smith "Bob" Jones',
    '"Smith, ""Bob"", Jones"': 'Smith, "Bob", Jones',
    '"""quoted"""': '"quoted"',
    r'"path C:\"': "path C:\\",  # a backslash is a letter like others
    '""': None,
}


def with_notes(portfolio, notes):
    """Give the first claims a further field, written as it is."""
    lines = [",".join([*CLAIM_HEADER, "note"])]
    lines += [",".join([*row, note]) for row, note in zip(claim_rows(FIRST), notes, strict=False)]
    portfolio.source("claims").write_text("\n".join(lines) + "\n", encoding="utf-8")
    portfolio.set("sources.claims.columns.note", {"type": "string"})


def notes_of(portfolio, spark):
    return [row["note"] for row in portfolio.read(spark, "claims").orderBy("claim_id").collect()]


def test_a_quote_within_quotes_stands_doubled(raw_portfolio, spark):
    with_notes(raw_portfolio, NOTES)
    assert raw_portfolio.must(f"clean --batch {FIRST}")["rows_rejected"] == 0
    assert notes_of(raw_portfolio, spark) == list(NOTES.values())


def test_another_escape_can_be_set(raw_portfolio, spark):
    with_notes(raw_portfolio, [r'"Smith \"Bob\" Jones"'])
    raw_portfolio.set("sources.claims.options", {"escape": "\\"})
    raw_portfolio.must(f"clean --batch {FIRST}")
    assert notes_of(raw_portfolio, spark) == ['Smith "Bob" Jones']


def test_two_columns_may_be_made_of_one_field(raw_portfolio, spark):
    """Such as a date and its time; a number that is none is refused under the column it is of."""
    raw_portfolio.spoil_cells("exposure", {3: "0.5f", 4: "1e-1"})
    raw_portfolio.set("sources.policies.columns.share", {"type": "string", "from": "exposure"})
    raw_portfolio.set("sources.policies.columns.count", {"type": "int", "from": "exposure"})
    severity = {"type": "repair"}
    raw_portfolio.set("sources.policies.columns.count.severity", severity)
    told = raw_portfolio.must(f"clean --batch {FIRST}")["details"]["policies"]
    assert told["rules"] == {"type:exposure": 1} and told["repaired"]["type:count"] > 0
    rows = raw_portfolio.read(spark, "policies").where("policy_id IN ('P000', 'P004')")
    read = {
        row["policy_id"]: (row["exposure"], row["share"], row["count"]) for row in rows.collect()
    }
    assert read == {"P000": (1.0, "1.0", 1), "P004": (0.1, "1e-1", None)}
    reject = raw_portfolio.read(spark, "rejects").where("source = 'policies'").first()
    assert (reject["rule"], reject["column"], reject["found"]) == ("type", "exposure", "0.5f")
    assert json.loads(reject["record"])["share"] == "0.5f"


def test_a_list_in_text_is_compared_in_the_type_of_the_column(raw_portfolio):
    """A value of the list that is of another type is equal to nothing, and breaks nothing."""
    ages = "\n".join(["age", "many", *(f"{age}.0" for age in range(20, 80))])
    path = raw_portfolio.folder / "ages.csv"
    path.write_text(f"{ages}\n", encoding="utf-8")
    listed = {"path": str(path), "columns": {"age": "age"}}
    raw_portfolio.set("sources.policies.rules", [{"id": "known", "listed_in": listed}])
    raw_portfolio.spoil_cells("age", {5: "99"})
    told = raw_portfolio.must(f"clean --batch {FIRST}")["details"]["policies"]
    assert told["rules"] == {"known:age": 1}
