"""Rows that are read from a table's files are those that Spark reads, or are left to Spark."""

import datetime as dt
from decimal import Decimal

import pytest

from kyros_spark.config import TableSettings
from kyros_spark.delta import partition_rows
from kyros_spark.delta.partition_rows import plain_table, small_rows
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.delta.where import where
from kyros_spark.tables.contract import Column, Table

TABLE = Table(
    name="probe",
    comment="Columns of the kinds that small tables have.",
    columns=tuple(
        Column(name, kind, name)
        for name, kind in (
            ("batch_id", "string"), ("model_name", "string"), ("version", "string"),
            ("rows", "bigint"), ("share", "double"), ("paid", "decimal(9,2)"), ("day", "date"),
            ("moment", "timestamp"), ("levels", "array<string>"), ("counts", "map<string,bigint>"),
        )
    ),
    key=("batch_id", "model_name"),
    partition_by=("batch_id", "model_name"),
)  # fmt: skip
FULL = {
    "rows": 2**53 + 1, "share": -0.0, "paid": Decimal("0.10"), "day": dt.date(2024, 2, 29),
    "moment": dt.datetime(2024, 7, 1, 12, 30, 0, 123_456, tzinfo=dt.UTC),
    "levels": ["a", None, "Zürich"], "counts": {"b": 1, "": 2},
}  # fmt: skip
ROWS = [
    {"batch_id": batch, "model_name": model, "version": version, **values}
    for batch, model, version, values in [
        ("2023", "glm", "1", FULL),
        ("2023", "glm", "2", {}),
        ("2023", "tree's", "1", FULL),
        ("2024 %41", "glm", None, {"rows": 0}),
        ("2024 %41", "glm", "1", FULL),
    ]
]


@pytest.fixture(scope="module")
def tables(spark, tmp_path_factory):
    """A table in three commits, one of which replaced what the first had written."""
    tables = DeltaTables(spark, TableSettings(base=str(tmp_path_factory.mktemp("plain"))))
    tables.append_rows(TABLE, ROWS[:2], "first")
    tables.append_rows(TABLE, ROWS[2:], "second")
    gone = where({"batch_id": ["2023"], "model_name": ["tree's"]})
    tables.replace_rows(TABLE, ROWS[2:3], "third", gone, batch="2023")
    return tables


def exact(row):
    """Return a row as a text that tells -0.0 from 0.0; the entries of a map have no order."""
    return repr({n: sorted(v.items()) if isinstance(v, dict) else v for n, v in row.items()})


@pytest.mark.parametrize(
    "partition", [{}, {"batch_id": "2023"}, {"batch_id": "2024 %41", "model_name": "glm"}]
)
@pytest.mark.parametrize("columns", [None, ["moment", "batch_id"], ["model_name"], ["share"]])
def test_rows_are_those_that_spark_collects(tables, monkeypatch, partition, columns):
    version = tables.version(TABLE.name)
    ours = small_rows(tables, TABLE.name, version, columns, partition)
    monkeypatch.setattr(partition_rows, "plain_table", lambda *asked: None)
    theirs = small_rows(tables, TABLE.name, version, columns, partition)
    assert sorted(map(exact, ours)) == sorted(map(exact, theirs))
    assert len(ours) == sum(partition.items() <= row.items() for row in ROWS)


def test_an_earlier_version_has_the_rows_it_had(tables):
    assert len(small_rows(tables, TABLE.name, 1)) == 2


def test_distinct_texts_are_sparks(tables):
    names = ["model_name", "version", "batch_id"]
    version = tables.version(TABLE.name)
    distinct = plain_table(tables, TABLE.name, version).distinct({}, names)
    rows = tables.read(TABLE.name, version).select(*names).distinct().collect()
    assert sorted(map(repr, distinct)) == sorted(repr(row.asDict()) for row in rows)


@pytest.mark.parametrize(
    "texts",
    [["same"] * 3, [""] * 3, [None] * 3, ["same", None, "same"], ["same", "other", "same"],
     ["x" * 5000 + "a"] * 3, ["x" * 5000 + "a", "x" * 5000 + "b"] * 2],
    ids=lambda texts: repr(texts)[:20],
)  # fmt: skip
def test_a_text_that_is_the_same_throughout_is_told_by_the_footer_and_others_are_read(
    tables, tmp_path, texts
):
    twin = DeltaTables(tables.spark, TableSettings(base=str(tmp_path)))
    rows = [ROWS[0] | {"version": text, "rows": n} for n, text in enumerate(texts)]
    twin.append_rows(TABLE, rows, "run")
    table = plain_table(twin, TABLE.name, 1)
    assert table.rows({}, ["version"]).column("version").to_pylist() == texts
    assert table.rows({}, ["rows", "version"]).column("version").to_pylist() == texts
    distinct = table.distinct({}, ["version"])
    assert [row["version"] for row in distinct] in (
        found := list(dict.fromkeys(texts)),
        found[::-1],
    )


def test_a_damaged_file_is_left_to_spark_which_names_it(tables, tmp_path):
    twin = DeltaTables(tables.spark, TableSettings(base=str(tmp_path)))
    twin.append_rows(TABLE, ROWS, "run")
    table = plain_table(twin, TABLE.name, 1)
    (tmp_path / TABLE.name / table.files[0]["path"].replace("%25", "%")).write_bytes(b"PAR1")
    assert table.rows({}, ["rows"]) is None
    assert table.distinct({}, ["version"]) is None
