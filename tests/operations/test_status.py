"""status tells what a run would do, and a run does just that; maintain loses nothing."""

import json
import os
import time
from datetime import datetime
from pathlib import Path

import pytest
from portfolio import FIRST, POLICIES, SECOND

from kyros_spark.operations.status import Standing, lines
from kyros_spark.runs import heartbeat
from kyros_spark.stages.clean import stage as clean_stage

STEPS = [
    ("clean", FIRST), ("prepare", FIRST), ("clean", SECOND), ("prepare", SECOND),
    ("train", FIRST), ("predict", FIRST), ("predict", SECOND),
    ("monitor", FIRST), ("monitor", SECOND),
]  # fmt: skip


def told(portfolio):
    line = portfolio.must("status")
    return {
        (one["stage"], one["batch"]): (one["state"], one["because"]) for one in line["standings"]
    }


def ran(portfolio):
    line = portfolio.kyros(f"run --batch {FIRST} --batch {SECOND}").line
    return {(s["stage"], s["batch"]): s["status"] for s in line["steps"]}


def test_unchanged_all_is_current_and_asking_leaves_no_trace(portfolio, spark):
    before = portfolio.read(spark, "runs").count()
    assert told(portfolio) == dict.fromkeys(STEPS, ("current", []))
    assert portfolio.read(spark, "runs").count() == before


@pytest.mark.slow
def test_a_changed_setting_is_told_with_all_that_rests_on_it_and_run_does_just_that(portfolio):
    portfolio.set("predict.unseen_warning_share", 0.5)
    portfolio.set("train.models.boosted.boosting.rounds", 11)
    found = told(portfolio)
    stale = {step for step, (state, _) in found.items() if state == "stale"}
    assert stale == {("train", FIRST)} | {
        (stage, batch) for stage in ("predict", "monitor") for batch in (FIRST, SECOND)
    }
    assert found["train", FIRST] == ("stale", ["settings"])
    assert {step for step, status in ran(portfolio).items() if status == "done"} == stale
    assert {state for state, _ in told(portfolio).values()} == {"current"}


def test_a_corrected_extract_makes_its_own_batch_stale_and_what_was_trained_on_it(portfolio):
    portfolio.spoil_cells("age", {3: "33"}, batch=SECOND)
    found = told(portfolio)
    state, because = found["clean", SECOND]
    assert state == "stale" and because[0] == "input policies"
    assert found["prepare", SECOND] == ("stale", [f"clean {SECOND} is stale"])
    assert found["predict", SECOND][0] == "stale"
    assert f"prepare {SECOND} is stale" in found["predict", SECOND][1]


def test_a_step_at_work_is_told_and_a_killed_one_is_not(portfolio, spark, monkeypatch):
    monkeypatch.setattr(heartbeat, "EVERY", 0.3)
    portfolio.spoil_cells("age", {3: "33"}, batch=SECOND)
    seen = []
    judged_source = clean_stage.judged_source

    def asks(*given):
        seen.append(told(portfolio)["clean", SECOND])
        return judged_source(*given)

    with monkeypatch.context() as asking:
        asking.setattr(clean_stage, "judged_source", asks)
        line = portfolio.must(f"clean --batch {SECOND}")
    state, (because,) = seen[0]
    assert state == "running" and because.startswith(f"run {line['run_id']} on ")
    assert told(portfolio)["clean", SECOND] == ("current", [])
    left = {"stage": "clean", "batch": SECOND, "run_id": "killed"}
    (portfolio.base / heartbeat.FOLDER / "killed.json").write_text(json.dumps(left))
    assert told(portfolio)["clean", SECOND] == ("current", [])


def test_what_failed_last_is_told_with_its_error(portfolio):
    portfolio.spoil(lambda text: text.replace("policy,client", "policy,customer", 1), batch=SECOND)
    failed = portfolio.kyros(f"clean --batch {SECOND}")
    assert failed.code == 3
    state, because = told(portfolio)["clean", SECOND]
    assert state == "failed" and because[0] == failed.message


