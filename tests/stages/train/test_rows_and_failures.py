"""train says which rows it leaves out, and one model's failure loses no other of the run."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from portfolio import FIRST, SECOND

from kyros_spark.aggregates.rows import DriverRows
from kyros_spark.config import ModelSettings, TrainSettings
from kyros_spark.errors import FitError, GateError, SparkLostError, TrainingDataError
from kyros_spark.registry import Registered
from kyros_spark.runs.run import Run
from kyros_spark.stages.train import fit
from kyros_spark.stages.train.candidates import Candidate
from kyros_spark.stages.train.failures import attempt, check, check_parts
from kyros_spark.stages.train.fit import check_rows

FREQUENCY = {"method": "glm", "family": "poisson", "target": "claim_count", "per": "exposure"}
MODEL = ModelSettings(**FREQUENCY)


def candidate(name="frequency", settings=MODEL):
    return Candidate(name, settings, "", {})


def context(**limits):
    """Return a context of ten rows, two of them without a target."""
    counts = pa.array([1.0, None, None, 0.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0])
    rows = DriverRows(
        pa.table({"split": ["train"] * 10, "exposure": np.ones(10), "claim_count": counts})
    )
    settings = TrainSettings(batches=(FIRST,), models={"frequency": MODEL}, **limits)
    run = Run("train", FIRST, "r")
    return SimpleNamespace(run=run, settings=settings, rows=SimpleNamespace(of=lambda _: rows))


@pytest.mark.parametrize(("share", "count"), [(0.19, 1), (0.2, 0)])
def test_rows_without_a_target_are_warned_of_above_a_share(monkeypatch, share, count):
    warnings, frequency = [], candidate()
    monkeypatch.setattr(fit, "event", lambda message, level: warnings.append(message))
    check_rows(context(left_out_warning_share=share), frequency)
    assert frequency.account.details() == {"in": 10, "used": 8, "left_out": {"target_missing": 2}}
    assert warnings == count * [
        "model frequency: 2 of 10 rows left out (claim_count is NULL in 2); are the claims of "
        "these batches known?"
    ]


def test_more_rows_without_a_target_than_the_limit_are_refused():
    check_rows(context(max_left_out_share=0.2), candidate())
    with pytest.raises(TrainingDataError, match=r"2 of 10 rows .* share of 0.1 \(train.max_left"):
        check_rows(context(max_left_out_share=0.1), candidate())


@pytest.mark.parametrize(
    "error", [FitError("it diverged"), ValueError("cannot fit"), KeyError("x")]
)
def test_a_model_s_failure_is_kept_whatever_it_is(error):
    frequency = candidate()
    with attempt(Run("train", FIRST, "r"), frequency):
        raise error
    assert frequency.failure is error


@pytest.mark.parametrize(
    "error", [SparkLostError("gone"), RuntimeError("[SPARK_JOB_CANCELLED] Job 3 cancelled")]
)
def test_what_would_fail_for_every_model_ends_the_run(error):
    frequency = candidate()
    with pytest.raises(type(error)), attempt(Run("train", FIRST, "r"), frequency):
        raise error
    assert frequency.failure is None


def test_the_run_fails_as_its_first_failure_and_names_every_model():
    entry = SimpleNamespace(reference="severity@2", status="champion")
    failed = [candidate(), candidate("boosted"), candidate("severity")]
    failed[0].failure = TrainingDataError("model frequency: expected rows, found none")
    failed[1].failure = KeyError("values")
    with pytest.raises(TrainingDataError) as raised:
        check(failed, Registered(None, [entry], []))
    assert str(raised.value) == (
        "model frequency: expected rows, found none. model boosted: expected a model, found an "
        "unforeseen failure: KeyError: 'values'. The run's other models are registered: "
        "severity@2 (champion)"
    )
    failed[0].failure = None
    with pytest.raises(FitError, match="model boosted: .*KeyError"):
        check(failed, Registered(None, [], []))


def test_a_composite_of_a_model_that_failed_is_refused_by_the_part_s_name():
    whole = ModelSettings(method="composite", parts=("frequency", "severity"))
    models = {"frequency": candidate(), "severity": candidate("severity")}
    check_parts(candidate("premium", whole), models)
    models["severity"].failure = FitError("it diverged")
    with pytest.raises(FitError, match="model premium: .* found that severity failed"):
        check_parts(candidate("premium", whole), models)


def test_no_failure_leaves_the_gate_its_say():
    class Refusing(Registered):
        def check(self):
            raise GateError("model frequency@2 stays candidate")

    check([candidate()], Registered(None, [], []))
    with pytest.raises(GateError, match="stays candidate"):
        check([candidate()], Refusing(None, [], []))


@pytest.mark.repeats
@pytest.mark.parametrize("words", ["", " --set spark.local_rows=0"], ids=["here", "executors"])
def test_half_a_book_without_claims_and_a_target_below_zero_are_told(portfolio, spark, words):
    """The second batch's claims are not known: half of the rows have no target."""
    portfolio.set("train.batches", [FIRST, SECOND])
    portfolio.set("prepare.targets", {"margin": "claim_amount - 300"})
    portfolio.set("train.models.balance", {
        "method": "glm", "family": "tweedie", "target": "margin", "per": "exposure"})  # fmt: skip
    for batch in (FIRST, SECOND):
        portfolio.must(f"prepare --batch {batch}{words}")
    outcome = portfolio.kyros(f"train{words}")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "TrainingDataError")
    assert "model balance: expected" in outcome.message and "margin below zero" in outcome.message
    assert "frequency@2 (champion)" in outcome.message
    details = outcome.line["details"]
    assert outcome.line["rows_in"] == 240 and details["balance"]["how"] == "failed"
    rows = {"in": 240, "used": 120, "left_out": {"target_missing": 120}}
    assert details["frequency"]["rows"] == details["pure_premium"]["rows"] == rows
    assert details["severity"]["rows"]["left_out"]["units_missing"] == 120
    models = portfolio.read(spark, "models").where("model_version = 2").collect()
    metrics = {row["model_name"]: row["metrics"] for row in models}
    assert set(metrics) == {"frequency", "severity", "premium", "boosted", "pure_premium"}
    assert metrics["premium"]["left_out_target_missing"] == 120
    assert metrics["premium"]["tweedie_power"] == metrics["pure_premium"]["tweedie_power"] == 1.5
    path = next(row["path"] for row in models if row["model_name"] == "frequency")
    with open(path.removesuffix(".kyros") + ".json") as card:
        assert json.load(card)["data"]["account"] == rows
    with open(path.removesuffix(".kyros") + ".md") as card:
        assert "rows in: 240, used: 120, left out: target missing 120" in card.read()
