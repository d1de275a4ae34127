"""Boosting keeps its shape, and gives one model for one set of rows, however they lie."""

import hashlib
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost
from portfolio import FIRST
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from kyros_spark.aggregates.rows import collected
from kyros_spark.config import ModelSettings, load_config
from kyros_spark.errors import ConfigError, FitError, TrainingDataError, WorkerLostError
from kyros_spark.fitting import spark_boosting
from kyros_spark.fitting.boosting import fit_boosting
from kyros_spark.fitting.calibrate import calibrate
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
from kyros_spark.fitting.train_model import train_model
from kyros_spark.model.artefact import Model, model_hash, model_to_bytes, read_model
from kyros_spark.model.importers.xgboost import trees_from_xgboost
from kyros_spark.model.manifest import Feature, Manifest, Source
from kyros_spark.scoring.scorer import Scorer

ROWS = 3000
LEVELS = tuple("abcdefgh")
FEATURES = (
    Feature(name="place", kind="levels", levels=LEVELS),
    Feature(name="age"),
    Feature(name="power"),
)
SHAPE = {
    "monotone": {"age": 1},
    "categorical": True,
    "interactions": [["place", "age"], ["power"]],
}


def settings(**boosting):
    told = {"rounds": 15, "max_depth": 4, "eta": 0.3, "early_stopping": 0, "subsample": 0.8}
    return ModelSettings.model_validate(
        {
            "method": "boosting", "family": "poisson", "target": "claim_count", "per": "exposure",
            "boosting": {**told, "min_child_weight": 1, **boosting},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows(spark):
    """Claims that rise with age but for a dip, differ by place in no order, and repeat often."""
    rng = np.random.default_rng(2)
    place, age = rng.integers(0, 8, ROWS), rng.integers(18, 80, ROWS).astype(float)
    power = np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(100, 30, ROWS))
    exposure = rng.uniform(0.1, 1, ROWS)
    dip = 0.8 * ((age > 40) & (age < 50))
    mean = np.exp(0.02 * age - dip + 0.7 * np.isin(place, (1, 4, 6)) + 0.3 * (power > 120) - 1)
    table = pd.DataFrame(
        {
            "place": np.array(LEVELS)[place], "age": age, "power": power,
            LABEL: rng.poisson(mean * exposure).astype(float), WEIGHT: 1.0,
            OFFSET: np.log(exposure), "split": np.where(rng.random(ROWS) < 0.2, "valid", "train"),
        }
    )  # fmt: skip
    table["power"] = table["power"].astype(object).where(table["power"].notna(), None)
    return spark.createDataFrame(table.astype({"power": "float64"})).cache()


def imported(fit, **manifest):
    found = trees_from_xgboost(fit.booster, fit.rounds)
    facts = {
        "name": "m", "kind": "trees", "source": Source(library="xgboost", version=found.version),
        "family": "poisson", "link": "log", "target": "claim_count", "intercept": fit.start,
        "features": FEATURES, "category_rule": "floor",
    }  # fmt: skip
    return Model(Manifest(**(facts | manifest)), found.trees.as_dict())


@pytest.fixture(scope="module")
def plain(rows):
    return fit_boosting(rows.coalesce(1), FEATURES, settings())


@pytest.fixture(scope="module")
def shaped(rows):
    return fit_boosting(rows, FEATURES, settings(**SHAPE))


@pytest.mark.slow
def test_rows_in_another_order_and_other_partitions_give_the_same_booster(rows, plain):
    shuffled = rows.orderBy(F.hash("power", "age", F.lit(7))).repartition(3, "age")
    again = fit_boosting(shuffled, FEATURES, settings())
    assert (again.start, again.rounds) == (plain.start, plain.rounds)
    assert hashlib.sha256(again.booster).hexdigest() == hashlib.sha256(plain.booster).hexdigest()


@pytest.mark.slow
def test_the_registered_file_is_what_the_same_rows_give_on_other_partitions(finished, spark):
    row = finished.read(spark, "models").where("model_name = 'boosted'").first()
    stored = read_model(Path(row["path"]).read_bytes())
    config = load_config(str(finished.config_file()))
    asked = config.train.models["boosted"]
    prepared = finished.read(spark, "prepared", FIRST).orderBy("log_bonus").repartition(2, "power")
    told = {k: v for k, v in stored.manifest.training.items() if k not in ("rounds", "importance")}
    model = train_model("boosted", prepared, asked, config.prepare, told)
    model, _ = calibrate("boosted", model, [model], prepared, asked)
    assert model_hash(model_to_bytes(model)) == row["sha256"]


def test_a_probability_is_boosted_the_same_both_ways_and_scored_as_xgboost_does(rows):
    hits = rows.withColumns({LABEL: F.least(LABEL, F.lit(1.0)), OFFSET: F.lit(0.0)})
    asked = settings().model_copy(update={"family": "binomial"})
    there, here = (fit_boosting(r, FEATURES, asked) for r in (hits.coalesce(1), collected(hits)))
    model, twin = (imported(fit, family="binomial", link="logit") for fit in (here, there))
    assert model_to_bytes(model) == model_to_bytes(twin)
    share = hits.where("split = 'train'").agg(F.mean(LABEL)).first()[0]
    assert here.start == pytest.approx(np.log(share / (1 - share)), rel=1e-12)
    table = hits.select("place", "age", "power").toPandas()
    codes = [
        table["place"].map(LEVELS.index).to_numpy(float),
        *table[["age", "power"]].T.to_numpy(),
    ]
    booster = xgboost.Booster(model_file=bytearray(here.booster))
    peers = booster.predict(xgboost.DMatrix(
        np.column_stack(codes), base_margin=np.full(ROWS, here.start),
        feature_names=["x0", "x1", "x2"],
    ))  # fmt: skip
    np.testing.assert_allclose(Scorer(model).response(codes), peers, rtol=2e-6)
    assert 0 < peers.min() < 0.3 < 0.7 < peers.max() < 1


def along_age(fit):
    age = np.arange(18.0, 80.0)
    others = [np.full(age.size, 3.0), np.full(age.size, 90.0)]
    return Scorer(imported(fit)).raw([others[0], age, others[1]])


def test_a_monotone_feature_only_raises_the_score(plain, shaped):
    assert (np.diff(along_age(plain)) < 0).any()
    assert (np.diff(along_age(shaped)) >= 0).all()
    assert along_age(shaped)[-1] > along_age(shaped)[0]


def test_features_of_different_groups_never_meet_in_a_tree(plain, shaped):
    def together(fit):
        booster = xgboost.Booster(model_file=bytearray(fit.booster))
        frame = booster.trees_to_dataframe()
        used = frame[frame["Feature"] != "Leaf"].groupby("Tree")["Feature"].agg(set)
        names = booster.feature_names or ["f0", "f1", "f2"]
        return [{names.index(one) for one in tree} for tree in used]

    assert any(2 in tree and len(tree) > 1 for tree in together(plain))
    assert all(tree <= {0, 1} or tree == {2} for tree in together(shaped))


def test_levels_as_categories_score_as_xgboost_does(shaped):
    model = imported(shaped)
    assert set(model.arrays["set_feature"].tolist()) == {0}
    rng = np.random.default_rng(3)
    values = np.stack(
        [rng.integers(0, 8, 500), rng.uniform(18, 80, 500), rng.normal(100, 30, 500)], axis=1
    )
    values[::9, 2] = np.nan
    booster = xgboost.Booster(model_file=bytearray(shaped.booster))
    kinds = ["c", "float", "float"]
    matrix = xgboost.DMatrix(
        values, feature_names=booster.feature_names, feature_types=kinds, enable_categorical=True
    )
    matrix.set_base_margin(np.full(500, shaped.start))
    expected = booster.predict(matrix, output_margin=True)
    found = Scorer(model).raw([np.ascontiguousarray(column) for column in values.T])
    np.testing.assert_array_equal(found.astype(np.float32), expected)
    assert json.loads(booster.save_config())["learner"]["objective"]["name"] == "count:poisson"


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"monotone": {"place": 1}}, "boosting.monotone: .* of kind numeric, age, power, found place"),
        ({"interactions": [["age", "colour"]]}, "boosting.interactions: .* found colour"),
    ],
)  # fmt: skip
def test_a_shape_of_features_that_cannot_have_it_is_refused(rows, shape, said):
    with pytest.raises(ConfigError, match=said):
        fit_boosting(rows, FEATURES, settings(**shape))


