"""Folds of the training part, each held out once."""

import pandas as pd

from kyros_spark.transforms.folds import FOLD, with_fold, with_fold_held_out


def test_a_client_stays_in_one_fold_and_each_row_is_held_out_once(spark):
    table = pd.DataFrame({"client": [f"C{n // 3}" for n in range(900)], "n": range(900)})
    rows = with_fold(spark.createDataFrame(table).repartition(3), ["client"], 4)
    found = rows.toPandas()
    assert found.groupby("client")[FOLD].nunique().max() == 1
    assert found.groupby(FOLD).size().min() > 150 and found[FOLD].nunique() == 4
    held = with_fold_held_out(rows, 2).toPandas()
    assert ((held["split"] == "valid") == (held[FOLD] == 2)).all()
