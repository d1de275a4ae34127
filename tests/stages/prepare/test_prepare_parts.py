"""prepare in micro-batches, where no policy needs another row of its batch."""

import pytest
from killed import killed_run, staged_logs
from portfolio import FIRST, POLICIES, SECOND

WHOLE = 1_000


@pytest.fixture(scope="module")
def cleaned(finished, tmp_path_factory):
    """The finished portfolio with its second batch, which has no claims, in files of about 50 rows."""
    portfolio = finished.copy_to(tmp_path_factory.mktemp("cleaned"))
    portfolio.set("tables.rows_per_file", 50)
    portfolio.set("tables.cluster_by_key", True)  # else no more files than the extract had
    portfolio.set("sources.policies.columns.power.description", "engine power")
    for batch in (FIRST, SECOND):
        portfolio.must(f"clean --batch {batch}")
    portfolio.set("prepare.rows_per_micro_batch", 1)  # each file is a micro-batch
    return portfolio


@pytest.fixture
def portfolio(cleaned, tmp_path):
    return cleaned.copy_to(tmp_path)


@pytest.fixture(scope="module")
def parts(cleaned, spark):
    """Return how many micro-batches the second batch has: as many as files of its policies."""
    found = len(cleaned.read(spark, "policies", SECOND).inputFiles())
    assert found > 2
    return found


def rows(portfolio, spark, batch=SECOND):
    found = portfolio.read(spark, "prepared", batch).drop("run_id")
    return sorted(map(str, found.collect()))


def logged(portfolio, spark):
    # What is unseen is asked of the champion, whom the finished portfolio did not have then.
    kept = ["feature", "null_count", "row_count"]
    return sorted(map(str, portfolio.read(spark, "feature_log", SECOND).select(kept).collect()))


@pytest.mark.slow
def test_the_rows_are_those_of_one_job_and_appear_in_one_commit(portfolio, finished, spark, parts):
    portfolio.set("tables.rows_per_file", 20)
    line = portfolio.must(f"prepare --batch {SECOND}")
    assert line["details"]["micro_batches"] == {"all": parts, "of_earlier_runs": 0}
    assert line["rows_in"] == line["rows_out"] == POLICIES
    assert rows(portfolio, spark) == rows(finished, spark)
    assert logged(portfolio, spark) == logged(finished, spark)
    said = spark.sql(f"DESCRIBE HISTORY delta.`{portfolio.base}/prepared`").collect()
    assert [commit["userMetadata"] for commit in said].count(line["run_id"]) == 1
    assert not staged_logs(portfolio, "prepared"), "nothing is left but what the table names"
    files = portfolio.read(spark, "prepared", SECOND).groupBy("_metadata.file_path").count()
    assert max(row["count"] for row in files.collect()) <= 20
    assert portfolio.kyros(f"prepare --batch {SECOND}").status == "skipped"


@pytest.mark.slow
def test_how_many_rows_a_micro_batch_has_makes_nothing_stale(portfolio):
    portfolio.must(f"prepare --batch {SECOND}")
    portfolio.set("prepare.rows_per_micro_batch", 70)
    assert portfolio.kyros(f"prepare --batch {SECOND}").status == "skipped"


@pytest.mark.repeats
@pytest.mark.parametrize(
    ("call", "when", "there"), [("write", 2, 1), ("write", -2, 2), ("publish", -1, None)]
)
def test_a_killed_run_goes_on_where_it_stopped(
    portfolio, finished, spark, monkeypatch, parts, call, when, there
):
    there = there or parts
    expected = rows(portfolio, spark)
    killed_run(portfolio, monkeypatch, f"prepare --batch {SECOND} --run-id first", call, when)
    assert rows(portfolio, spark) == expected, "no reader sees a part"
    standing = portfolio.must("status")["standings"]
    (found,) = [s for s in standing if (s["stage"], s["batch"]) == ("prepare", SECOND)]
    assert found["state"] == "unfinished"
    assert found["because"] == [f"{there} micro-batches written by run first"]
    (step,) = [
        s
        for s in portfolio.must("plan")["steps"]
        if s["stage"] == "prepare" and s["batch"] == SECOND
    ]
    assert step["micro_batches"] == POLICIES  # by rows: how they lie in files it cannot know
    line = portfolio.must(f"prepare --batch {SECOND} --run-id second")
    assert line["details"]["micro_batches"] == {"all": parts, "of_earlier_runs": there}
    assert line["details"]["went_on_from"] == ["first"] and line["rows_out"] == POLICIES
    assert rows(portfolio, spark) == rows(finished, spark)
    assert logged(portfolio, spark) == logged(finished, spark)
    ids = {row["run_id"] for row in portfolio.read(spark, "prepared", SECOND).collect()}
    assert ids == ({"first"} if there == parts else {"first", "second"})
    assert not staged_logs(portfolio, "prepared")
    assert portfolio.must(f"predict --batch {SECOND}")["rows_in"] == POLICIES


