"""What the driver writes itself is what Delta's own writer would have written, or is left to it."""

import datetime as dt
import json
import os
import shutil
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest
from portfolio import SETTINGS

from kyros_spark.config import Config, TableSettings
from kyros_spark.delta import frame_writer
from kyros_spark.delta import log as delta_log
from kyros_spark.delta import tables as delta_tables
from kyros_spark.delta.file_commit import FileCommit
from kyros_spark.delta.frames import rows_as_frame
from kyros_spark.delta.log_files import active_files
from kyros_spark.delta.open_commit import begin
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.delta.upkeep import vacuum
from kyros_spark.delta.where import Among, Where, batch, combinations, where
from kyros_spark.errors import ConcurrentRunError, TableConstraintError, TableSchemaError
from kyros_spark.foreign_errors import is_full
from kyros_spark.tables.all import all_tables
from kyros_spark.tables.contract import Column, Table
from kyros_spark.tables.runs import RUNS

TYPES = ("string", "int", "long", "double", "decimal(38,10)", "decimal(9,2)", "date",
         "timestamp", "boolean")  # fmt: skip
ALL_TYPES = {f"of_{n}": {"type": kind} for n, kind in enumerate(TYPES)}


def config():
    """The tiny portfolio's settings, with a column of every type in both sources."""
    sources = {
        name: {**source, "path": "nowhere", "columns": source["columns"] | ALL_TYPES}
        for name, source in SETTINGS["sources"].items()
    }
    power = {"kind": "numeric", "precision": "float"}
    prepare = SETTINGS["prepare"] | {"features": SETTINGS["prepare"]["features"] | {"power": power}}
    return Config.model_validate(
        SETTINGS | {"sources": sources, "prepare": prepare, "tables": {"base": "nowhere"}}
    )


CONTRACTS = all_tables(config())
UTC = dt.UTC
ODD = {
    "string": ["", "plain", "it's", 'a "b" \\ `c`', "Zürich 東京 🚗", "line\nline", "a" * 40, None],
    "int": [0, -(2**31), 2**31 - 1, None],
    "bigint": [0, -(2**63), 2**63 - 1, None],
    "float": [0.5, -0.0, float("nan"), float("-inf"), None],
    "double": [0.1, -0.0, float("nan"), float("inf"), 5e-324, None],
    "decimal(38,10)": [Decimal("9" * 28 + "." + "9" * 10), Decimal("-0.0000000001"), None],
    "decimal(9,2)": [Decimal("-9999999.99"), Decimal("0.10"), None],
    "date": [dt.date(1, 1, 1), dt.date(1582, 10, 4), dt.date(9999, 12, 31), None],
    "timestamp": [
        dt.datetime(1970, 1, 1, tzinfo=UTC), dt.datetime(2262, 4, 12, tzinfo=UTC),
        dt.datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC), None,
    ],
    "boolean": [True, False, None],
    "array<string>": [[], ["", None, "b"], None],
    "map<string,double>": [{}, {"": float("nan"), "é": -0.0, "n": None}, None],
    "map<string,bigint>": [{}, {"a'b": 2**53 + 1}, None],
    "array<double>": [[], [float("nan"), -0.0, None], None],
    "struct<statistic:double,pvalue:double>": [{"statistic": -0.0, "pvalue": None}, None],
    "map<string,string>": [{}, {"a": "", "b": None}, None],
}  # fmt: skip
REASON = {"rule": "r", "column": None, "expected": "é", "found": ""}
SOUND = {"status": "done", "part": "all", "rule": "r", "prediction": 0.5, "exposure": 0.5,
         "batch_id": "2023", "model_name": "m", "drift_type": "BASELINE"}  # fmt: skip
STATUS = {"models": "champion", "segments": "fitted"}


def odd_rows(table, sound=SOUND):
    """Rows that go through the odd values of each column, those of constraints kept sound."""
    kinds = {
        column.name: ODD.get(column.type, [[REASON, REASON], [], None]) for column in table.columns
    }
    if table.name in STATUS:
        sound = sound | {"status": STATUS[table.name]}
    return [
        {name: sound.get(name, values[n % len(values)]) for name, values in kinds.items()}
        for n in range(8)
    ]


