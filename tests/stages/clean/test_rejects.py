"""Rows that break a rule below the limit: each is in `rejects` with its reason, none is lost."""

import json

import pytest
from portfolio import CLAIM_HEADER, FIRST, POLICY_HEADER, Portfolio, claim_rows, policy_rows

# row: {column: text} -> the rule, the column and what the message expects
DIRT = {
    5: ({"age": "3.7"}, "type", "age", "int"),
    6: ({"age": "17"}, "min", "age", "at least 18"),
    7: ({"age": "101"}, "max", "age", "at most 100"),
    8: ({"fuel": ""}, "required", "fuel", "a value"),
    9: ({"area": "moon"}, "allowed", "area", "one of city, country"),
    10: ({"bonus": "NaN"}, "type", "bonus", "double"),
    11: ({"bonus": "Infinity"}, "type", "bonus", "double"),
    12: ({"bonus": "1e999"}, "type", "bonus", "double"),
    13: ({"start": "2023-02-30"}, "type", "start", "date"),
    14: ({"start": "1999-12-31"}, "min", "start", "at least 2000-01-01"),
    15: ({"start": "2023"}, "type", "start", "date"),
    16: ({"age": ""}, "required", "age", "a value"),
    17: ({"power": "strong"}, "type", "power", "double"),
    19: ({"policy": "P018"}, "unique", "policy_id", "one content a key"),
    20: ({"age": "99999999999"}, "type", "age", "int"),
    21: ({"policy": ""}, "required", "policy_id", "a value"),
    22: ({"exposure": "0,5"}, "type", "exposure", "double"),
    23: ({"bonus": "0x1"}, "type", "bonus", "double"),
    24: ({"age": "45d"}, "type", "age", "int"),
}
CONFLICTING = "P018"  # row 18 shares its key with row 19 and is refused with it
SHORT, LONG = 30, 31
CLEAN_AFTER_ALL = {40: ("age", " 44 "), 41: ("power", ""), 42: ("power", "0"), 43: ("area", "")}
COPIES = [50, 50, 51, 6]  # the last is a copy of a refused row: a copy, not a second reject


@pytest.fixture(scope="module")
def dirty(spark, tmp_path_factory):
    portfolio = Portfolio(tmp_path_factory.mktemp("dirty")).write_sources()
    rows = policy_rows(FIRST)
    for n, (changes, *_) in DIRT.items():
        for column, text in changes.items():
            rows[n][POLICY_HEADER.index(column)] = text
    for n, (column, text) in CLEAN_AFTER_ALL.items():
        rows[n][POLICY_HEADER.index(column)] = text
    rows += [list(rows[n]) for n in COPIES]
    bonus = POLICY_HEADER.index("bonus")
    rows[-2][bonus] += "0000000001"  # noise in the last digit must not hide a copy
    rows[SHORT] = rows[SHORT][:-1]
    rows[LONG] = [*rows[LONG], "surplus"]
    claims = claim_rows(FIRST)
    claims.append(["K900", "X999", "2023-01-01", "5.0"])
    claims.append(["K901", "P000", "2023-01-01", "100001"])
    claims.append(list(claims[0]))
    portfolio.write("policies", POLICY_HEADER, rows)
    portfolio.write("claims", CLAIM_HEADER, claims)
    portfolio.set("clean.max_rejected_share", 0.5)
    portfolio.line = portfolio.must(f"clean --batch {FIRST}")
    portfolio.rejects = portfolio.read(spark, "rejects").collect()
    portfolio.policies = {r["policy_id"]: r for r in portfolio.read(spark, "policies").collect()}
    return portfolio


