"""run --fuse: the same predictions without table prepared; and numbers kept as float32."""

import itertools
import shutil

import pytest
from portfolio import FIRST, SECOND

NEW = "2025"


def values(portfolio, spark, batch):
    columns = ["policy_id", "model_name", "model_version", "prediction", "expected", "lower"]
    rows = portfolio.read(spark, "predictions", batch).select(*columns, "exposure", "input_hash")
    return sorted(map(str, rows.collect()))


def test_a_fused_batch_has_the_same_predictions_and_is_never_prepared(portfolio, spark):
    # Beside the others' sources: the path is a setting, and would make every batch stale.
    shutil.copy(portfolio.source(batch=SECOND), portfolio.source(batch=NEW))
    line = portfolio.must(f"run --batch {FIRST} --batch {NEW} --fuse")
    assert [(s["stage"], s["batch"], s["status"]) for s in line["steps"]] == [
        ("clean", FIRST, "skipped"), ("prepare", FIRST, "skipped"), ("clean", NEW, "done"),
        ("train", FIRST, "skipped"), ("predict", FIRST, "skipped"), ("predict", NEW, "done"),
        ("monitor", FIRST, "skipped"), ("monitor", NEW, "done"),
    ]  # fmt: skip
    assert values(portfolio, spark, NEW) == values(portfolio, spark, SECOND)
    assert portfolio.read(spark, "prepared", NEW).count() == 0
    again = portfolio.kyros(f"run --batch {NEW} --fuse --stages clean,prepare,predict")
    assert again.status == "skipped"
    assert portfolio.kyros(f"evaluate --batch {NEW}").line["error"]["type"] == "BatchMissingError"


def test_fused_predictions_follow_the_settings_of_prepare(portfolio):
    portfolio.set("prepare.features.power", {"kind": "numeric", "sql": "power * 2"})
    outcome = portfolio.kyros(f"predict --batch {SECOND} --fuse")
    assert outcome.code == 3 and "feature power: expected the definition" in outcome.message


def test_a_fused_batch_s_exposure_is_checked(portfolio, tables_as_before):
    portfolio.set("prepare.max_exposure", 0.5)
    tables_as_before(portfolio.base)
    outcome = portfolio.kyros(f"predict --batch {SECOND} --fuse")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "ExposureError")


@pytest.mark.slow
def test_float32_leaves_trees_as_they_were_and_moves_a_glm_by_less_than_told(
    raw_portfolio, finished, spark
):
    raw_portfolio.set("prepare.features.log_bonus.precision", "float")
    both = ["frequency", "boosted"]
    models = {name: raw_portfolio.settings["train"]["models"][name] for name in both}
    raw_portfolio.set("train.models", models)
    raw_portfolio.set("predict", {"models": both})
    raw_portfolio.must(f"run --batch {FIRST}")
    assert dict(raw_portfolio.read(spark, "prepared").dtypes)["log_bonus"] == "float"
    found, expected = (
        {
            (row["policy_id"], row["model_name"]): row["prediction"]
            for row in one.read(spark, "predictions", FIRST).collect()
            if row["model_name"] in both
        }
        for one in (raw_portfolio, finished)
    )
    assert set(found) == set(expected)
    moved = {key: abs(found[key] / expected[key] - 1) for key in expected}
    assert max(v for (_, name), v in moved.items() if name == "boosted") == 0.0
    assert 0 < max(v for (_, name), v in moved.items() if name == "frequency") < 1e-6


def test_clustered_by_key_a_question_about_one_policy_reads_one_file(raw_portfolio, spark):
    raw_portfolio.set("tables.cluster_by_key", True)
    raw_portfolio.set("tables.rows_per_file", 25)
    raw_portfolio.must(f"clean --batch {FIRST}")
    policies = raw_portfolio.read(spark, "policies")
    ends = sorted(
        (row["low"], row["high"])
        for row in policies.groupBy("_metadata.file_path")
        .agg({"policy_id": "min"})
        .withColumnRenamed("min(policy_id)", "low")
        .join(
            policies.groupBy("_metadata.file_path")
            .agg({"policy_id": "max"})
            .withColumnRenamed("max(policy_id)", "high"),
            "file_path",
        )
        .collect()
    )
    assert len(ends) == 5
    assert all(high < low for (_, high), (low, _) in itertools.pairwise(ends))


@pytest.mark.parametrize("kind", ["levels", "bins"])
def test_a_level_has_no_precision(raw_portfolio, kind):
    name = {"levels": "fuel", "bins": "driver"}[kind]
    raw_portfolio.set(f"prepare.features.{name}.precision", "float")
    outcome = raw_portfolio.kyros(f"prepare --batch {FIRST}")
    assert outcome.code == 2 and "precision is for numbers" in outcome.message
