"""Rules as data: what each kind decides about a row, and what is counted of it."""

import json

import pytest
from portfolio import CLAIM_HEADER, FIRST, POLICY_HEADER, Portfolio, claim_rows, policy_rows

COLUMN = {name: n for n, name in enumerate(POLICY_HEADER)}


def changed(rows, cells):
    for n, values in cells.items():
        for column, text in values.items():
            rows[n][COLUMN[column]] = text
    return rows


def cleaned(portfolio, spark):
    portfolio.set("clean.max_rejected_share", 0.5)
    portfolio.line = portfolio.must(f"clean --batch {FIRST}")
    portfolio.policies = {
        row["policy_id"]: row for row in portfolio.read(spark, "policies", FIRST).collect()
    }
    portfolio.refused = {
        (json.loads(row["record"]).get("policy_id"), row["rule"]): row
        for row in portfolio.read(spark, "rejects", FIRST).collect()
        if row["source"] == "policies"
    }
    return portfolio.line["details"]["policies"]


@pytest.fixture(scope="module")
def ruled(spark, tmp_path_factory):
    """One run in which every kind of rule meets a row that breaks it, and one that keeps it."""
    portfolio = Portfolio(tmp_path_factory.mktemp("ruled")).write_sources()
    rows = changed(policy_rows(FIRST), {
        1: {"fuel": " Petrol "}, 2: {"fuel": "DIESEL"}, 3: {"fuel": "gazole"}, 4: {"fuel": "coal"},
        5: {"bonus": "9"}, 6: {"bonus": "0.1"}, 7: {"bonus": "7"},
        8: {"power": "strong"}, 9: {"area": "moon"},
        10: {"age": "20", "bonus": "1.9"}, 12: {"age": "22", "bonus": "1.9"},
        14: {"client": "X99"}, 16: {"exposure": "1.4"}, 18: {"exposure": "-0.1", "bonus": "8"},
        20: {"age": "95", "bonus": "1.2", "fuel": "DIESEL"},
    })  # fmt: skip
    portfolio.write("policies", POLICY_HEADER, rows)
    (portfolio.folder / "clients.csv").write_text(
        "code\n" + "\n".join(f"C{n:03d}" for n in range(60)) + "\n"
    )
    columns = "sources.policies.columns"
    portfolio.set(f"{columns}.fuel", {
        "type": "string", "required": True, "trim": True, "case": "lower",
        "aliases": {"gazole": "diesel"}, "allowed": ["petrol", "diesel", "electric"],
        "severity": {"allowed": "repair"}, "default": "petrol",
    })  # fmt: skip
    portfolio.set(f"{columns}.bonus", {
        "type": "double", "required": True, "min": 0.5, "max": 5,
        "severity": {"max": "repair", "min": "warn"},
    })  # fmt: skip
    portfolio.set(f"{columns}.power.severity", {"type": "repair"})
    portfolio.set(f"{columns}.area.says", {"allowed": "areas are city and country, by contract"})
    portfolio.set(f"{columns}.client_id.pattern", "[CX][0-9]+")
    portfolio.set(f"{columns}.exposure", {
        "type": "double", "min": 0.01, "max": 1, "severity": {"max": "repair"},
    })  # fmt: skip
    portfolio.set("sources.policies.rules", [
        {"id": "young_malus", "check": "age > 21 OR bonus < 1.5", "severity": "reject",
         "says": "nobody of 21 has that malus"},
        {"id": "known_client", "listed_in": {
            "path": str(portfolio.folder / "clients.csv"), "columns": {"client_id": "code"}}},
        {"id": "aged", "check": "age <= 90", "severity": "repair",
         "repair": {"age": "90", "bonus": "bonus / 2"}},
        {"id": "strong_city", "check": "power < 130 OR area = 'country'", "severity": "warn"},
    ])  # fmt: skip
    portfolio.told = cleaned(portfolio, spark)
    return portfolio


def test_levels_are_trimmed_folded_renamed_and_counted(ruled):
    fuels = [ruled.policies[f"P{n:03d}"]["fuel"] for n in (1, 2, 3)]
    assert fuels == ["petrol", "diesel", "diesel"]
    assert ruled.told["repaired"]["respelled:fuel"] == 4


