"""A search in train: trials on folds of the training part, in the ledger, the best one refitted."""

import json

import pandas as pd
from portfolio import FIRST
from pyspark.sql import functions as F

from kyros_spark.transforms.folds import FOLD, with_fold, with_fold_held_out


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


def test_a_client_stays_in_one_fold_and_each_row_is_held_out_once(spark):
    table = pd.DataFrame({"client": [f"C{n // 3}" for n in range(900)], "n": range(900)})
    rows = with_fold(spark.createDataFrame(table).repartition(3), ["client"], 4)
    found = rows.toPandas()
    assert found.groupby("client")[FOLD].nunique().max() == 1
    assert found.groupby(FOLD).size().min() > 150 and found[FOLD].nunique() == 4
    held = with_fold_held_out(rows, 2).toPandas()
    assert ((held["split"] == "valid") == (held[FOLD] == 2)).all()
