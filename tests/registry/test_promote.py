"""A champion is made by the gate alone: by what was declared before training, in one commit."""

import getpass
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from portfolio import FIRST, SETTINGS

import kyros_spark
from kyros_spark.config import load_config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.registry import Registry, Trained, changes
from kyros_spark.tables.models import MODELS

EARLIER = (
    "model_name", "model_version", "status", "method", "family", "target", "per", "path", "sha256",
    "feature_spec_hash", "fingerprint", "metrics", "settings", "trained_at", "batch_id", "run_id",
)  # fmt: skip


def only_frequency(portfolio, **more):
    portfolio.set("train.models", {"frequency": SETTINGS["train"]["models"]["frequency"] | more})


def statuses(portfolio, spark, name="frequency"):
    rows = portfolio.read(spark, "models").where(f"model_name = '{name}'").collect()
    return {row.model_version: row.status for row in rows}


def commits(portfolio):
    return len(list((portfolio.base / "models" / "_delta_log").glob("*.json")))


def opened(portfolio, spark):
    config = load_config(str(portfolio.config_file()))
    return config, Registry(DeltaTables(spark, config.tables), config.tables.artefact_folder())


def add_candidates(portfolio, spark, count=1, **declared):
    """Register the champion's model again, as so many candidates, without training it again."""
    config, registry = opened(portfolio, spark)
    entry = registry.find("frequency")[0]
    again = Trained(
        "frequency", registry.load(entry)[0], config.train.models["frequency"], "none",
        entry.metrics, entry.inputs, **declared,
    )  # fmt: skip
    for _ in range(count):
        registry.register([again], [], "candidate", FIRST, "by hand")
    return registry


def test_a_trained_model_that_misses_its_threshold_stays_candidate_and_the_chain_stops(
    portfolio, spark
):
    only_frequency(portfolio, quality={"test_rows": {"min": 5000}, "test_balance": {"max": 9}})
    portfolio.set("predict", None)
    outcome = portfolio.kyros(f"run --batch {FIRST} --stages train,predict")
    assert outcome.code == 4 and outcome.line["stopped_at"]["stage"] == "train"
    rows = int(portfolio.read(spark, "prepared", FIRST).where("split = 'test'").count())
    assert outcome.message == (
        f"model frequency@2 stays candidate: quality.test_rows: expected at least 5000, found "
        f"{rows}; champion frequency@1 stays. These are the thresholds and budgets declared before "
        "it was trained: changing the settings now has no effect on it; train a version that meets "
        "them, or one with others declared"
    )
    assert statuses(portfolio, spark) == {1: "champion", 2: "candidate"}
    failed = portfolio.read(spark, "runs").where("error_type = 'GateError'").first()
    assert failed["outputs"]["models"] == commits(portfolio) - 1
    kept = portfolio.read(spark, "relativities").where("model_name = 'frequency'")
    assert {row["model_version"] for row in kept.collect()} == {1, 2}, "a candidate's too"

    before = commits(portfolio)
    assert portfolio.kyros("train").message == outcome.message, "asked again, refused again"
    portfolio.set("train.models.frequency.quality", {"test_rows": {"min": 1}})
    promoted = portfolio.kyros("promote frequency@2")
    assert (promoted.code, promoted.message) == (4, outcome.message), "loosened afterwards"
    assert commits(portfolio) == before and statuses(portfolio, spark)[2] == "candidate"

    card = json.loads(next((portfolio.base / "artefacts").rglob("2-*.json")).read_text())
    assert card["gate"]["verdict"] == "refused" and card["gate"]["reasons"] == [
        f"quality.test_rows: expected at least 5000, found {rows}"
    ]
    written = next((portfolio.base / "artefacts").rglob("2-*.md")).read_text()
    assert written.startswith("# frequency@2: candidate, refused by the gate\n")


def test_a_version_within_its_thresholds_and_budgets_is_promoted_in_one_commit(portfolio, spark):
    only_frequency(portfolio, quality={"test_balance": {"min": 0.1, "max": 9}})
    portfolio.set("train.status", "candidate")
    portfolio.set("budgets", {"min_rows_per_second": 1, "max_model_bytes": 10_000_000})
    portfolio.must("train")
    assert statuses(portfolio, spark) == {1: "champion", 2: "candidate"}
    before = commits(portfolio)
    line = portfolio.must(["promote", "frequency@2", "--reason", "tariff 2026", "--run-id", "p"])
    assert line["details"] == {
        "model": "frequency@2", "before": "frequency@1", "reason": "tariff 2026",
    }  # fmt: skip
    assert statuses(portfolio, spark) == {1: "retired", 2: "champion"}
    assert commits(portfolio) == before + 1
    row = portfolio.read(spark, "models").where("promoted_reason = 'tariff 2026'").first()
    assert (row["model_version"], row["promoted_by"]) == (2, getpass.getuser())
    assert row["cost"]["rows_per_second"] > 1 and row["cost"]["model_bytes"] > 100
    assert json.loads(row["budgets"])["max_model_bytes"] == 10_000_000
    assert row["inputs"].keys() == {f"prepared {FIRST}"} and row["libraries"]["pyspark"]
    assert portfolio.must("promote frequency@2")["status"] == "skipped"
    ledger = portfolio.read(spark, "runs").where("stage = 'promote'").orderBy("started_at")
    assert [r["status"] for r in ledger.collect()] == ["done", "skipped"]
    portfolio.must("promote frequency@1")
    portfolio.must("promote frequency@2")
    assert statuses(portfolio, spark) == {1: "retired", 2: "champion"}, "there and back again"