@pytest.fixture
def tables(spark, tmp_path):
    return DeltaTables(spark, TableSettings(base=str(tmp_path / "tables")))


def content(spark, tables, name):
    """Return a table's rows as texts that tell NULL, NaN, -0.0 and an empty text apart."""
    rows = spark.read.format("delta").load(tables.location(name)).collect()
    return sorted(exact(row.asDict(recursive=True)) for row in rows)


def exact(row):
    return repr([(name, plain(row[name])) for name in sorted(row)])


def plain(value):
    """Return a value as Spark and delta-rs both have it, once their ways are made one."""
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, list) and value and isinstance(value[0], tuple):  # a map of Arrow's
        return sorted(value)
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone().replace(tzinfo=None)
    return value


def executions(spark):
    return spark._jsparkSession.sharedState().statusStore().executionsCount()


def log_of(tables, name):
    return sorted(Path(tables.location(name), "_delta_log").glob("*.json"))


def data_of(tables, name):
    return {str(path) for path in Path(tables.location(name)).rglob("*.parquet")
            if "_delta_log" not in path.parts}  # fmt: skip


def by_spark(tables, table, rows, run_id, condition=None, batch=None):
    """Write as the DataFrame writer does."""
    frame = rows_as_frame(tables.spark, table, rows)
    if condition is None:
        tables.append(table, frame, run_id)
    else:
        tables.replace(table, frame, run_id, condition, batch=batch)


@pytest.mark.repeats
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_every_table_holds_what_the_dataframe_writer_writes(contract, tables, spark):
    rows, twin = odd_rows(contract), replace(contract, name=f"{contract.name}_twin")
    by_spark(tables, twin, rows, "run")
    tables.append_rows(contract, rows[:1], "first")
    before = executions(spark)
    written = tables.append_rows(contract, rows[1:], "run")
    assert executions(spark) == before, "it takes no query"
    assert (written.version, written.rows) == (2, 7)
    assert content(spark, tables, contract.name) == content(spark, tables, twin.name)
    schemas = [
        spark.read.format("delta").load(tables.location(name)).schema
        for name in (contract.name, twin.name)
    ]
    assert schemas[0] == schemas[1]
    outside = deltalake.DeltaTable(tables.location(contract.name)).to_pyarrow_table().to_pylist()
    assert sorted(map(exact, outside)) == content(spark, tables, twin.name)


@pytest.mark.repeats
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_its_commit_reads_like_one_of_the_dataframe_writer(contract, tables, spark):
    rows, twin = odd_rows(contract), replace(contract, name=f"{contract.name}_twin")
    by_spark(tables, twin, rows, "run", batch("2023"), batch="2023")
    tables.replace_rows(contract, rows, "run", batch("2023"), batch="2023")
    ours, theirs = (
        [json.loads(line) for line in log_of(tables, name)[-1].read_text().splitlines()]
        for name in (contract.name, twin.name)
    )
    info, their_info = ours[0]["commitInfo"], theirs[0]["commitInfo"]
    for key in ("operation", "isolationLevel", "isBlindAppend", "userMetadata", "readVersion"):
        assert info[key] == their_info[key], key
    assert info["operationMetrics"].keys() == their_info["operationMetrics"].keys()
    for key in ("numFiles", "numOutputRows", "numRemovedFiles", "numCopiedRows"):
        assert info["operationMetrics"][key] == their_info["operationMetrics"][key], key
    add, their_add = (next(a["add"] for a in log if "add" in a) for log in (ours, theirs))
    assert add["partitionValues"] == their_add["partitionValues"]
    assert Path(add["path"]).parent == Path(their_add["path"]).parent
    stats, their_stats = json.loads(add["stats"]), json.loads(their_add["stats"])
    assert stats["numRecords"] == their_stats["numRecords"] == 8
    for kind in ("minValues", "maxValues", "nullCount"):
        known = stats[kind]
        assert known == {name: their_stats[kind][name] for name in known}, kind


BROKEN = {"status": "bogus", "part": None, "rule": None, "prediction": None, "exposure": -0.5,
          "batch_id": None, "drift_type": "SINCE"}  # fmt: skip


