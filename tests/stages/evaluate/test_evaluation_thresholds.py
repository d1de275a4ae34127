"""A model that is off is told by evaluate, fails it where the settings say so, and what is kept."""

import json
from types import SimpleNamespace

import pytest
from portfolio import CLAIM_HEADER, FIRST, SECOND, claim_rows

from kyros_spark.errors import FitError, ThresholdError
from kyros_spark.stages.pipeline import PipelineRun, Step

CHAIN = f"run --batch {SECOND} --batch {FIRST} --stages clean,prepare,predict,evaluate"


def with_twice_the_claims(portfolio):
    """Give the second batch each claim of the first one twice: the same policies, the same model."""
    portfolio.own_sources()
    twice = [
        [f"{claim}{copy}", *rest] for claim, *rest in claim_rows(SECOND) for copy in ("a", "b")
    ]
    portfolio.write("claims", CLAIM_HEADER, twice, SECOND)
    portfolio.set("sources.claims.batches", [FIRST, SECOND])
    portfolio.set("predict", {"models": ["frequency"]})
    thresholds = {"models": {"frequenzy": {"gini": {"min": 0}}}}
    portfolio.set("evaluate", {"models": ["frequency"], "report": False, "thresholds": thresholds})
    return portfolio


@pytest.mark.slow
def test_a_model_that_is_off_is_told_kept_and_refused_until_somebody_acts(portfolio, spark, caplog):
    with_twice_the_claims(portfolio)
    line = portfolio.must(CHAIN)
    (breach,) = line["breaches"]
    policies = portfolio.read(spark, "prepared", SECOND).toPandas()
    predictions = portfolio.read(spark, "predictions", SECOND)
    predicted = predictions.where("model_name = 'frequency'").toPandas()
    ratio = policies.claim_count.sum() / predicted.expected.sum()
    assert ratio > 1.5 and breach["value"] == pytest.approx(ratio, abs=1e-6)
    assert (breach["batch"], breach["model"], breach["part"], breach["measure"], breach["max"]) == (
        SECOND, "frequency@1", "all", "actual_expected", 1.05)  # fmt: skip
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert any("frequency@1, part all, actual_expected: expected at most 1.05" in w for w in said)
    assert any("thresholds.models: frequenzy did not predict" in warning for warning in said)

    # Asked to fail: the batch that is off fails the chain, and the other one is judged all the same.
    portfolio.set("evaluate.fail_on_threshold", True)
    for _ in range(2):  # a second run skips what is done, judges again, and is refused again
        outcome = portfolio.kyros(CHAIN)
        assert (outcome.code, outcome.line["error"]["type"]) == (4, "ThresholdError")
        assert outcome.line["stopped_at"] == {"stage": "evaluate", "batch": SECOND}
        assert outcome.line["breaches"] == line["breaches"]
        steps = {(s["stage"], s["batch"]): s["status"] for s in outcome.line["steps"]}
        assert {state for (stage, _), state in steps.items() if stage != "evaluate"} == {"skipped"}
        assert steps["evaluate", SECOND] == "failed"
    assert steps["evaluate", FIRST] == "skipped"
    alone = portfolio.kyros(f"evaluate --batch {SECOND}")
    assert (alone.code, alone.status) == (4, "failed")
    assert "actual_expected: expected at most 1.05" in alone.message

    # What was found is there to be looked at, with the run that found it.
    kept = portfolio.read(spark, "evaluation_metrics", SECOND).where("part = 'all'").first()
    assert kept["run_id"] == alone.line["run_id"]
    assert kept["actual_expected"] == pytest.approx(ratio)
    run = portfolio.read(spark, "runs").where(f"run_id = '{kept['run_id']}'").first()
    assert (run["status"], run["error_type"]) == ("failed", "ThresholdError")
    assert set(run["outputs"]) == {"evaluation_metrics", "evaluation_factors", "evaluation_lift"}
    assert json.loads(run["details"])["breaches"] == [
        {name: value for name, value in breach.items() if name != "batch"}
    ]

    # A wider band is another setting, so that the same command judges again and goes through.
    portfolio.set("evaluate.thresholds.actual_expected", {"max": 3})
    assert portfolio.must(CHAIN)["breaches"] == []
    assert portfolio.must(CHAIN)["status"] == "skipped"


def refusal(batch):
    error = ThresholdError(batch)
    error.kyros_run = SimpleNamespace(batch=batch)
    return error


def test_the_first_refusal_is_the_chain_s_error_unless_something_breaks():
    pipeline = PipelineRun()
    for batch in ("2023", "2024"):
        pipeline.fail(Step("evaluate", batch, None), refusal(batch))
    assert pipeline.stopped_at == ("evaluate", "2023") and str(pipeline.error) == "2023"
    assert [run.batch for run in pipeline.runs] == ["2023", "2024"]
    pipeline.fail(Step("evaluate", "2025", None), FitError("broken"))
    assert pipeline.stopped_at == ("evaluate", "2025") and str(pipeline.error) == "broken"
