"""predict in micro-batches: the same rows, seen all at once, and a killed run goes on."""

import errno
import json
import shutil
import threading

import pytest
from killed import killed_run, staged_logs
from portfolio import FIRST, POLICIES
from py4j.protocol import Py4JNetworkError

from kyros_spark import predict
from kyros_spark.config import load_config
from kyros_spark.delta.staging import StagedWrite
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.errors import ConcurrentRunError

PARTS = 3  # of at most 50 rows


@pytest.fixture(scope="module")
def many_files(finished, tmp_path_factory):
    """The finished portfolio with its first batch prepared again, in files of 50 rows."""
    portfolio = finished.copy_to(tmp_path_factory.mktemp("many_files"))
    portfolio.set("prepare.features.power.description", "engine power")
    portfolio.set("tables.rows_per_file", 50)
    portfolio.must(f"prepare --batch {FIRST}")
    portfolio.set("predict.rows_per_micro_batch", 50)
    return portfolio


@pytest.fixture
def portfolio(many_files, tmp_path):
    return many_files.copy_to(tmp_path)


def values(portfolio, spark):
    columns = ["policy_id", "model_name", "model_version", "prediction", "expected", "lower"]
    rows = portfolio.read(spark, "predictions", FIRST).select(*columns, "input_hash")
    return sorted(str([_12_digits(value) for value in row]) for row in rows.collect())


def _12_digits(value):
    """The driver's powers and those of Java differ in the last bit, and an end near 0 in all."""
    return f"{round(value, 9) + 0.0:.12g}" if isinstance(value, float) else value


def test_the_rows_are_those_of_one_job_and_appear_in_one_commit(portfolio, finished, spark):
    before = len(list((portfolio.base / "predictions/_delta_log").glob("*.json")))
    line = portfolio.must(f"predict --batch {FIRST}")
    assert line["status"] == "done" and line["rows_in"] == POLICIES
    assert line["rows_out"] == 7 * POLICIES
    assert line["details"]["micro_batches"] == {"all": PARTS, "of_earlier_runs": 0}
    assert values(portfolio, spark) == values(finished, spark)
    commits = sorted((portfolio.base / "predictions/_delta_log").glob("*.json"))
    assert len(commits) == before + 1
    assert (
        json.loads(commits[-1].read_text().splitlines()[0])["commitInfo"]["userMetadata"]
        == (line["run_id"])
    )
    assert not staged_logs(portfolio, "predictions"), "nothing is left but what the table names"
    one_job = finished.read(spark, "runs", FIRST).where("stage = 'predict' AND status = 'done'")
    whole = json.loads(one_job.first()["details"])
    for name in ("models", "expected", "unseen_levels"):
        assert line["details"][name] == whole[name]
    assert portfolio.kyros(f"predict --batch {FIRST}").status == "skipped"


def test_the_first_predictions_of_a_portfolio_are_gathered_and_shown(portfolio, finished, spark):
    shutil.rmtree(portfolio.base / "predictions")
    line = portfolio.must(f"predict --batch {FIRST}")
    assert line["details"]["micro_batches"] == {"all": PARTS, "of_earlier_runs": 0}
    assert values(portfolio, spark) == values(finished, spark)


def test_files_where_a_table_should_be_are_left_and_named(portfolio):
    log = portfolio.base / "predictions/_delta_log"
    shutil.rmtree(log)
    line = portfolio.kyros(f"predict --batch {FIRST}").line
    assert line["error"]["type"] == "PlatformError"
    assert "found files without a Delta log" in line["error"]["message"]
    assert not log.exists() and any(log.parent.rglob("*.parquet"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "when", "redone"),
    [("write", 2, 2), ("write", -2, 1), ("publish", -1, 0), ("discard", 1, None)],
    ids=["in a micro-batch", "behind its commit", "behind the last commit", "tidying"],
)
def test_a_killed_run_goes_on_where_it_stopped(portfolio, spark, monkeypatch, call, when, redone):
    expected, scored = values(portfolio, spark), []
    killed_run(portfolio, monkeypatch, f"predict --batch {FIRST} --run-id first", call, when)
    assert values(portfolio, spark) == expected, "no reader sees a part"
    with monkeypatch.context() as watched:
        write = StagedWrite.write

        def writes(self, number, *given):
            scored.append(number)
            write(self, number, *given)

        watched.setattr(StagedWrite, "write", writes)
        line = portfolio.must(f"predict --batch {FIRST} --run-id second")
    assert values(portfolio, spark) == expected
    if redone is None:  # the ledger had it already
        assert line["status"] == "skipped"
        return
    assert scored == list(range(PARTS - redone, PARTS))
    assert line["details"]["went_on_from"] == ["first"]
    assert line["details"]["expected"] == pytest.approx(
        portfolio.kyros(f"predict --batch {FIRST}").line["details"]["expected"]
    )
    ids = {row["run_id"] for row in portfolio.read(spark, "predictions", FIRST).collect()}
    assert ids == ({"first", "second"} if redone else {"first"})
    assert not staged_logs(portfolio, "predictions")
    if redone == 1:  # rows of both runs: evaluate takes them as one
        assert portfolio.kyros(f"evaluate --batch {FIRST}").code == 0