@pytest.mark.repeats
@pytest.mark.parametrize(
    "contract", [c for c in CONTRACTS if c.constraints], ids=lambda contract: contract.name
)
def test_a_row_that_breaks_a_constraint_is_refused_as_by_delta(contract, tables):
    (rule,) = contract.constraints.values()
    column = rule.split()[0]
    good = odd_rows(contract)
    broken = [*good[:3], good[3] | {column: BROKEN[column]}]
    tables.append_rows(contract, good, "good")
    log, data = log_of(tables, contract.name), data_of(tables, contract.name)
    with pytest.raises(TableConstraintError) as ours:
        tables.append_rows(contract, broken, "bad")
    assert (log_of(tables, contract.name), data_of(tables, contract.name)) == (log, data)
    with pytest.raises(TableConstraintError) as theirs:
        by_spark(tables, contract, broken, "bad")
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [("seconds", "many"), ("rows_in", 1.5), ("rows_in", 2**63), ("phases", 3), ("run_id", 7),
     ("phases", {"a": "b"}), ("started_at", "yesterday")],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_by_name(tables, column, value):
    tables.append_rows(RUNS, [SOUND], "good")
    with pytest.raises(TableConstraintError, match=f"table runs, column {column}: expected"):
        tables.append_rows(RUNS, [SOUND | {column: value}], "bad")
    assert len(log_of(tables, "runs")) == 2


def test_a_constraint_that_a_user_added_holds_too(tables, spark):
    good = SOUND | {"seconds": 1.0, "stage": "clean"}
    tables.append_rows(RUNS, [good], "good")
    for name, rule in (("quick", "seconds < 60"), ("odd", "length(stage) > 3")):
        spark.sql(f"ALTER TABLE {tables.reference('runs')} ADD CONSTRAINT {name} CHECK ({rule})")
        for row in ({"seconds": 61.0}, {"seconds": None}) if name == "quick" else ({"stage": "x"},):
            with pytest.raises(TableConstraintError, match=f"CHECK constraint {name}"):
                tables.append_rows(RUNS, [good | row], "bad")
    tables.append_rows(RUNS, [good], "good")
    assert len(content(spark, tables, "runs")) == 2


LEDGER = [
    {"run_id": f"r{n}", "stage": stage, "batch_id": label, "status": "done", "ordinal": n}
    for n, (stage, label) in enumerate(
        (stage, label) for stage in ("a", "it's", "NAME.CLASS", None) for label in ("1", "2", None)
    )
]
CONDITIONS = {
    "one batch": batch("1"),
    "a batch that is not there": batch("9"),
    "two columns": where({"batch_id": ["1", "2"], "stage": ["it's"]}),
    "numbers": where({"ordinal": [0, 5, 99]}),
    "pairs": combinations(["stage", "ordinal"], [("a", 0), ("a", 4), ("it's", 3)]),
    "nothing allowed": where({"stage": []}),
    "the part before the dot": Where((Among(("stage",), (("NAME",), ("a",)), head=True),)),
}
PARTITIONED = replace(RUNS, name="parted", partition_by=("batch_id",))


@pytest.fixture(scope="module")
def ledgers(spark, tmp_path_factory):
    """Return a folder of ledgers and their twins: half of the rows are of Spark, half of ours."""
    base = tmp_path_factory.mktemp("ledgers")
    tables = DeltaTables(spark, TableSettings(base=str(base)))
    for contract in (RUNS, PARTITIONED):
        for table in (contract, replace(contract, name=f"{contract.name}_twin")):
            by_spark(tables, table, LEDGER[::2], "first")
            tables.append_rows(table, LEDGER[1::2], "second")
    return base


