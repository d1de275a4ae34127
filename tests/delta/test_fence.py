"""A driver whose lease another one took over commits nothing more, by whichever way it writes."""

import json

import pytest
from delta_store import Memory

from kyros_spark.config import TableSettings
from kyros_spark.delta.frames import rows_as_frame
from kyros_spark.delta.lease import Lease
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.delta.where import batch
from kyros_spark.errors import ConcurrentRunError
from kyros_spark.tables.runs import RUNS

BATCH = "2024"


def row(run_id):
    return {"run_id": run_id, "batch_id": BATCH, "stage": "clean", "status": "done"}


def by_files(tables, run_id):
    tables.replace_rows(RUNS, [row(run_id)], run_id, batch(BATCH), batch=BATCH)


def by_files_appended(tables, run_id):
    tables.append_rows(RUNS, [row(run_id)], run_id)


def by_frame(tables, run_id):
    tables.replace(
        RUNS, rows_as_frame(tables.spark, RUNS, [row(run_id)]), run_id, batch(BATCH), batch=BATCH
    )


def by_frame_appended(tables, run_id):
    tables.append(RUNS, rows_as_frame(tables.spark, RUNS, [row(run_id)]), run_id)


def by_merge(tables, run_id):
    rows = rows_as_frame(tables.spark, RUNS, [row(run_id)])
    tables.merge(RUNS, rows, run_id, "t.run_id = s.run_id", ["WHEN NOT MATCHED THEN INSERT *"])


WAYS = [by_files, by_files_appended, by_frame, by_frame_appended, by_merge]


def driver(spark, base, store):
    tables = DeltaTables(spark, TableSettings(base=str(base)))
    tables._lease = Lease(store, str(base), renew_every=0.05, patience=0.2)
    return tables


def numbers(tables):
    """Return the fencing numbers in the table's log, commit by commit."""
    logs = sorted((tables.location("runs") + "/_delta_log", n) for n in range(20))
    found = []
    for folder, number in logs:
        try:
            lines = open(f"{folder}/{number:020}.json").read().splitlines()  # noqa: SIM115
        except FileNotFoundError:
            continue
        found += [json.loads(line)["txn"] for line in lines if "txn" in json.loads(line)]
    return [txn["version"] for txn in found if txn["appId"] == "kyros-lease"]


@pytest.mark.slow
def test_a_commit_carries_its_lease_s_number_and_a_lost_one_s_is_refused(spark, tmp_path):
    base, store = tmp_path / "tables", Memory()
    first, second = driver(spark, base, store), driver(spark, base, store)
    for way in WAYS:
        way(first, f"first {way.__name__}")
    assert {number >> 32 for number in numbers(first)} == {1}
    assert len(numbers(first)) == len(WAYS) and numbers(first) == sorted({*numbers(first)})
    first._lease._stop_renewing()  # it stands still, and takes no look any more when it wakes
    first.hold = lambda run_id: None
    by_frame(second, "second")
    seen = first.read("runs").count(), first.version("runs")
    for way in WAYS:
        with pytest.raises(ConcurrentRunError, match=r"later lease than 1, found one of lease 2"):
            way(first, f"again {way.__name__}")
    second.forget("runs")
    assert (second.read("runs").count(), second.version("runs")) == seen
    for way in WAYS:
        way(second, f"second {way.__name__}")
    assert {number >> 32 for number in numbers(second)[len(WAYS) :]} == {2}
    assert spark.conf.get("spark.databricks.delta.write.txnAppId", None) is None
    second.release()


def test_where_no_lease_is_needed_no_commit_carries_a_number(spark, tmp_path):
    tables = DeltaTables(spark, TableSettings(base=str(tmp_path / "tables")))
    by_files(tables, "a")
    assert numbers(tables) == []
