"""Training rows come from the files of `prepared` if these tell them, and from Spark otherwise."""

import pyarrow as pa

from kyros_spark.stages.train.training_rows import TrainingRows

ROWS = pa.table({"fuel": ["petrol", None, "diesel"], "claims": [0, 1, 2]})


class Frame:
    """Stands for a DataFrame that counts how often its rows are collected."""

    collected = 0

    def select(self, *columns):
        return self

    @property
    def sparkSession(self):
        return type("Session", (), {"version": "4.0.0"})

    def toArrow(self):
        self.collected += 1
        return ROWS


def shared(read_files):
    frame = Frame()
    rows = TrainingRows(frame, ROWS.column_names, is_local=True, read_files=read_files)
    assert rows.shared is rows.shared
    assert rows.shared.table["fuel"].to_pylist() == ROWS["fuel"].to_pylist()
    assert rows.shared.table["claims"].to_pylist() == ROWS["claims"].to_pylist()
    return frame.collected


def test_spark_is_not_asked_for_rows_that_files_tell():
    halves = pa.concat_tables([ROWS.slice(0, 1), ROWS.slice(1)])
    assert shared(lambda columns: halves.select(columns)) == 0


def test_spark_is_asked_once_where_files_do_not_tell():
    assert shared(lambda columns: None) == 1