@pytest.mark.repeats
@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize("contract", [RUNS, PARTITIONED], ids=lambda contract: contract.name)
def test_what_is_replaced_is_what_delta_replaces_and_no_other_row(
    contract, condition, ledgers, spark, tmp_path, monkeypatch
):
    for module in (frame_writer, delta_tables):  # these conditions reach several batches
        monkeypatch.setattr(module, "check_given", lambda table, batch: None)
    shutil.copytree(ledgers, tmp_path / "tables")
    tables = DeltaTables(spark, TableSettings(base=str(tmp_path / "tables")))
    twin = replace(contract, name=f"{contract.name}_twin")
    # Delta's own writer refuses rows outside the condition, so the new rows lie within it.
    rows = spark.createDataFrame([], "run_id string").take(0)
    kept = spark.read.format("delta").load(tables.location(contract.name))
    inside = [row.asDict() for row in kept.where(condition.sql()).collect()]
    rows = [row | {"run_id": "new", "ordinal": row["ordinal"]} for row in inside[:2]]
    by_spark(tables, twin, rows, "replacing", condition)
    written = tables.replace_rows(contract, rows, "replacing", condition, batch=None)
    assert written.rows == len(rows)
    assert content(spark, tables, contract.name) == content(spark, tables, twin.name)
    place = tables.location(contract.name)
    outside = deltalake.DeltaTable(place).to_pyarrow_table(columns=["run_id", "ordinal"])
    expected = [(row["run_id"], row["ordinal"]) for row in LEDGER]
    gone = {row["run_id"] for row in inside}
    expected = [pair for pair in expected if pair[0] not in gone]
    expected += [(row["run_id"], row["ordinal"]) for row in rows]
    assert sorted(zip(*outside.to_pydict().values(), strict=True)) == sorted(expected)


def test_nothing_replaced_by_nothing_is_no_commit(tables):
    written = tables.replace_rows(RUNS, [], "run", batch("1"), batch="1")
    assert (written.version, written.rows) == (0, 0)
    tables.append_rows(RUNS, LEDGER, "run")
    for condition in (batch("9"), where({"stage": ["b"]})):
        written = tables.replace_rows(RUNS, [], "run", condition, batch=None)
        assert (written.version, written.rows) == (1, 0)
    assert tables.append_rows(RUNS, [], "run").version == 1
    assert len(log_of(tables, "runs")) == 2
    written = tables.replace_rows(RUNS, [], "run", batch("1"), batch="1")
    assert (written.version, written.rows) == (2, 0), "replacing rows by none is one"


def test_a_column_added_to_the_contract_is_added_to_the_table_in_the_same_commit(tables, spark):
    earlier = replace(RUNS, columns=RUNS.columns[:-3])
    tables.append_rows(earlier, LEDGER[:1], "earlier")
    again = DeltaTables(spark, tables._settings)  # as a later process sees it
    written = again.append_rows(RUNS, [SOUND | {"error": "why", "ordinal": 4}], "later")
    assert written.version == 2
    table = spark.read.format("delta").load(tables.location("runs"))
    assert table.schema[-1].metadata["comment"] == RUNS.columns[-1].comment
    assert [row["error"] for row in table.orderBy("error").collect()] == [None, "why"]
    again.replace_rows(RUNS, LEDGER[1:2], "later", where({"stage": ["a"]}), batch=None)
    assert table.sparkSession.read.format("delta").load(tables.location("runs")).count() == 2


def test_a_column_of_another_type_is_refused_before_anything_is_written(tables, spark):
    spoilt = [replace(c, type="string") if c.name == "ordinal" else c for c in RUNS.columns]
    tables.append_rows(replace(RUNS, columns=tuple(spoilt)), [SOUND], "earlier")
    again = DeltaTables(spark, tables._settings)
    with pytest.raises(TableSchemaError, match="column ordinal: expected bigint, found string"):
        again.append_rows(RUNS, LEDGER, "later")
    assert len(log_of(tables, "runs")) == 2


PROPERTIES = {
    "deletion vectors": "'delta.enableDeletionVectors' = 'true'",
    "column mapping": "'delta.columnMapping.mode' = 'name'",
    "a change feed": "'delta.enableChangeDataFeed' = 'true'",
    "row tracking": "'delta.enableRowTracking' = 'true'",
}