def test_stopping_early_without_a_validation_part_is_refused(rows):
    train = rows.where("split = 'train'")
    for source in (train, collected(train)):
        with pytest.raises(TrainingDataError, match="found none; .*early_stopping: 0"):
            fit_boosting(source, FEATURES, settings(early_stopping=5))


def test_rows_in_this_process_give_the_booster_of_one_worker(rows, plain, shaped):
    """Bit for bit: xgboost.spark with one worker is the truth here."""
    for fit, options in ((plain, {}), (shaped, SHAPE)):
        here = fit_boosting(collected(rows), FEATURES, settings(**options))
        ours, theirs = (
            trees_from_xgboost(f.booster, f.rounds).trees.as_dict() for f in (here, fit)
        )
        assert (here.start, here.rounds, set(ours)) == (fit.start, fit.rounds, set(theirs))
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name])
    stopped = [fit_boosting(s, FEATURES, settings(rounds=200, early_stopping=3))
               for s in (rows, collected(rows))]  # fmt: skip
    assert stopped[0].rounds == stopped[1].rounds < 200


def spent_by_workers():
    """Return the processor time that Spark's Python workers below this process had, by pid."""
    parents, spent, workers = {}, {}, set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "stat").read_text().rpartition(")")[2].split()
            if "pyspark.daemon" in (entry / "cmdline").read_text():
                workers.add(int(entry.name))
        except OSError:  # it ended meanwhile
            continue
        parents[int(entry.name)] = int(told[1])
        spent[int(entry.name)] = int(told[11]) + int(told[12])

    def is_ours(pid):
        return pid == os.getpid() or (pid in parents and is_ours(parents[pid]))

    return {pid: spent[pid] for pid in workers if is_ours(pid)}