@pytest.mark.parametrize("n", list(DIRT))
def test_a_refused_row_is_kept_with_rule_column_and_record(dirty, n):
    changes, rule, column, expected = DIRT[n]
    original = dict(zip(POLICY_HEADER, policy_rows(FIRST)[n], strict=True)) | changes
    names = {"policy": "policy_id", "client": "client_id"}
    wanted = {names.get(name, name): text for name, text in original.items() if text}
    (found,) = [row for row in dirty.rejects if json.loads(row["record"]) == wanted]
    assert (found["source"], found["rule"], found["column"]) == ("policies", rule, column)
    assert found["expected"] == expected
    text = next(iter(changes.values()))
    assert found["found"] == (text or "nothing")
    assert (found["batch_id"], found["run_id"]) == (FIRST, dirty.line["run_id"])


def test_both_rows_of_a_conflicting_key_are_refused(dirty):
    both = [row for row in dirty.rejects if row["rule"] == "unique"]
    assert [json.loads(row["record"])["policy_id"] for row in both] == [CONFLICTING] * 2
    assert CONFLICTING not in dirty.policies


def test_short_and_long_records_are_refused_with_their_text(dirty):
    found = {row["found"]: row for row in dirty.rejects if row["rule"] == "malformed"}
    rows = policy_rows(FIRST)
    assert set(found) == {",".join(rows[SHORT][:-1]), ",".join([*rows[LONG], "surplus"])}
    assert {row["expected"] for row in found.values()} == {"9 fields, well formed"}


def test_a_missing_value_is_missing_and_a_padded_number_is_a_number(dirty):
    assert dirty.policies["P040"]["age"] == 44
    assert dirty.policies["P041"]["power"] is None
    assert dirty.policies["P042"]["power"] is None
    assert dirty.policies["P043"]["area"] is None


def test_copies_are_removed_and_counted_even_with_noise_in_the_last_digit(dirty):
    assert dirty.line["details"]["policies"]["duplicates"] == len(COPIES)
    assert {"P050", "P051"} <= set(dirty.policies)
    assert (
        sum('"P006"' in row["record"] for row in dirty.rejects if row["source"] == "policies") == 1
    )


def test_rows_in_are_rows_out_and_duplicates_and_rejects(dirty, spark):
    line = dirty.line
    assert line["rows_in"] == 120 + len(COPIES) + 52 + 3
    assert line["rows_in"] == line["rows_out"] + line["rows_duplicate"] + line["rows_rejected"]
    for source, told in line["details"].items():
        assert told["rows_in"] == told["rows_out"] + told["duplicates"] + told["rejected"]
        assert told["rejected"] == sum(told["rules"].values())
        assert dirty.read(spark, source).count() == told["rows_out"]
        assert sum(row["source"] == source for row in dirty.rejects) == told["rejected"]
    assert line["details"]["policies"]["rejected"] == len(DIRT) + 1 + 2


def test_claims_of_a_refused_or_unknown_policy_are_refused(dirty, spark):
    claims = [row for row in dirty.rejects if row["source"] == "claims"]
    orphans = {
        json.loads(row["record"])["policy_id"] for row in claims if row["rule"] == "reference"
    }
    refused = {f"P{n:03d}" for n in (*DIRT, 18, SHORT, LONG)}
    claimants = {row[1] for row in claim_rows(FIRST)}
    assert orphans == {"X999"} | (claimants & refused)
    assert [r["found"] for r in claims if r["rule"] == "max"] == ["100001"]
    assert dirty.line["details"]["claims"]["duplicates"] == 1
    known = {row["policy_id"] for row in dirty.read(spark, "claims").collect()}
    assert known <= set(dirty.policies)


def test_every_broken_rule_is_told_not_only_the_first(dirty):
    """Row 8 lost its fuel only; the short record lost its exposure, which is not required."""
    assert all(len(row["reasons"]) >= 1 for row in dirty.rejects)
    assert all(row["reasons"][0]["rule"] == row["rule"] for row in dirty.rejects)
    long = next(row for row in dirty.rejects if row["found"].endswith("surplus"))
    assert [reason["rule"] for reason in long["reasons"]] == ["malformed"]