@pytest.mark.repeats
@pytest.mark.parametrize("properties", PROPERTIES.values(), ids=PROPERTIES)
def test_a_table_with_features_that_need_more_than_a_file_is_left_to_delta(
    properties, tables, spark
):
    tables.append_rows(RUNS, LEDGER, "first")
    spark.sql(f"ALTER TABLE {tables.reference('runs')} SET TBLPROPERTIES ({properties})")
    if "DeletionVectors" in properties:
        spark.sql(f"DELETE FROM {tables.reference('runs')} WHERE run_id = 'r4'")
        assert list(Path(tables.location("runs")).glob("*.bin")), "a vector, not a file without it"
    count = spark.read.format("delta").load(tables.location("runs")).count()
    assert begin(spark, tables.location("runs"), "runs", []) is None
    written = tables.replace_rows(RUNS, LEDGER[:1], "second", where({"run_id": ["r0"]}), batch=None)
    assert written.rows == 1 and tables.append_rows(RUNS, LEDGER[:2], "third").rows == 2
    assert tables.rewrite_rows(RUNS, "run", lambda rows: rows) is None
    assert spark.read.format("delta").load(tables.location("runs")).count() == count + 2
    with pytest.raises(TableConstraintError):
        tables.append_rows(RUNS, [{"status": "bogus"}], "bad")


@pytest.mark.slow
def test_where_deltas_classes_are_out_of_reach_the_dataframe_writer_writes(
    tables, spark, monkeypatch
):
    monkeypatch.setattr(delta_log, "is_reachable", lambda spark: False)
    assert tables.append_rows(RUNS, LEDGER, "first").version == 1
    written = tables.replace_rows(RUNS, LEDGER[:1], "second", where({"run_id": ["r0"]}), batch=None)
    assert (written.version, written.rows) == (2, 1)
    phases = pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float64()))
    arrow = pa.table({"run_id": ["r1"], "status": ["done"], "phases": phases})
    assert (
        tables.replace_arrow(RUNS, arrow, "third", where({"run_id": ["r1"]}), batch=None).version
        == 3
    )
    assert len(content(spark, tables, "runs")) == len(LEDGER)


@pytest.mark.parametrize("blind", [True, False], ids=["appends", "replaces"])
def test_a_commit_made_meanwhile_is_respected(tables, spark, monkeypatch, blind):
    """Another driver commits to the same batch between our files and our commit."""
    tables.append_rows(RUNS, LEDGER, "first")
    other, end = DeltaTables(spark.newSession(), tables._settings), FileCommit.end

    def overtaken(commit, *given):
        monkeypatch.setattr(FileCommit, "end", end)
        other.replace_rows(RUNS, [LEDGER[0] | {"run_id": "theirs"}], "other", batch("1"), batch="1")
        return end(commit, *given)

    monkeypatch.setattr(FileCommit, "end", overtaken)
    if blind:
        tables.append_rows(RUNS, [LEDGER[1]], "ours")
    else:
        with pytest.raises(ConcurrentRunError, match="table runs: expected to be the only run"):
            tables.replace_rows(RUNS, [LEDGER[0]], "ours", batch("1"), batch="1")
    read = spark.read.format("delta").load(tables.location("runs"))
    ids = sorted(row["run_id"] for row in read.where("batch_id = '1'").collect())
    assert ids == ["theirs"] and read.count() == (10 if blind else 9)


class Killed(BaseException):
    """What no code of ours catches: the process is gone."""


@pytest.mark.repeats
@pytest.mark.parametrize("when", ["before", "behind"])
def test_a_run_that_is_killed_around_its_commit_loses_and_doubles_nothing(
    tables, spark, monkeypatch, when
):
    tables.append_rows(RUNS, LEDGER, "first")
    files, end = data_of(tables, "runs"), FileCommit.end
    new = [LEDGER[0] | {"error": "again"}]

    def killed(commit, *given):
        if when == "behind":
            end(commit, *given)
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(FileCommit, "end", killed)
        with pytest.raises(Killed):
            tables.replace_rows(RUNS, new, "killed", batch("1"), batch="1")
    read = spark.read.format("delta").load(tables.location("runs"))
    assert read.count() == (12 if when == "before" else 9)
    later = DeltaTables(spark, tables._settings)
    later.replace_rows(RUNS, new, "later", batch("1"), batch="1")
    read = spark.read.format("delta").load(tables.location("runs"))
    assert read.count() == 9 and read.where("batch_id = '1'").count() == 1
    orphans = (
        data_of(tables, "runs")
        - files
        - {
            str(Path(tables.location("runs"), add["path"]))
            for add in active_files(spark, tables.location("runs"), later.version("runs"))
        }
    )
    assert orphans, "a file that no version names, or the last but one"
    for path in orphans:
        os.utime(path, (0, 0))
    vacuum(later, "runs", 7)
    assert read.count() == 9


