"""What is kept beside the tables says what the tables say, or is not believed."""

import json
import shutil

import pytest
from portfolio import FIRST, SECOND
from pyspark.sql import functions as F

from kyros_spark.config import load_config
from kyros_spark.delta import log as delta_log
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.registry import Registry
from kyros_spark.runs.ledger import Ledger
from kyros_spark.runs.run import Run

STEPS = [(stage, batch) for stage in ("clean", "prepare", "predict") for batch in (FIRST, SECOND)]
STEPS.append(("train", FIRST))


@pytest.fixture
def tables(portfolio, spark):
    return DeltaTables(spark, load_config(str(portfolio.config_file())).tables)


def ledger_of(tables):
    """Return the ledger as a process sees it that has just begun."""
    return Ledger(DeltaTables(tables.spark, tables._settings), "tiny")


def told(tables):
    ledger = ledger_of(tables)
    return {step: ledger.last_run(*step) for step in STEPS}


def asked(tables):
    """Return the same, of the table itself."""
    shutil.rmtree(f"{tables.location('_kyros_kept')}", ignore_errors=True)
    return told(tables)


def in_moments(done):
    return {step: {**one.to_json(), "started_at": one.started_at.timestamp()}
            for step, one in done.items()}  # fmt: skip


def last_job(spark):
    return max(spark.sparkContext.statusTracker().getJobIdsForGroup(None), default=-1)


def test_what_is_kept_is_what_the_table_says_and_takes_no_query(portfolio, tables, spark):
    portfolio.set("prepare.claims.cap", 4000)
    assert portfolio.must(f"prepare --batch {FIRST}")["status"] == "done"
    before = last_job(spark)
    found = told(tables)
    assert last_job(spark) == before
    assert in_moments(found) == in_moments(asked(tables))
    assert last_job(spark) > before
    assert all(found.values())


def test_models_that_are_kept_are_those_of_the_registry(portfolio, tables, spark):
    registry = Registry(tables, str(portfolio.base / "artefacts"))
    first = registry.entries()
    before = last_job(spark)
    assert registry.entries() == first and len(first) == 5
    assert last_job(spark) == before
    row = portfolio.read(spark, "models").where("model_name = 'severity'").first()
    kept = next(one for one in first if one.name == "severity")
    assert (kept.metrics, kept.sha256, kept.status) == (row.metrics, row.sha256, row.status)
    assert kept.trained_at.timestamp() == row.trained_at.timestamp()


@pytest.mark.repeats
@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"at": null, "answer": {}}'])
def test_a_damaged_file_is_asked_anew(portfolio, tables, text):
    portfolio.must(f"clean --batch {FIRST}")
    kept = portfolio.base / "_kyros_kept" / "runs.json"
    good = told(tables)
    (kept.parent / f".{kept.name}.crc").unlink()
    kept.write_text(text)
    assert in_moments(told(tables)) == in_moments(good)
    assert portfolio.must(f"clean --batch {FIRST}")["status"] == "skipped"


def test_a_run_that_another_driver_recorded_meanwhile_is_known(portfolio, tables):
    ours = ledger_of(tables)
    last = ours.last_run("prepare", FIRST)
    portfolio.set("prepare.claims.cap", 4000)
    theirs = portfolio.must(f"prepare --batch {FIRST}")["run_id"]
    assert ours.last_run("prepare", FIRST) == last  # it asked before
    ours.record(Run("clean", SECOND, "ours", status="skipped", ended=1.0))
    assert told(tables)["prepare", FIRST].run_id == theirs != last.run_id
    assert portfolio.must(f"prepare --batch {FIRST}")["status"] == "skipped"


def test_a_ledger_put_back_from_a_copy_is_not_told_from_what_came_after_it(
    portfolio, tables, spark
):
    runs, copy = portfolio.base / "runs", portfolio.folder / "copy"
    shutil.copytree(runs, copy)
    before = told(tables)["prepare", FIRST]
    portfolio.set("prepare.claims.cap", 4000)
    after = portfolio.must(f"prepare --batch {FIRST}")
    kept = json.loads((portfolio.base / "_kyros_kept" / "runs.json").read_text())["at"]
    shutil.rmtree(runs)
    shutil.copytree(copy, runs)
    delta_log.forget(spark, str(runs))
    row = portfolio.read(spark, "runs").where("status = 'skipped' OR stage = 'clean'").limit(1)
    row = row.withColumn("status", F.lit("skipped"))
    row.write.format("delta").mode("append").save(str(runs))
    assert delta_log.version(spark, str(runs)) == kept["version"]
    assert told(tables)["prepare", FIRST].run_id == before.run_id != after["run_id"]


def test_nothing_depends_on_keeping(portfolio):
    shutil.rmtree(portfolio.base / "_kyros_kept", ignore_errors=True)
    (portfolio.base / "_kyros_kept").write_text("in the way")
    assert portfolio.must(f"clean --batch {FIRST}")["status"] == "skipped"
    assert {one["state"] for one in portfolio.must("status")["standings"]} == {"current"}
