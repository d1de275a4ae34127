"""The tables read without Spark: by delta-rs, and through it in DuckDB."""

import deltalake
import duckdb
from portfolio import FIRST, SECOND, claim_rows


def ask(finished, query, *names):
    """Answer a query in DuckDB on the tables that delta-rs reads."""
    with duckdb.connect() as connection:
        for name in names:
            table = deltalake.DeltaTable(str(finished.base / name))
            connection.register(name, table.to_pyarrow_dataset())
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
    assert first.to_pyarrow_dataset().count_rows() == 120