def test_vacuum_lists_with_a_few_tasks_whatever_the_session_says(tables, spark):
    tables.append_rows(RUNS, LEDGER, "first")
    setting = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
    before, tracker = spark.conf.get(setting), spark.sparkContext.statusTracker()
    try:
        spark.conf.set(setting, "500")
        spark.sparkContext.setJobGroup("vacuum", "count the tasks")
        vacuum(tables, "runs", 7)
        assert spark.conf.get(setting) == "500", "the session's own setting is as it was"
    finally:
        spark.conf.set(setting, before)
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    jobs = map(tracker.getJobInfo, tracker.getJobIdsForGroup("vacuum"))
    stages = [tracker.getStageInfo(stage) for job in jobs for stage in job.stageIds]
    tasks = [stage.numTasks for stage in stages if stage is not None]
    assert tasks and max(tasks) < 200


def test_a_full_device_is_named_and_the_same_rows_are_written_once_there_is_room(
    tables, spark, tmp_path
):
    device = tmp_path / "tables"
    device.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "kyros", str(device)]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system cannot be mounted here: it takes root, and Linux")
    try:
        tables.append_rows(RUNS, LEDGER, "first")
        for leaving in (0, 4096, 12288):
            free = os.statvfs(device)
            (device / "ballast").write_bytes(bytes(free.f_bavail * free.f_frsize - leaving))
            with pytest.raises(Exception) as full:  # Java's or Python's own
                tables.append_rows(RUNS, LEDGER[:1], "full")
            assert is_full(full.value), full.value
            (device / "ballast").unlink()
            assert len(content(spark, tables, "runs")) == len(LEDGER)
        tables.append_rows(RUNS, LEDGER[:1], "again")
        assert len(content(spark, tables, "runs")) == len(LEDGER) + 1
    finally:
        subprocess.run(["umount", "-l", str(device)], check=True)


NAMES = ["plain", "a b", "a/b", "50%", "ü=東", "it's", 'q"', "x:y", "{z}", "NAME.CLASS", "p+q&r#s?"]
SCORES = Table(
    name="scores",
    comment="Scores.",
    columns=(
        Column("policy", "string", "the policy"),
        Column("model_name", "string", "the model"),
        Column("score", "double", "the score"),
        Column("batch_id", "string", "the batch"),
    ),
    key=("policy",),
    partition_by=("batch_id", "model_name"),
    constraints={"given": "score IS NOT NULL"},
)


def scores(label, score):
    rows = [{"policy": f"P{n}", "model_name": name, "batch_id": label, "score": score + n}
            for n in range(5) for name in NAMES]  # fmt: skip
    return pa.Table.from_pylist(rows)


def test_arrow_rows_are_written_into_the_folders_that_delta_names(tables, spark):
    twin = replace(SCORES, name="twin")
    by_spark(tables, twin, scores("2024", 0.5).to_pylist(), "theirs")
    before = scores("2023", 0.25)
    tables.replace_arrow(SCORES, before, "first", batch("2023"), batch="2023")
    written = tables.replace_arrow(
        SCORES, scores("2024", 0.5).to_batches(20), "run", batch("2024"), batch="2024"
    )
    assert written.rows == 55
    ours, theirs = ({str(Path(path).parent.relative_to(tables.location(name)))
                     for path in data_of(tables, name)} for name in ("scores", "twin"))  # fmt: skip
    assert theirs < ours and {folder for folder in ours if "2024" in folder} == theirs
    read = spark.read.format("delta").load(tables.location("scores"))
    found = sorted((r.batch_id, r.model_name, r.policy, r.score) for r in read.collect())
    arrow = pa.concat_tables([before, scores("2024", 0.5)]).to_pylist()
    expected = sorted((r["batch_id"], r["model_name"], r["policy"], r["score"]) for r in arrow)
    assert found == expected
    outside = deltalake.DeltaTable(tables.location("scores")).to_pyarrow_table().to_pylist()
    assert (
        sorted((r["batch_id"], r["model_name"], r["policy"], r["score"]) for r in outside)
        == expected
    )
    again = where({"batch_id": ["2024"], "model_name": ["a/b", "50%"]})
    assert tables.replace_arrow(SCORES, before.slice(0, 0), "run", again, batch="2024").rows == 0
    assert spark.read.format("delta").load(tables.location("scores")).count() == 100