def test_every_repair_leaves_its_trail(ruled, spark):
    """The refused row 18 leaves none: `rejects` has its record."""
    repairs = ruled.read(spark, "repairs", FIRST).collect()
    assert {(row["source"], row["run_id"]) for row in repairs} == {
        ("policies", ruled.line["run_id"])
    }
    assert sorted(
        [row["key"]["policy_id"], row["rule"], row["column"], row["before"], row["after"]]
        for row in repairs
    ) == [
        ["P001", "respelled", "fuel", " Petrol ", "petrol"],
        ["P002", "respelled", "fuel", "DIESEL", "diesel"],
        ["P003", "respelled", "fuel", "gazole", "diesel"],
        ["P004", "allowed", "fuel", "coal", "petrol"],
        ["P005", "max", "bonus", "9", "5.0"],
        ["P007", "max", "bonus", "7", "5.0"],
        ["P008", "type", "power", "strong", None],
        ["P016", "max", "exposure", "1.4", "1.0"],
        ["P020", "aged", "age", "95", "90"],
        ["P020", "aged", "bonus", "1.2", "0.6"],
        ["P020", "respelled", "fuel", "DIESEL", "diesel"],
    ]


@pytest.mark.slow
def test_a_corrected_extract_takes_its_repairs_back(raw_portfolio, spark):
    setting = {"type": "int", "default": "30", "severity": {"type": "repair"}}
    raw_portfolio.set("sources.policies.columns.age", setting)
    raw_portfolio.spoil_cells("age", {4: "old"})
    cleaned(raw_portfolio, spark)
    (row,) = raw_portfolio.read(spark, "repairs").collect()
    assert (row["key"], row["before"], row["after"]) == ({"policy_id": "P004"}, "old", "30")
    raw_portfolio.write_sources()
    cleaned(raw_portfolio, spark)
    assert raw_portfolio.read(spark, "repairs").isEmpty()


def test_a_default_for_missing_values_hides_no_wrong_type(raw_portfolio, spark):
    raw_portfolio.set("sources.policies.columns.age", {
        "type": "int", "required": True, "min": 18, "max": 100, "default": "30",
        "severity": {"required": "repair"},
    })  # fmt: skip
    raw_portfolio.spoil_cells("age", {3: "", 4: "old"})
    told = cleaned(raw_portfolio, spark)
    assert raw_portfolio.policies["P003"]["age"] == 30
    assert told["repaired"]["required:age"] == 1
    assert raw_portfolio.refused["P004", "type"]["found"] == "old"


def test_a_default_for_wrong_types_is_given_to_no_missing_value(raw_portfolio, spark):
    raw_portfolio.set("sources.policies.columns.age", {
        "type": "int", "min": 18, "max": 100, "default": "30", "severity": {"type": "repair"},
        "missing": ["-"],
    })  # fmt: skip
    raw_portfolio.spoil_cells("age", {3: "", 4: "old", 5: "-"})
    told = cleaned(raw_portfolio, spark)
    ages = [raw_portfolio.policies[policy]["age"] for policy in ("P003", "P004", "P005")]
    assert ages == [None, 30, None]
    assert told["repaired"] == {"type:age": 1}


def test_an_unknown_level_is_repaired_by_the_default_and_counted(ruled):
    assert ruled.policies["P004"]["fuel"] == "petrol"
    assert ruled.told["repaired"]["allowed:fuel"] == 1


def test_a_value_beyond_its_bound_is_clipped_where_repair_is_declared(ruled):
    assert [ruled.policies[f"P{n:03d}"]["bonus"] for n in (5, 6, 7)] == [5.0, 0.1, 5.0]
    assert ruled.told["repaired"]["max:bonus"] == 2
    assert ruled.told["warned"]["min:bonus"] == 1


def test_an_unreadable_number_becomes_missing_where_repair_is_declared(ruled):
    assert ruled.policies["P008"]["power"] is None
    assert ruled.told["repaired"]["type:power"] == 1


def test_the_settings_own_sentence_is_what_a_reject_tells(ruled):
    row = ruled.refused[("P009", "allowed")]
    assert (row["expected"], row["found"]) == ("areas are city and country, by contract", "moon")
    row = ruled.refused[("P010", "young_malus")]
    assert (row["expected"], row["column"]) == ("nobody of 21 has that malus", "(row)")
    assert "P012" in ruled.policies


def test_a_value_that_a_list_does_not_hold_is_refused(ruled):
    row = ruled.refused[("P014", "known_client")]
    assert (row["column"], row["found"]) == ("client_id", "X99")
    assert row["expected"].endswith("clients.csv")


def test_exposure_is_clipped_at_its_top_and_refused_at_its_bottom(ruled):
    assert ruled.policies["P016"]["exposure"] == 1.0
    assert ruled.refused[("P018", "min")]["found"] == "-0.1"