@pytest.mark.slow
def test_a_damaged_log_of_an_earlier_run_is_left_and_the_work_begins_anew(
    portfolio, spark, monkeypatch
):
    expected = values(portfolio, spark)
    killed_run(portfolio, monkeypatch, f"predict --batch {FIRST}", "write", 2)
    (log,) = staged_logs(portfolio, "predictions")
    sorted(log.glob("*.json"))[-1].write_text('{"commitInfo": {"timest')
    for checksum in log.glob(".*.crc"):
        checksum.unlink()
    line = portfolio.must(f"predict --batch {FIRST}")
    assert line["details"]["micro_batches"] == {"all": PARTS, "of_earlier_runs": 0}
    assert values(portfolio, spark) == expected


@pytest.mark.slow
def test_micro_batches_are_kept_where_spark_ended_as_they_were_looked_for(
    portfolio, spark, monkeypatch
):
    killed_run(portfolio, monkeypatch, f"predict --batch {FIRST}", "write", -2)

    def gone(self, name):
        raise Py4JNetworkError("Error while sending or receiving")

    with monkeypatch.context() as dead:
        dead.setattr(DeltaTables, "history", gone)
        outcome = portfolio.kyros(f"predict --batch {FIRST}")
    assert outcome.line["error"]["type"] == "SparkLostError"
    line = portfolio.must(f"predict --batch {FIRST}")
    assert line["details"]["micro_batches"] == {"all": PARTS, "of_earlier_runs": 2}


@pytest.mark.slow
def test_two_runs_at_once_never_double_a_row(portfolio, spark, monkeypatch):
    """Both write every micro-batch at the same moment; a commit that comes second is refused."""
    expected, write = values(portfolio, spark), StagedWrite.write
    together, codes = threading.Barrier(2, timeout=60), []

    def writes(self, number, *given):
        if number == 0:
            together.wait()
        write(self, number, *given)

    monkeypatch.setattr(StagedWrite, "write", writes)
    config = load_config(str(portfolio.config_file()))

    def run():
        try:
            codes.append(predict(spark.newSession(), config, batch=FIRST).status)
        except ConcurrentRunError:
            codes.append("refused")

    twins = [threading.Thread(target=run, daemon=True) for _ in range(2)]
    for twin in twins:
        twin.start()
    for twin in twins:
        twin.join(timeout=300)
    assert len(codes) == 2 and "done" in codes and set(codes) <= {"done", "refused", "skipped"}
    assert values(portfolio, spark) == expected


@pytest.mark.slow
def test_micro_batches_that_another_run_committed_meanwhile_are_left_out_and_the_run_ends(
    portfolio, spark, monkeypatch
):
    """Delta then runs nothing: who waits for what would be counted on the way waits for ever."""
    expected = values(portfolio, spark)
    killed_run(portfolio, monkeypatch, f"predict --batch {FIRST}", "publish", 1)
    monkeypatch.setattr(
        StagedWrite, "resume", lambda self: []
    )  # as asked before the other committed
    line = portfolio.must(f"predict --batch {FIRST}")
    assert line["rows_in"] == POLICIES and line["rows_out"] == 7 * POLICIES
    assert line["details"]["expected"]
    assert values(portfolio, spark) == expected


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_loses_nothing(portfolio, spark, monkeypatch):
    expected, calls = values(portfolio, spark), []
    write = StagedWrite.write

    def full(self, number, *given):
        calls.append(number)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "no space left on device")
        write(self, number, *given)

    with monkeypatch.context() as filled:
        filled.setattr(StagedWrite, "write", full)
        outcome = portfolio.kyros(f"predict --batch {FIRST}")
    assert outcome.code == 1 and outcome.line["error"]["type"] == "StorageFullError"
    assert values(portfolio, spark) == expected
    line = portfolio.must(f"predict --batch {FIRST}")
    assert line["details"]["micro_batches"] == {"all": PARTS, "of_earlier_runs": 2}
    assert values(portfolio, spark) == expected


def test_rows_of_a_file_that_is_gone_are_told_by_name(portfolio, monkeypatch):
    shutil.rmtree(portfolio.base / "prepared" / f"batch_id={FIRST}")
    outcome = portfolio.kyros(f"predict --batch {FIRST}")
    assert outcome.code == 3 and "prepared" in outcome.message
