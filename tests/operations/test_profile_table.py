"""A profile as a table: what a person reads of a column, and what names nobody."""

from portfolio import SETTINGS

from kyros_spark.config import Config
from kyros_spark.operations.profile_table import profile_lines

ROW = {
    "source": "policies", "row_count": 1000, "null_count": 0, "least": None, "most": None,
    "sampled_rows": 1000, "distinct_count": 1000, "quantiles": None, "levels": None, "findings": [],
}  # fmt: skip
ROWS = [
    {**ROW, "column": "policy_id", "type": "string", "least": "P0001", "most": "P1000",
     "levels": {"P0001": 1}},
    {**ROW, "column": "name", "type": "string", "least": "Ann", "most": "Zoe", "levels": {"Ann": 2},
     "distinct_count": 998},
    {**ROW, "column": "age", "type": "int", "null_count": 25, "least": "18", "most": "90",
     "distinct_count": 70, "quantiles": {"0.5": 41.0}, "levels": {"40": 30, "41": 31},
     "findings": ["looks like an index"]},
    {**ROW, "column": "claim_id", "source": "claims", "type": "string", "levels": {"C1": 1}},
]  # fmt: skip


def test_numbers_are_shown_and_identifiers_and_names_are_not():
    settings = {**SETTINGS, "tables": {"base": "tables"}}
    for source in settings["sources"].values():
        source["path"] = "x.csv"
    lines = list(profile_lines(ROWS, Config.model_validate(settings)))
    age = next(line for line in lines if line.startswith("  age "))
    assert age.split() == ["age", "int", "2.5%", "70", "18", "41", "90", "41", "31,", "40", "30"]
    assert "  age: looks like an index" in lines
    text = "\n".join(lines)
    for personal in ("P0001", "P1000", "Ann", "Zoe", "C1"):
        assert personal not in text
    assert [line for line in lines if not line.startswith(" ")] == [
        "policies, 1,000 rows", "claims, 1,000 rows",
    ]  # fmt: skip