def test_a_warning_is_counted_and_refuses_nothing(ruled, spark):
    strong = [
        n for n, row in enumerate(policy_rows(FIRST))
        if row[COLUMN["area"]] == "city" and float(row[COLUMN["power"]]) >= 130
        and n not in (9, 10, 14, 18)
    ]  # fmt: skip
    assert len(strong) > 3 and ruled.told["warned"]["strong_city:(row)"] == len(strong)
    assert {f"P{n:03d}" for n in strong} <= set(ruled.policies)


def test_every_refused_row_is_accounted_for(ruled):
    assert ruled.told["rules"] == {
        "allowed:area": 1, "young_malus:(row)": 1, "known_client:client_id": 1, "min:exposure": 1,
    }  # fmt: skip
    assert ruled.told["rows_in"] == ruled.told["rows_out"] + 4 == 120


def test_a_rule_that_nobody_may_break_refuses_the_batch(portfolio, tables_as_before):
    portfolio.set("sources.policies.rules", [
        {"id": "adult", "check": "age >= 25", "severity": "fail", "says": "no driver below 25"}
    ])  # fmt: skip
    tables_as_before(portfolio.base)
    outcome = portfolio.kyros(f"clean --batch {FIRST}")
    young = sum(int(row[COLUMN["age"]]) < 25 for row in policy_rows(FIRST))
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "RuleFailedError")
    assert f"{young} x adult in (row) (expected no driver below 25)" in outcome.message


def test_dates_in_order_unique_values_and_periods_that_overlap(raw_portfolio, spark):
    """Two periods of one vehicle overlap, two touch; two vehicles share a plate."""
    header = ["policy", "vehicle", "plate", "start", "end"]
    rows = [
        ["A", "V1", "p1", "2023-01-01", "2023-04-01"],
        ["B", "V1", "p2", "2023-04-01", "2023-06-30"],
        ["C", "V1", "p3", "2023-06-01", "2023-12-31"],
        ["D", "V2", "p4", "2023-05-01", "2023-02-01"],
        ["E", "V3", "p5", "2023-01-01", "2023-07-02"],
        ["F", "V4", "p5", "2023-01-01", "2024-01-01"],
        ["F", "V4", "p5", "2023-01-01", "2024-01-01"],
        ["G", "V5", "", "2024-01-01", "2024-07-01"],
        ["H", "V6", "", "2023-01-01", "2023-07-02"],
    ]
    raw_portfolio.write("policies", header, rows)
    source = {
        "path": raw_portfolio.settings["sources"]["policies"]["path"], "key": ["policy"],
        "columns": {
            **{name: {"type": "string"} for name in header[:3]},
            "start": {"type": "date"}, "end": {"type": "date"},
            "exposure": {"type": "double", "days": {"from": "start", "to": "end", "year": "actual"}},
            "rough": {"type": "double", "days": {"from": "start", "to": "end", "year": 365.25,
                                                 "last_day": "at_risk"}},
        },
        "rules": [
            {"id": "dates", "in_order": ["start", "end"]},
            {"id": "plate", "unique": ["plate"]},
            {"id": "overlap", "no_overlap": {"of": ["vehicle"], "from": "start", "to": "end"}},
        ],
    }  # fmt: skip
    raw_portfolio.set("sources.policies", source)
    raw_portfolio.set("sources.claims", None)
    raw_portfolio.set("prepare.claims", None)
    raw_portfolio.set("train", None)
    raw_portfolio.set("clean.max_rejected_share", 1.0)
    raw_portfolio.must(f"clean --batch {FIRST}")
    refused = raw_portfolio.read(spark, "rejects").collect()
    told = sorted((json.loads(row["record"])["policy"], row["rule"]) for row in refused)
    assert told == [("C", "overlap"), ("D", "dates"), ("E", "plate"), ("F", "plate")]
    kept = {row["policy"]: row for row in raw_portfolio.read(spark, "policies").collect()}
    assert {name: row["exposure"] for name, row in kept.items()} == {
        "A": 90 / 365, "B": 90 / 365, "G": 182 / 366, "H": 182 / 365,
    }  # fmt: skip
    assert kept["A"]["rough"] == 91 / 365.25


