"""Exact copies are counted with what goes with them; without a key, rows are numbered and stay."""

import json

import pytest
from portfolio import FIRST, POLICY_HEADER, policy_rows

from kyros_spark.config import SourceSettings
from kyros_spark.stages.clean.extract import read_raw

LOCAL_ROWS = pytest.mark.parametrize("local_rows", [0, 1000], ids=["executors", "driver"])
COPIES = 150  # of the first policy, which has an exposure of 1.0 and a bonus of 0.5


def keyless(portfolio):
    """Take the policies' key and the claims away; the bonus becomes a target."""
    portfolio.set("sources.policies.key", [])
    portfolio.set("sources.claims", None)
    portfolio.set("prepare.claims", None)
    portfolio.set("prepare.targets", {"loss": "bonus"})
    portfolio.set("prepare.features.log_bonus", None)
    portfolio.set("train", None)
    portfolio.set("predict", None)
    return portfolio


@pytest.fixture
def copied(raw_portfolio):
    """The first batch with 150 copies of its first record, behind all others."""
    rows = policy_rows(FIRST)
    raw_portfolio.write("policies", POLICY_HEADER, [*rows, *[rows[0]] * COPIES])
    return raw_portfolio


@LOCAL_ROWS
def test_a_batch_of_copies_is_refused_with_the_exposure_and_amounts_that_went(
    copied, local_rows, tables_as_before
):
    copied.set("spark.local_rows", local_rows)
    copied.set("prepare.targets", {"loss": "bonus"})
    copied.set("prepare.features.log_bonus", None)
    copied.set("train.models.premium.features", ["driver"])
    tables_as_before(copied.base)
    outcome = copied.kyros(f"clean --batch {FIRST}")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "TooManyDuplicatesError")
    assert "policies, batch 2023: expected at most 50.00% of rows" in outcome.message
    assert "found 150 of 270 (55.56%) with exposure 150.00, loss 75.00" in outcome.message
    assert "clean.max_duplicate_share" in outcome.message
    took = outcome.line["details"]["policies"]["duplicates_took"]
    assert took == {"exposure": 150.0, "loss": 75.0}


@pytest.mark.slow
def test_fewer_copies_are_told_and_run_counts_them(copied):
    line = copied.must(f"run --stages clean --batch {FIRST} --set clean.max_duplicate_share=0.6")
    assert (line["rows_in"], line["rows_duplicate"], line["rows_rejected"]) == (322, 150, 0)
    again = copied.must(f"clean --batch {FIRST} --set clean.max_duplicate_share=0.7")
    assert again["details"]["policies"]["duplicates_took"] == {"exposure": 150.0}
    assert "duplicates_took" not in again["details"]["claims"]


@pytest.mark.repeats
@LOCAL_ROWS
def test_without_a_key_rows_are_numbered_and_copies_stay(copied, spark, local_rows):
    keyless(copied).set("spark.local_rows", local_rows)
    line = copied.must(f"clean --batch {FIRST}")
    assert (line["rows_in"], line["rows_out"], line["rows_duplicate"]) == (270, 270, 0)
    assert line["details"]["policies"]["warned"]["copy:(record)"] == COPIES
    rows = copied.read(spark, "policies", FIRST).orderBy("row_number").collect()
    assert [row["row_number"] for row in rows] == list(range(1, 271))
    keys = [source[0] for source in policy_rows(FIRST)] + ["P000"] * COPIES
    assert [row["policy_id"] for row in rows] == keys


@pytest.mark.repeats
@LOCAL_ROWS
def test_copies_without_a_key_go_where_the_settings_say_so_and_the_first_stays(
    copied, spark, local_rows
):
    keyless(copied).set("sources.policies.duplicates", "remove")
    copied.set("clean.max_duplicate_share", 0.6)
    copied.set("spark.local_rows", local_rows)
    line = copied.must(f"clean --batch {FIRST}")
    assert (line["rows_out"], line["rows_duplicate"]) == (120, COPIES)
    rows = copied.read(spark, "policies", FIRST).collect()
    assert sorted(row["row_number"] for row in rows) == list(range(1, 121))


def test_a_refused_record_says_which_row_it_was(copied, spark):
    keyless(copied).spoil_cells("age", {7: "12"})
    copied.must(f"clean --batch {FIRST}")
    record = copied.read(spark, "rejects", FIRST).first()["record"]
    assert json.loads(record)["row_number"] == 8


@pytest.mark.repeats
@pytest.mark.parametrize("format_", ["csv", "json", "parquet", "delta"])
def test_a_rows_number_does_not_depend_on_how_many_tasks_read_the_files(spark, tmp_path, format_):
    path = str(tmp_path / "source")
    frame = spark.range(0, 3000, 1, 3).selectExpr("CAST(id AS STRING) AS n", "repeat('x', 40) AS x")
    frame.write.format(format_).option("header", "true").save(path)
    columns = {"n": {"type": "string"}, "x": {"type": "string"}}
    source = SourceSettings(format=format_, path=path, columns=columns)
    setting, numbers = "spark.sql.files.maxPartitionBytes", {}
    before = spark.conf.get(setting)
    try:
        for size in ("1k", "7k", "128m"):
            spark.conf.set(setting, size)
            rows = read_raw(spark, "policies", source, "1")
            tasks = rows.rdd.getNumPartitions()
            numbers[tasks] = {row["n"]: row["row_number"] for row in rows.collect()}
    finally:
        spark.conf.set(setting, before)
    assert len(numbers) > 1, "the files were read by as many tasks each time"
    first, *others = numbers.values()
    assert all(other == first for other in others)
    assert sorted(first.values()) == list(range(1, 3001))
    if format_ != "delta":  # its files' names are in no order
        assert first == {str(n): n + 1 for n in range(3000)}