@pytest.mark.slow
def test_a_new_feature_is_seen_with_its_values_and_not_before(portfolio, spark, monkeypatch):
    portfolio.set("prepare.features.old", {"kind": "numeric", "sql": "age - 18"})
    killed_run(portfolio, monkeypatch, f"prepare --batch {SECOND}", "write", -2)
    assert "old" not in portfolio.read(spark, "prepared").columns
    portfolio.must(f"prepare --batch {SECOND}")
    found = portfolio.read(spark, "prepared", SECOND).where("old IS NULL OR old < 0")
    assert found.isEmpty()


@pytest.mark.slow
def test_micro_batches_that_were_compacted_meanwhile_count_once(
    portfolio, finished, spark, monkeypatch
):
    killed_run(portfolio, monkeypatch, f"prepare --batch {SECOND}", "publish", 1)
    (log,) = staged_logs(portfolio, "prepared")
    spark.sql(f"OPTIMIZE delta.`{log.parent}`")
    portfolio.must(f"prepare --batch {SECOND}")
    assert rows(portfolio, spark) == rows(finished, spark)


def test_a_table_that_names_columns_its_own_way_is_written_in_one_commit(
    portfolio, finished, spark
):
    table = f"delta.`{portfolio.base}/prepared`"
    spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    line = portfolio.must(f"prepare --batch {SECOND}")
    assert line["status"] == "done" and "micro_batches" not in line["details"]
    assert rows(portfolio, spark) == rows(finished, spark)


def test_a_batch_whose_claims_are_known_is_prepared_whole(portfolio, finished, spark):
    line = portfolio.must(f"prepare --batch {FIRST}")
    assert "micro_batches" not in line["details"]
    assert rows(portfolio, spark, FIRST) == rows(finished, spark, FIRST)


OVER_OTHERS = 'CASE WHEN area = "d\'A" THEN 0 ELSE power / max(power) OVER () END'


@pytest.mark.repeats
@pytest.mark.parametrize("sql", [OVER_OTHERS, "power + 0 * length(batch_id)"])
def test_a_feature_has_the_same_values_however_the_batch_is_divided(portfolio, spark, sql):
    """One that looks over other rows needs them all; another may need no more than the batch."""
    portfolio.set("prepare.features.power.sql", sql)
    portfolio.must(f"prepare --batch {SECOND}")
    found = rows(portfolio, spark)
    portfolio.set("prepare.rows_per_micro_batch", WHOLE)
    portfolio.set("prepare.features.power.description", "so that it is prepared again")
    assert portfolio.must(f"prepare --batch {SECOND}")["status"] == "done"
    assert found == rows(portfolio, spark)


@pytest.mark.slow
def test_fused_predictions_of_such_features_are_those_of_prepared_ones(portfolio, spark):
    kept = ["policy_id", "model_name", "prediction"]
    portfolio.set("prepare.features.power.sql", "power / max(power) OVER ()")
    portfolio.set("predict", {"models": ["frequency"]})
    portfolio.set("predict.rows_per_micro_batch", 50)
    portfolio.must(f"run --batch {FIRST} --batch {SECOND} --stages clean,prepare,train,predict")

    def found():
        read = portfolio.read(spark, "predictions", SECOND).where("model_name = 'frequency'")
        return sorted(map(str, read.select(kept).collect()))

    expected = found()
    line = portfolio.must(f"predict --batch {SECOND} --fuse")
    assert line["status"] == "done" and found() == expected
