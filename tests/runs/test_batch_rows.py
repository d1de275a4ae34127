"""Rows of prepared batches come from the files, without a query, and are Spark's rows."""

import json

import pyarrow.parquet as pq
import pytest
from portfolio import FIRST, SECOND

from kyros_spark.config import load_config
from kyros_spark.runs import batch_rows
from kyros_spark.runs.batch_rows import BatchRows
from kyros_spark.runs.portfolio import Portfolio

COLUMNS = ["policy_id", "fuel", "power", "claim_count", "exposure"]


@pytest.fixture(scope="module")
def rows_of(finished, spark):
    """Return the rows of both batches as texts, in order, and how many queries that took."""
    portfolio = Portfolio(spark, load_config(str(finished.config_file())))
    runs = {batch: portfolio.ledger.last_run("prepare", batch) for batch in (FIRST, SECOND)}
    asked = spark._jsparkSession.sharedState().statusStore()

    def queries():
        """Return the latest query's number: of a session's many only the last are kept."""
        spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()  # they are noted by and by
        return asked.executionsList().last().executionId()

    def read():
        before = queries()
        policies = sum(run.rows_out for run in runs.values())
        table = BatchRows(portfolio, "prepared", runs, policies).held(COLUMNS)
        return sorted(map(repr, table.to_pylist())), queries() - before

    return read


class Texts:
    """A sum of rows: their texts."""

    def __init__(self):
        self.rows = []

    def add(self, batch):
        self.rows += map(repr, batch.to_pylist())

    def merge(self, other):
        self.rows += json.loads(other)

    def to_bytes(self):
        return json.dumps(self.rows).encode()


@pytest.mark.parametrize("damage", [False, True])
def test_rows_that_come_a_file_at_a_time_are_those_that_are_held(
    finished, spark, monkeypatch, damage
):
    portfolio = Portfolio(spark, load_config(str(finished.config_file())))
    runs = {batch: portfolio.ledger.last_run("prepare", batch) for batch in (FIRST, SECOND)}
    rows = BatchRows(portfolio, "prepared", runs, sum(run.rows_out for run in runs.values()))
    held = Texts()
    for batch in rows.held(COLUMNS).to_batches():
        held.add(batch)
    if damage:  # of the second file, when the first is added already
        read = iter([pq.ParquetFile.read])

        def once(file, columns):
            how = next(read, None)
            if how is None:
                raise OSError("broken")
            return how(file, columns)

        monkeypatch.setattr(pq.ParquetFile, "read", once)
    streamed = rows.streamed(COLUMNS).aggregate(COLUMNS, Texts)
    assert sorted(streamed.rows) == sorted(held.rows)


def test_no_query_is_made_and_the_rows_are_sparks(rows_of, monkeypatch):
    ours, queries = rows_of()
    assert queries == 0
    monkeypatch.setattr(batch_rows, "plain_table", lambda *asked: None)
    theirs, queries = rows_of()
    assert queries > 0
    assert ours == theirs