def test_trained_trees_over_budget_are_refused_as_imported_ones_are(portfolio, spark):
    portfolio.set("train.models", {"boosted": SETTINGS["train"]["models"]["boosted"]})
    portfolio.set("budgets", {"max_model_bytes": 100, "min_rows_per_second": 1})
    outcome = portfolio.kyros("train")
    assert outcome.code == 4 and "budgets.max_model_bytes: expected at most 100" in outcome.message
    assert "min_rows_per_second" not in outcome.message
    assert statuses(portfolio, spark, "boosted") == {1: "champion", 2: "candidate"}


def test_what_is_no_registered_version_is_named_with_what_there_is(portfolio):
    unknown = portfolio.kyros("promote frequency@7")
    assert unknown.code == 2 and unknown.line["error"]["type"] == "UnknownModelError"
    assert "found boosted@1 (champion), frequency@1 (champion)" in unknown.message
    assert "expected NAME@VERSION" in portfolio.kyros("promote frequency").message
    asked = portfolio.kyros(f"predict --batch {FIRST} --model never")
    assert asked.code == 2 and "train it (kyros train), promote a version" in asked.message


def test_promoted_at_the_same_time_one_reigns_and_none_is_lost(portfolio, spark):
    add_candidates(portfolio, spark, 2)
    config = load_config(str(portfolio.config_file()))

    def promote(reference):  # a session of its own, as another process has
        return kyros_spark.promote(spark.newSession(), config, reference).status

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(promote, ["frequency@2", "frequency@3"])) == ["done", "done"]
    assert sorted(statuses(portfolio, spark).values()) == ["champion", "retired", "retired"]


@pytest.mark.repeats
@pytest.mark.parametrize("by", ["file", "merge"])
def test_overtaken_between_judging_and_writing_it_is_judged_again(
    portfolio, spark, monkeypatch, by
):
    """Another process promotes version 2 and adds 4, after this one read the registry."""
    registry = add_candidates(portfolio, spark, 2)
    write, others = changes.write, [True]

    def overtaken(tables, *arguments):
        if others:
            others.clear()
            registry.promote("frequency@2", "first", "other")
            add_candidates(portfolio, spark)
        return write(tables, *arguments)

    monkeypatch.setattr(changes, "write", overtaken)
    if by == "merge":
        monkeypatch.setattr(DeltaTables, "rewrite_rows", lambda *_: None)
    done = registry.promote("frequency@3", "second", "mine")
    assert done.before.version == 2, "judged against the champion that it replaces"
    assert statuses(portfolio, spark) == {
        1: "retired", 2: "retired", 3: "champion", 4: "candidate",
    }  # fmt: skip
    others.append(True)
    monkeypatch.setattr(registry, "promote", lambda *_: None)
    add_candidates(portfolio, spark)
    assert sorted(statuses(portfolio, spark)) == [1, 2, 3, 4, 5, 6], "no version was overwritten"


@pytest.mark.slow
def test_a_registry_of_the_version_before_is_read_promoted_in_and_added_to(portfolio, spark):
    path = str(portfolio.base / "models")
    add_candidates(portfolio, spark)
    rows = spark.read.format("delta").load(path).select(*EARLIER)
    rows = spark.createDataFrame(rows.collect(), rows.schema)
    writer = rows.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    writer.save(path)
    assert set(MODELS.names) - set(spark.read.format("delta").load(path).columns)
    registry = opened(portfolio, spark)[1]
    assert registry.find("frequency")[0].inputs == {}
    assert portfolio.kyros("models").code == 0
    registry.promote("frequency@2", "why not", "x")
    add_candidates(portfolio, spark)
    assert statuses(portfolio, spark) == {1: "retired", 2: "champion", 3: "candidate"}
    assert registry.find("frequency@2")[0].promoted_reason == "why not"


def test_the_versions_are_listed_with_what_they_are(finished):
    listed = finished.kyros("models").lines
    assert listed[0].split() == [
        "name", "version", "status", "method", "family", "test_deviance", "test_d2", "test_balance",
        "trained",
    ]  # fmt: skip
    assert [line.split()[:4] for line in listed[1:-1]] == [
        ["boosted", "1", "champion", "boosting"],
        ["frequency", "1", "champion", "glm"],
        ["premium", "1", "champion", "glm"],
        ["pure_premium", "1", "champion", "composite"],
        ["severity", "1", "champion", "glm"],
    ]
