"""The tables read without Spark: by delta-rs, and through it in DuckDB."""

import json

import deltalake
import duckdb
import pyarrow
import pyarrow.parquet
from portfolio import FIRST, SECOND, claim_rows


def rows_of(table, query):
    """Answer a query on a table by delta-rs itself, as docs/sql.md advises."""
    builder = deltalake.QueryBuilder().register("rows", table)
    return pyarrow.table(builder.execute(query).read_all())


def ask(finished, query, *names):
    """Answer a query in DuckDB on the tables that delta-rs reads."""
    with duckdb.connect() as connection:
        for name in names:
            table = deltalake.DeltaTable(str(finished.base / name))
            connection.register(name, rows_of(table, "SELECT * FROM rows"))
        return connection.sql(query).fetchall()


def test_duckdb_sums_what_spark_wrote(finished):
    amounts = [float(claim[3]) for claim in claim_rows(FIRST)]
    ((count, amount),) = ask(finished, "SELECT count(*), sum(amount) FROM claims", "claims")
    assert (count, amount) == (len(amounts), sum(amounts))
    query = "SELECT sum(claim_count) FROM prepared SEMI JOIN claims USING (batch_id, policy_id)"
    assert ask(finished, query, "prepared", "claims") == [(count,)]


def test_every_prediction_reads_the_same_bit_for_bit(finished, spark):
    columns = ["model_name", "batch_id", "policy_id", "prediction"]
    found = ask(finished, f"SELECT {', '.join(columns)} FROM predictions", "predictions")
    expected = finished.read(spark, "predictions").select(columns).collect()
    assert sorted(found) == sorted(map(tuple, expected))
    assert {row[1] for row in found} == {FIRST, SECOND}


def test_the_past_and_the_comments_are_there_too(finished):
    table = deltalake.DeltaTable(str(finished.base / "policies"))
    assert {str(f.name) for f in table.schema().fields} >= {"policy_id", "fuel", "run_id"}
    power = next(f for f in table.schema().fields if f.name == "power")
    assert power.metadata["comment"] == "engine power in kW"
    assert table.metadata().configuration["kyros.key"] == "batch_id,policy_id"
    first = deltalake.DeltaTable(str(finished.base / "policies"), version=1)
    assert rows_of(first, "SELECT * FROM rows").num_rows == 120


def mapped_table(folder):
    """Write a table with column mapping, whose files name their columns otherwise than it does."""
    (folder / "_delta_log").mkdir(parents=True)
    content = {"col-1": ["type", "type", "range"], "col-2": [1, 2, 3]}
    pyarrow.parquet.write_table(pyarrow.table(content), folder / "rows.parquet")
    kinds = {"rule": "string", "policy id": "long"}
    fields = []
    for number, (name, kind) in enumerate(kinds.items(), start=1):
        mapping = {"id": number, "physicalName": f"col-{number}"}
        metadata = {f"delta.columnMapping.{key}": value for key, value in mapping.items()}
        fields.append({"name": name, "type": kind, "nullable": True, "metadata": metadata})
    metadata = {
        "id": "mapped",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": [],
        "configuration": {
            "delta.columnMapping.mode": "name",
            "delta.columnMapping.maxColumnId": "2",
        },
    }
    file = {"path": "rows.parquet", "partitionValues": {}, "modificationTime": 0}
    file |= {"size": (folder / "rows.parquet").stat().st_size, "dataChange": True}
    protocol = {"minReaderVersion": 2, "minWriterVersion": 5}
    actions = [{"protocol": protocol}, {"metaData": metadata}, {"add": file}]
    commit = "\n".join(json.dumps(action) for action in actions)
    (folder / "_delta_log/00000000000000000000.json").write_text(commit)
    return deltalake.DeltaTable(str(folder))


def test_the_advised_way_reads_a_table_with_column_mapping(tmp_path):
    """delta-rs' dataset for Arrow gives NULL in every column of it."""
    rows = rows_of(
        mapped_table(tmp_path / "mapped"), 'SELECT * FROM rows ORDER BY rule, "policy id"'
    )
    assert rows.to_pylist() == [
        {"rule": "range", "policy id": 3},
        {"rule": "type", "policy id": 1},
        {"rule": "type", "policy id": 2},
    ]