@pytest.mark.repeats
@pytest.mark.parametrize(
    "policy, winner, refused",
    [
        ({"conflicts": "reject_all"}, None, {"unique": 3}),
        (
            {"conflicts": "keep_latest", "latest_by": "start"},
            (3.0, "2023-03-01"),
            {"superseded": 2},
        ),
        ({"conflicts": "sum", "sum": ["power"]}, (6.0, None), {"summed": 2}),
    ],
    ids=["reject_all", "keep_latest", "sum"],
)
def test_one_key_with_several_contents(raw_portfolio, spark, policy, winner, refused):
    """P000 comes three times, once more as an exact copy; every row that falls is in rejects."""
    rows = policy_rows(FIRST)
    rows[0][COLUMN["power"]], rows[0][COLUMN["start"]] = "1", "2023-01-01"
    for power, start in (("2", "2023-02-01"), ("3", "2023-03-01"), ("3", "2023-03-01")):
        rows.append(list(rows[0]))
        rows[-1][COLUMN["power"]], rows[-1][COLUMN["start"]] = power, start
    raw_portfolio.write("policies", POLICY_HEADER, rows)
    for name, value in policy.items():
        raw_portfolio.set(f"sources.policies.{name}", value)
    told = cleaned(raw_portfolio, spark)
    found = raw_portfolio.policies.get("P000")
    if winner is None:
        assert found is None
    else:
        assert found["power"] == winner[0]
        assert winner[1] is None or str(found["start"]) == winner[1]
    assert {name.split(":")[0]: n for name, n in told["rules"].items()} == refused
    assert told["duplicates"] == 1
    assert told["rows_in"] == told["rows_out"] + told["duplicates"] + told["rejected"] == 123


def test_two_contents_of_the_same_latest_day_are_both_refused(raw_portfolio, spark):
    rows = policy_rows(FIRST)
    rows.append(list(rows[0]))
    rows[-1][COLUMN["power"]] = "77"
    raw_portfolio.write("policies", POLICY_HEADER, rows)
    raw_portfolio.set("sources.policies.conflicts", "keep_latest")
    raw_portfolio.set("sources.policies.latest_by", "start")
    told = cleaned(raw_portfolio, spark)
    assert told["rules"] == {"unique:policy_id": 2} and "P000" not in raw_portfolio.policies


def test_amounts_reconcile_to_the_cent(raw_portfolio, spark):
    """A recovery, a zero, a convention amount, a foreign currency, a large loss, a stray day."""
    claims = [[*row, "EUR"] for row in claim_rows(FIRST)]
    for n, amount in {0: "-120.10", 1: "0", 2: "1236", 3: "9000.55"}.items():
        claims[n][3] = amount
    claims[4][3:] = ["100", "CHF"]
    claims[5][4] = "XXX"
    claims[6][2] = "2022-12-31"
    claims.append(list(claims[7]))
    raw_portfolio.write("claims", [*CLAIM_HEADER, "currency"], claims)
    raw_portfolio.set("sources.claims.columns.currency", {"type": "string"})
    raw_portfolio.set("sources.claims.columns.amount", {"type": "double", "required": True})
    raw_portfolio.set("sources.claims.amounts", {"amount": {
        "negative": "zero", "convention": [1236], "cap": 5000, "currency": "currency",
        "rates": {"EUR": 1.0, "CHF": 1.05}}})  # fmt: skip
    raw_portfolio.set("sources.claims.period", {
        "date": "day", "from": "make_date(year(start), 1, 1)",
        "to": "make_date(year(start), 12, 31)"})  # fmt: skip
    cleaned(raw_portfolio, spark)
    told = raw_portfolio.line["details"]["claims"]
    assert told["rules"] == {"period:day": 1, "currency:currency": 1}
    assert told["repaired"] == {"negative:amount": 1}
    assert told["warned"] == {"zero:amount": 1, "convention:amount": 1}
    kept = {row["claim_id"]: row for row in raw_portfolio.read(spark, "claims").collect()}
    assert (kept["K003"]["amount"], kept["K003"]["amount_excess"]) == (5000.0, 4000.55)
    assert kept["K004"]["amount"] == 105.0 and kept["K000"]["amount"] == 0.0
    cents = {kind: round(float(value) * 100) for kind, value in told["amounts"]["amount"].items()}
    value = [100 * float(row[3]) * (1.05 if row[4] == "CHF" else 1) for row in claims]
    value[5] = 0  # an unknown currency has no value
    assert cents["in"] == round(sum(value))
    assert cents["duplicates"] == round(value[7]) and cents["rejected"] == round(value[6])
    assert cents["changed"] == -12010
    assert cents["out"] == round(100 * sum(row["amount"] for row in kept.values()))
    assert cents["excess"] == round(100 * sum(row["amount_excess"] for row in kept.values()))
    assert cents["in"] == sum(cents.values()) - cents["in"]
