"""predict.read: direct. The same predictions, or Spark's path and why, or an error with a name."""

import errno
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from killed import Killed, killed_run, staged_logs
from portfolio import FIRST, POLICIES, SECOND

from kyros_spark.delta.file_commit import FileCommit
from kyros_spark.delta.row_groups import RowGroups
from kyros_spark.stages.predict import by_files
from kyros_spark.stages.predict.by_files import tasks_of

OUTPUTS = 7


@pytest.fixture
def portfolio(portfolio):
    portfolio.set("predict.read", "direct")
    portfolio.set("predict.rows_per_arrow_batch", 150)  # so that the work is done again
    return portfolio


def values(portfolio, spark, batch=FIRST):
    """Return the rows as texts, to the last bit but for an interval's ends: NumPy's powers and
    those of Java differ there."""
    columns = ["policy_id", "model_name", "model_version", "prediction", "expected", "exposure"]
    rows = portfolio.read(spark, "predictions", batch)
    rows = rows.select(*columns, "input_hash", "lower", "upper").collect()
    return sorted(str([*row[:-2], *map(_12_digits, row[-2:])]) for row in rows)


def _12_digits(value):
    return value if value is None else f"{round(value, 9) + 0.0:.12g}"


def added_files(portfolio, table="predictions"):
    """Return the add actions of a table's last commit."""
    last = sorted((portfolio.base / table / "_delta_log").glob("*.json"))[-1]
    actions = map(json.loads, last.read_text().splitlines())
    return [action["add"] for action in actions if "add" in action]


def prepared_files(portfolio):
    return sorted((portfolio.base / "prepared" / f"batch_id={FIRST}").glob("*.parquet"))


def test_files_read_and_written_by_tasks_hold_what_one_process_computed(portfolio, finished, spark):
    line = portfolio.must(f"predict --batch {SECOND}")
    assert line["details"]["read"] == {"by": "files"}
    assert (line["rows_in"], line["rows_out"]) == (POLICIES, OUTPUTS * POLICIES)
    assert values(portfolio, spark, SECOND) == values(finished, spark, SECOND)
    in_one_process = finished.read(spark, "runs", SECOND).where("stage = 'predict'").first()
    for name in ("models", "expected", "unseen_levels"):
        assert line["details"][name] == json.loads(in_one_process["details"])[name]
    assert line["details"]["hosts"], "workers say which kernel they used"
    for add in added_files(portfolio):
        schema, statistics = written_file(portfolio, add), json.loads(add["stats"])
        assert schema.equals(written_file(finished, added_files(finished)[0]))
        assert statistics["minValues"] == {"policy_id": "P000"}
        assert statistics["maxValues"] == {"policy_id": f"P{POLICIES - 1}"}
        assert statistics["numRecords"] == POLICIES
    assert portfolio.kyros(f"predict --batch {SECOND}").status == "skipped"


def written_file(portfolio, add):
    return pq.read_schema(portfolio.base / "predictions" / add["path"])


def alter(portfolio, spark, *statements, table="prepared"):
    for statement in statements:
        spark.sql(statement.format(table=f"delta.`{portfolio.base / table}`"))


def set_property(name, table="prepared"):
    def change(portfolio, spark):
        alter(portfolio, spark, f"ALTER TABLE {{table}} SET TBLPROPERTIES ({name})", table=table)

    return change


def delete_by_vector(portfolio, spark):
    alter(
        portfolio, spark,
        "ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
        f"DELETE FROM {{table}} WHERE batch_id = '{FIRST}' AND policy_id = 'P000'",
    )  # fmt: skip


def rewrite(change, **options):
    """Return what replaces a file of `prepared` by another one under its name."""

    def spoil(portfolio, spark):
        path = prepared_files(portfolio)[0]
        pq.write_table(change(pq.ParquetFile(path).read()), path, **options)
        path.with_name(f".{path.name}.crc").unlink(missing_ok=True)

    return spoil


def as_floats(rows):
    """Bonus is 1, 0.5 or 0.25: whole powers of 2 lose nothing as float32."""
    at = rows.schema.get_field_index("exposure")
    return rows.set_column(at, "exposure", rows["exposure"].cast(pa.float32()))


def in_the_log(change):
    """Return what changes the statistics of `prepared` in its log."""

    def spoil(portfolio, spark):
        for log in (portfolio.base / "prepared" / "_delta_log").glob("*.json"):
            actions = [json.loads(line) for line in log.read_text().splitlines()]
            for add in (action["add"] for action in actions if "add" in action):
                add["stats"] = json.dumps(change(json.loads(add["stats"])))
            log.write_text("\n".join(map(json.dumps, actions)) + "\n")
            log.with_name(f".{log.name}.crc").unlink(missing_ok=True)

    return spoil


SPOILT = {
    "deletion vectors": (delete_by_vector, "deletionVectors"),
    "column mapping": (
        set_property("'delta.columnMapping.mode' = 'name', 'delta.minReaderVersion' = '2', "
                     "'delta.minWriterVersion' = '5'"),
        "columnMapping",
    ),
    "widened types": (set_property("'delta.enableTypeWidening' = 'true'"), "typeWidening"),
    "rows that are told to others": (
        set_property("'delta.enableChangeDataFeed' = 'true'", "predictions"),
        "table predictions is not plain",
    ),
    "a file under the same name": (rewrite(lambda rows: rows, compression="none"), "bytes"),
    "a column of another type": (rewrite(as_floats), "bytes"),
    "a log that counts other rows": (
        in_the_log(lambda stats: stats | {"numRecords": stats["numRecords"] + 1}), "in the log"),
    "a log that counts no rows": (in_the_log(lambda stats: {}), "does not say how many"),
}  # fmt: skip


