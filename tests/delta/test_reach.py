"""A replacing write reaches its own batch alone, whatever its condition says."""

import pyarrow as pa
import pytest

from benchmarks import fuzz_inputs_names as names
from kyros_spark.config import TableSettings
from kyros_spark.delta import log as delta_log
from kyros_spark.delta import reach
from kyros_spark.delta.frames import arrow_as_frame
from kyros_spark.delta.staging import StagedWrite
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.delta.where import Among, Where, batch
from kyros_spark.errors import OtherBatchError

OF_MODEL = Among(("model_name",), (("frequency",),), head=True)


class AsText(Where):
    """A condition whose SQL is not put together as it should be."""

    def __init__(self, sql):
        super().__init__(())
        object.__setattr__(self, "text", sql)

    def sql(self):
        return self.text


@pytest.fixture(scope="module")
def tables(spark, tmp_path_factory):
    tables = DeltaTables(spark, TableSettings(base=str(tmp_path_factory.mktemp("reach"))))
    names.start(tables)
    return tables


@pytest.mark.slow
def test_no_name_of_a_batch_model_or_product_changes_another_batch(spark, tmp_path):
    tables = DeltaTables(spark, TableSettings(base=str(tmp_path)))
    ended, changed = names.fuzz(tables, 40, hostile=8, by_spark=1, seed=3)
    assert changed == []
    assert ended["written"] > 10 and ended["product: refused"] > 2


NEW = names.rows("2024", "frequency")
BY_FILES = {
    "no batch in the condition": (NEW, Where((OF_MODEL,)), "2024"),
    "another batch in it": (NEW, batch("2023"), "2024"),
    "rows of another batch": (names.rows("2023", "frequency"), batch("2024"), "2024"),
    "no batch said": (NEW, batch("2024"), None),
    "rows of two batches": (
        pa.concat_tables([NEW, names.rows("2025", "x")]), batch("2024"), "2024"),
}  # fmt: skip
BY_SPARK = {
    "no batch in the condition": Where((OF_MODEL,)),
    "another batch in it": batch("2023"),
    "two batches": Where((Among(("batch_id",), (("2023",), ("2024",))),)),
    "a quote that ends the text": AsText("batch_id = '2024' AND model_name = 'x' OR '1' = '1'"),
    "an alternative": AsText("batch_id = '2024' OR batch_id = '2023'"),
    "a denial": AsText("NOT batch_id = '2023'"),
    "a comparison": AsText("batch_id >= '2024'"),
    "a pattern": AsText("batch_id LIKE '2024'"),
    "a number": AsText("batch_id = 2024"),
    "a column of a like name": AsText("`batch_id ` = '2024'"),
    "always": AsText("true"),
}


@pytest.mark.parametrize("rows, where, label", BY_FILES.values(), ids=list(BY_FILES))
def test_a_mistake_in_a_write_of_this_process_is_an_error_before_the_commit(
    rows, where, label, tables
):
    version = tables.version(names.TABLE.name)
    with pytest.raises(OtherBatchError, match="nothing was written"):
        tables.replace_arrow(names.TABLE, rows, "run", where, batch=label)
    assert tables.version(names.TABLE.name) == version


@pytest.mark.parametrize("where", BY_SPARK.values(), ids=list(BY_SPARK))
def test_a_mistake_in_a_condition_for_spark_is_an_error_before_the_commit(where, tables):
    version = tables.version(names.TABLE.name)
    with pytest.raises(OtherBatchError, match="expected the write to reach"):
        tables.replace(names.TABLE, arrow_as_frame(tables.spark, names.TABLE, [NEW]), "run", where,
                       batch="2024")  # fmt: skip
    assert tables.version(names.TABLE.name) == version


def test_the_condition_that_stages_write_passes_in_any_order(tables):
    own = batch("2024").conditions
    for where in (Where((*own, OF_MODEL)), Where((OF_MODEL, *own)), Where(own)):
        reach.check_condition(tables.spark, names.TABLE, where.sql(), "2024", tables.find)


def test_without_a_jvm_the_rows_of_the_table_are_asked(tables, monkeypatch):
    check = reach.check_condition
    connect = object()  # has no JVM, as a session of Spark Connect
    check(connect, names.TABLE, batch("2024").sql(), "2024", tables.find)
    with pytest.raises(OtherBatchError, match="one of batch '2023'"):
        check(connect, names.TABLE, Where((OF_MODEL,)).sql(), "2024", tables.find)


def test_published_micro_batches_reach_their_own_batch(tables, spark):
    staged = StagedWrite(tables, names.TABLE, "f" * 16)
    staged.write(0, arrow_as_frame(spark, names.TABLE, [NEW]), "run")
    with pytest.raises(OtherBatchError):
        staged.publish("run", batch("2023"), "2024")
    with pytest.raises(OtherBatchError):
        staged.publish("run", batch("2024"), "2023")
    assert staged.publish("run", batch("2024"), "2024").rows == NEW.num_rows
    staged.discard()
    assert delta_log.is_reachable(spark)
