"""A search in train: trials on folds of the training part, in the ledger, the best one refitted."""

import json

import numpy as np
import pytest
from portfolio import FIRST
from pyspark.sql import functions as F

from kyros_spark.config import ModelSettings
from kyros_spark.fitting.metrics import deviances
from kyros_spark.stages.train.search import _judging


@pytest.mark.slow
def test_every_trial_is_in_the_ledger_and_the_best_parameters_are_registered(portfolio, spark):
    asked = {
        "trials": 2, "folds": 2, "by": ["client_id"], "seed": 3, "explosion": 5,
        "space": {"eta": {"values": [0.05]}, "rounds": {"low": 3, "high": 6}},
    }  # fmt: skip
    portfolio.set("train.models.boosted.search", asked)
    commits = len(list((portfolio.base / "runs" / "_delta_log").glob("*.json")))
    portfolio.must("train --run-id looking")
    rows = portfolio.read(spark, "runs").where("run_id = 'looking'").collect()
    trials = {row["batch_id"]: row for row in rows if row["stage"] == "trial"}
    assert set(trials) == {"boosted.1", "boosted.2"}
    # One commit holds the trials, one the train stage itself.
    assert len(list((portfolio.base / "runs" / "_delta_log").glob("*.json"))) == commits + 2
    told = [json.loads(trials[f"boosted.{number}"]["details"]) for number in (1, 2)]
    assert told[0]["parameters"] == {"eta": 0.3, "rounds": 12}
    assert told[1]["parameters"]["eta"] == 0.05 and 3 <= told[1]["parameters"]["rounds"] <= 6
    for one in told:
        assert len(one["fold_deviances"]) == len(one["fold_null_deviances"]) == 2
        assert one["deviance"] == sum(one["fold_deviances"]) / 2
    assert told[0]["fold_null_deviances"] == told[1]["fold_null_deviances"]
    assert told[0]["deviance"] != told[1]["deviance"]
    best = min(told, key=lambda one: one["deviance"])
    models = portfolio.read(spark, "models").where("model_name = 'boosted' AND model_version = 2")
    settings = json.loads(models.first()["settings"])
    assert {name: settings["boosting"][name] for name in ("eta", "rounds")} == best["parameters"]
    assert portfolio.must("train")["status"] == "skipped"
    assert portfolio.read(spark, "prepared", FIRST).where(F.col("split") == "test").count() > 0


@pytest.mark.parametrize(
    ("own", "measure"),
    [({"family": "tweedie", "tweedie_power": "profile"}, ("tweedie", 1.5)),
     ({"family": "tweedie", "tweedie_power": 1.7}, ("tweedie", 1.7)),
     ({"family": "negative_binomial"}, ("poisson", 1.5)),
     ({"family": "negative_binomial", "theta": 2.0}, ("negative_binomial", 1.5))],
)  # fmt: skip
def test_trials_of_a_profiled_parameter_are_judged_by_one_measure(own, measure):
    settings = ModelSettings(method="glm", target="claim_amount", per="exposure", **own)
    judging = _judging(settings)
    assert (judging.family, judging.tweedie_power) == measure
    label = np.array([0.0, 2.0])
    assert np.isfinite(deviances(label, np.array([1.0, 1.0]), judging)).all()