@pytest.mark.repeats
@pytest.mark.parametrize("what", SPOILT)
def test_where_files_do_not_tell_the_rows_spark_does(portfolio, finished, spark, what):
    spoil, because = SPOILT[what]
    spoil(portfolio, spark)
    line = portfolio.must(f"predict --batch {FIRST}")
    assert line["details"]["read"]["by"] == "spark"
    assert because in line["details"]["read"]["because"]
    assert values(portfolio, spark) == values(finished, spark)


def test_a_column_s_type_is_looked_up_in_each_file(portfolio, finished, spark):
    """As after a type was widened: the file's size is as the log has it, its column is not."""
    path = prepared_files(portfolio)[0]
    rewrite(as_floats)(portfolio, spark)
    size = path.stat().st_size
    for log in (portfolio.base / "prepared" / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for add in (a["add"] for a in actions if "add" in a and path.name in a["add"]["path"]):
            add["size"] = size
        log.write_text("\n".join(map(json.dumps, actions)) + "\n")
        log.with_name(f".{log.name}.crc").unlink(missing_ok=True)
    line = portfolio.must(f"predict --batch {FIRST}")
    assert "column exposure: float, not double" in line["details"]["read"]["because"]


def test_a_file_that_vacuum_removed_is_an_error_with_a_name(portfolio, tables_as_before):
    prepared_files(portfolio)[0].unlink()
    tables_as_before(portfolio.base)
    outcome = portfolio.kyros(f"predict --batch {FIRST}")
    assert outcome.code == 3 and "prepared" in outcome.message


def test_a_file_that_changes_while_tasks_begin_is_read_by_spark(
    portfolio, finished, spark, monkeypatch
):
    run_tasks = by_files._run_tasks

    def replaced_before(*given):
        rewrite(lambda rows: rows, compression="none")(portfolio, spark)
        return run_tasks(*given)

    monkeypatch.setattr(by_files, "_run_tasks", replaced_before)
    line = portfolio.must(f"predict --batch {FIRST}")
    assert "found another file" in line["details"]["read"]["because"]
    assert values(portfolio, spark) == values(finished, spark)


def test_killed_between_writing_and_commit_nothing_is_lost_or_doubled(
    portfolio, finished, spark, monkeypatch
):
    def dies(self, *given):
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(FileCommit, "end", dies)
        with pytest.raises(Killed):
            portfolio.kyros(f"predict --batch {FIRST}")
    assert values(portfolio, spark) == values(finished, spark), "as before"
    assert portfolio.must(f"predict --batch {FIRST}")["rows_out"] == OUTPUTS * POLICIES
    assert values(portfolio, spark) == values(finished, spark)


def test_a_full_disk_leaves_no_file_and_the_next_run_is_whole(
    portfolio, finished, spark, monkeypatch
):
    before = set((portfolio.base / "predictions").rglob("*.parquet"))
    take = FileCommit.take

    def full(self, *given):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as filled:
        filled.setattr(FileCommit, "take", full)
        outcome = portfolio.kyros(f"predict --batch {FIRST}")
    assert outcome.line["error"]["type"] == "StorageFullError"
    assert set((portfolio.base / "predictions").rglob("*.parquet")) == before
    assert FileCommit.take is take
    portfolio.must(f"predict --batch {FIRST}")
    assert values(portfolio, spark) == values(finished, spark)


@pytest.mark.slow
def test_micro_batches_of_files_go_on_where_a_killed_run_stopped(
    portfolio, finished, spark, monkeypatch
):
    portfolio.set("prepare.features.power.description", "engine power")
    portfolio.set("tables.rows_per_file", 50)
    portfolio.must(f"prepare --batch {FIRST}")
    portfolio.set("predict.rows_per_micro_batch", 50)
    killed_run(portfolio, monkeypatch, f"predict --batch {FIRST}", "write", 2)
    assert values(portfolio, spark) == values(finished, spark), "no reader sees a part"
    line = portfolio.must(f"predict --batch {FIRST}")
    assert line["details"]["read"] == {"by": "files"}
    assert line["details"]["micro_batches"] == {"all": 3, "of_earlier_runs": 1}
    assert values(portfolio, spark) == values(finished, spark)
    assert "count" not in line["details"], "the totals lie beside the micro-batches"
    assert not staged_logs(portfolio, "predictions")
    # A run that Spark reads goes on behind micro-batches of files: both divide alike.
    portfolio.set("predict.rows_per_arrow_batch", 151)
    killed_run(portfolio, monkeypatch, f"predict --batch {FIRST}", "write", -2)
    line = portfolio.must(f"predict --batch {FIRST} --set predict.read=spark")
    assert line["details"]["micro_batches"] == {"all": 3, "of_earlier_runs": 2}
    assert values(portfolio, spark) == values(finished, spark)


def test_a_huge_file_is_divided_by_its_row_groups_and_no_row_is_left_out():
    skewed = RowGroups("huge", 1, (900_000, 300_000, 300_000), (0, 1, 2))
    files = [RowGroups("small", 1, (10,), (0,)), skewed, RowGroups("empty", 1, (), ())]
    tasks = list(tasks_of(files, slots=4))
    assert [task.number for task in tasks] == list(range(len(tasks)))
    assert sum(task.rows for task in tasks) == 1_500_010
    assert max(task.rows for task in tasks) == 900_000, "a row group is never divided"
    numbers = [(part.path, *part.numbers) for task in tasks for part in task.parts]
    assert numbers == [("small", 0), ("huge", 0), ("huge", 1), ("huge", 2)]