def test_plan_tells_steps_rows_and_micro_batches_time_and_cost_from_past_runs(portfolio, spark):
    portfolio.set("plan", {"price_per_hour": 36.0, "currency": "EUR"})
    portfolio.set("predict.rows_per_micro_batch", 50)
    portfolio.set("predict.unseen_warning_share", 0.5)
    line = portfolio.must("plan")
    assert [(s["stage"], s["batch"]) for s in line["steps"]] == STEPS[-4:]
    past = portfolio.read(spark, "runs").where("stage = 'predict' AND status = 'done'").collect()
    speed = sorted(row["rows_in"] / row["seconds"] for row in past)[len(past) // 2]
    for step in line["steps"][:2]:
        assert (step["rows"], step["micro_batches"]) == (POLICIES, 3)
        assert step["seconds"] == pytest.approx(POLICIES / speed, abs=0.06)
        assert step["cost"] == pytest.approx(step["seconds"] / 100, abs=1e-4)
    assert line["machine"]["memory_mib"] > 1000
    assert line["bounds"]["rows a micro-batch"] == 50
    assert "EUR" in portfolio.kyros("plan").lines[-2]


def test_before_the_first_run_all_is_missing(raw_portfolio):
    outcome = raw_portfolio.kyros("status")
    assert outcome.code == 0 and outcome.line["counts"] == {"missing": len(STEPS)}
    assert outcome.lines[0].split() == ["clean", FIRST, "missing", "never", "done"]
    planned = raw_portfolio.must("plan")
    assert [step["seconds"] for step in planned["steps"]] == [None] * len(STEPS)


@pytest.mark.slow
def test_maintain_gathers_the_ledger_and_every_row_stays(portfolio, spark):
    log = portfolio.base / "predictions/staged-0123456789abcdef/_delta_log"
    young = portfolio.base / "predictions/staged-fedcba9876543210/_delta_log"
    of_prepare = portfolio.base / "prepared/staged-0123456789abcdef/_delta_log"
    for folder in (log, young, of_prepare):
        folder.mkdir(parents=True)
    for old in (log, of_prepare):
        os.utime(old, (time.time() - 7 * 86400,) * 2)
    before = {
        name: sorted(map(str, portfolio.read(spark, name).collect()))
        for name in ("runs", "policies", "prepared", "predictions", "rejects")
    }
    files = portfolio.read(spark, "runs").inputFiles()
    line = portfolio.must("maintain")
    assert line["gathered"]["runs"] == len(files) > 1
    assert len(portfolio.read(spark, "runs").inputFiles()) == 1
    for name, rows in before.items():
        assert sorted(map(str, portfolio.read(spark, name).collect())) == rows
    assert not log.exists() and not of_prepare.exists() and young.exists()
    assert line["staged_removed"] == 2
    assert told(portfolio) == dict.fromkeys(STEPS, ("current", []))


@pytest.mark.slow
def test_an_evaluation_of_replaced_predictions_is_stale_and_its_report_says_so(portfolio):
    report = portfolio.must(f"evaluate --batch {FIRST}")["details"]["report"]
    evaluated = ("evaluate", FIRST)
    assert told(portfolio) == dict.fromkeys([*STEPS, evaluated], ("current", []))
    assert "Outdated" not in Path(report).read_text()
    portfolio.set("predict.unseen_warning_share", 0.5)
    assert told(portfolio)[evaluated] == ("stale", [f"predict {FIRST} is stale"])
    replaced = portfolio.must(f"predict --batch {FIRST}")
    assert told(portfolio)[evaluated][0] == "stale"
    head = Path(report).read_text().partition("<h1>")[0]
    assert f"by run {replaced['run_id']}" in head
    assert head.index("Outdated") > head.index("<body>")
    portfolio.must(f"evaluate --batch {FIRST}")
    assert told(portfolio)[evaluated] == ("current", [])
    assert "Outdated" not in Path(report).read_text()


def test_an_ad_hoc_failure_is_not_the_batch_s(portfolio):
    portfolio.set("predict.unseen_warning_share", 0.5)
    assert portfolio.kyros(f"predict --batch {SECOND} --model unheard_of").code == 2
    assert told(portfolio)["predict", SECOND] == ("stale", ["settings"])


def test_a_step_is_done_when_it_ended(portfolio, spark):
    done_at = {
        (s["stage"], s["batch"]): s["done_at"] for s in portfolio.must("status")["standings"]
    }
    runs = portfolio.read(spark, "runs").where("status = 'done'").collect()
    for run in runs:
        ended = run["started_at"].timestamp() + run["seconds"]
        step = (run["stage"], run["batch_id"])
        assert datetime.fromisoformat(done_at[step]).timestamp() == pytest.approx(ended, abs=0.01)


def test_a_long_reason_leaves_the_line_readable_and_stays_whole_in_the_result():
    reason = "expected " + "many columns, " * 40
    standing = Standing("clean", FIRST, "failed", (reason,))
    (line,) = lines([standing])
    assert len(line) < 200 and line.endswith("...")
    assert standing.to_json()["because"] == (reason,)
