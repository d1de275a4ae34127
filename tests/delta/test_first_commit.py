"""A process killed in the first commit of a table: the same command makes the table."""

import pytest
from portfolio import FIRST, POLICIES

from kyros_spark.delta.first_commit import remove_log_without_commit
from kyros_spark.storage import files

BEGUN = ".00000000000000000000.json.a1347b77.tmp"


@pytest.mark.repeats
@pytest.mark.parametrize(
    ("table", "begun"), [("runs", True), ("policies", True), ("rejects", False)]
)
def test_a_log_without_a_commit_is_begun_again(raw_portfolio, spark, table, begun):
    log = raw_portfolio.base / table / "_delta_log"
    log.mkdir(parents=True)
    (log / "_staged_commits").mkdir()
    if begun:  # else the process was killed before it had a file
        (log / BEGUN).write_text('{"commitInfo": {"timest')
    line = raw_portfolio.must(f"clean --batch {FIRST}")
    assert line["status"] == "done"
    assert raw_portfolio.read(spark, "policies", FIRST).count() == POLICIES


def test_files_of_somebody_else_s_are_left(raw_portfolio):
    folder = raw_portfolio.base / "policies"
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "part-0.parquet").write_text("not ours")
    outcome = raw_portfolio.kyros(f"clean --batch {FIRST}")
    assert outcome.line["error"]["type"] == "PlatformError"
    assert (folder / "part-0.parquet").exists()


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("beside", [None, "part-0.parquet", "_delta_log/00000000000000000000.json"])
def test_hadoop_s_file_systems_are_asked_alike(spark, tmp_path, monkeypatch, beside, begun):
    """As on HDFS: the same calls, of Hadoop's class for local files."""
    monkeypatch.setattr(files, "is_remote", lambda address: True)
    log = tmp_path / "policies/_delta_log"
    log.mkdir(parents=True)
    if begun:
        (log / BEGUN).write_text("{")
    if beside:
        (tmp_path / "policies" / beside).write_text("somebody's")
    remove_log_without_commit(spark, str(tmp_path / "policies"))
    assert log.exists() == (beside is not None)