@pytest.mark.slow
def test_a_worker_killed_in_a_fit_costs_that_attempt_and_the_model_is_the_same(rows, monkeypatch):
    """Spark itself gives up there: tasks that wait for each other are not tried again."""
    chosen, told, over = settings(rounds=400), [], threading.Event()
    undisturbed, killed = fit_boosting(rows, FEATURES, chosen), []
    monkeypatch.setattr(spark_boosting, "event", told.append)

    stages = rows.sparkSession.sparkContext.statusTracker()

    def xgboost_is_at_work():
        told = [stages.getStageInfo(number) for number in stages.getActiveStageIds()]
        return any(stage is not None and "spark_boosting.py" in stage.name for stage in told)

    def kill():
        before = spent_by_workers()
        while not killed and not over.is_set():
            if not xgboost_is_at_work():
                before = spent_by_workers()
            for pid, spent in spent_by_workers().items():
                if spent > before.get(pid, 0) + 20:  # 0.2 s since: it is the one that fits
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found = fit_boosting(rows, FEATURES, chosen)
    finally:
        over.set()
        killer.join()
    assert killed, "no worker was busy for long enough"
    assert len(told) == 1 and "fitting again" in told[0]
    assert found.booster == undisturbed.booster


@pytest.mark.parametrize(
    ("told", "error", "attempts"),
    [("Job aborted.\nSparkException: Python worker exited unexpectedly (crashed)\n at",
      WorkerLostError, 4),
     ("Job aborted.\njava.io.IOException: Stream closed\n"  # as Spark 4.1.4 tells it of its daemon
      "\tat java.base/java.io.DataOutputStream.flush(DataOutputStream.java:128)\n"
      "\tat org.apache.spark.api.python.PythonWorkerFactory.$anonfun$stopWorker$1(Python.scala:479)",
      WorkerLostError, 4),
     ("Job aborted.\njava.io.IOException: Stream closed\n"
      "\tat java.base/java.io.DataInputStream.read(DataInputStream.java:149)\n"
      "\tat org.apache.hadoop.fs.FSDataInputStream.read(FSDataInputStream.java:104)\n"
      "\tat org.apache.spark.api.python.PythonRDD$.write(PythonRDD.scala:320)",
      PySparkException, 1),
     ("Job aborted.\nxgboost.core.XGBoostError: [07:01] label must be non-negative\n at",
      FitError, 1),
     ("Job aborted.\njava.io.IOException: No space left on device", PySparkException, 1)],
)  # fmt: skip
def test_a_fit_that_fails_each_time_is_named(rows, monkeypatch, told, error, attempts):
    from xgboost.spark import SparkXGBRegressor

    calls = []

    def fails(self, frame):
        calls.append(frame)
        raise PySparkException(told)

    monkeypatch.setattr(SparkXGBRegressor, "fit", fails)
    with pytest.raises(error, match="unexpectedly|Stream closed|label must be|No space left"):
        fit_boosting(rows, FEATURES, settings())
    assert len(calls) == attempts


@pytest.fixture
def small_batches(spark):
    """Arrow batches of fifty rows, as large data have batches of ten thousand."""
    setting = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(setting)
    spark.conf.set(setting, 50)
    yield
    spark.conf.set(setting, before)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_equal_rows_that_lie_together_are_fitted(spark, small_batches, workers):
    """The last batch and many others hold no row of the validation part, or nothing else."""
    number = np.arange(603)
    table = pd.DataFrame(
        {
            "place": np.where(number % 2, "b", "a"),
            LABEL: np.where(number % 5 == 0, 1.0, 0.0), WEIGHT: 1.0, OFFSET: 0.0,
            "split": np.where(number % 20 < 2, "valid", "train"),
        }
    )  # fmt: skip
    rows = spark.createDataFrame(table)
    asked = settings(early_stopping=3, subsample=1.0, workers=workers)
    fit = fit_boosting(rows, FEATURES[:1], asked)
    here = fit_boosting(collected(rows), FEATURES[:1], asked)
    assert fit.rounds == here.rounds
    codes = [np.arange(8.0)]
    scores = [Scorer(imported(one, features=FEATURES[:1])).response(codes) for one in (fit, here)]
    np.testing.assert_allclose(*scores, rtol=1e-6 if workers > 1 else 0)