def test_no_file_of_arrow_rows_has_more_rows_than_asked_for(tables, spark):
    rows = scores("2023", 0.5)
    tables.replace_arrow(SCORES, rows, "run", batch("2023"), rows_per_file=2, batch="2023")
    sizes = [
        json.loads(add["stats"])["numRecords"]
        for add in active_files(spark, tables.location("scores"), 1)
    ]
    assert sorted(sizes) == sorted([2, 2, 1] * len(NAMES))
    with pytest.raises(TableConstraintError):
        broken = rows.set_column(3, "score", pa.nulls(rows.num_rows, pa.float64()))
        tables.replace_arrow(SCORES, broken, "bad", batch("2023"), batch="2023")
    assert len(log_of(tables, "scores")) == 2 and len(data_of(tables, "scores")) == len(sizes)


@pytest.mark.slow
def test_the_log_names_the_files_that_delta_reads_past_checkpoints_and_others_commits(
    tables, spark
):
    for n in range(25):
        tables.replace_rows(
            RUNS,
            [LEDGER[0] | {"ordinal": n}],
            f"run {n}",
            where({"ordinal": [n - 3]}),
            batch=None,
        )
    place = tables.location("runs")
    assert list(Path(place, "_delta_log").glob("*.checkpoint.parquet"))
    deltalake.DeltaTable(place).delete("ordinal = 23")  # no checksum beside its commit
    version = tables.version("runs")
    read = spark.read.format("delta").load(place)
    found = {add["path"] for add in active_files(spark, place, version)}
    assert found == {Path(path).name for path in read.inputFiles()}
    tables.replace_rows(
        RUNS, [LEDGER[0] | {"ordinal": 30}], "last", where({"ordinal": [22]}), batch=None
    )
    read = spark.read.format("delta").load(place)
    assert sorted(row["ordinal"] for row in read.collect()) == [24, 30]
    for checkpoint in Path(place, "_delta_log").glob("*.checkpoint.parquet"):
        version = int(checkpoint.name.split(".")[0]) - 1  # told by the commits from the first
        read = spark.read.format("delta").option("versionAsOf", version).load(place)
        found = {add["path"] for add in active_files(spark, place, version)}
        assert found == {Path(path).name for path in read.inputFiles()}
    Path(place, "_delta_log", f"{0:020d}.json").unlink()
    assert active_files(spark, place, version) is None


def test_a_text_that_no_encoding_takes_does_not_stop_the_ledger(tables, spark):
    tables.append_rows(RUNS, [SOUND | {"error": "file \udcff.csv"}], "run")
    assert spark.read.format("delta").load(tables.location("runs")).first()["error"] == "file ?.csv"


def test_an_updated_registry_keeps_every_other_row_bit_for_bit(tables, spark):
    contract = next(contract for contract in CONTRACTS if contract.name == "models")
    rows = [row | {"model_version": n} for n, row in enumerate(odd_rows(contract))]
    by_spark(tables, contract, rows, "first")
    before = content(spark, tables, "models")

    def change(all_rows):
        return [
            row | ({"status": "retired"} if row["model_version"] == 3 else {}) for row in all_rows
        ]

    written = tables.rewrite_rows(contract, "second", change)
    assert (written.version, written.rows) == (2, 8)
    after = content(spark, tables, "models")
    assert len(set(after) - set(before)) == 1 and len(set(before) & set(after)) == 7
