"""Folds of the training part."""

import pandas as pd

from kyros_spark.transforms.folds import FOLD, with_fold


def test_a_client_stays_in_one_fold_and_folds_are_alike_in_size(spark):
    table = pd.DataFrame({"client": [f"C{n // 3}" for n in range(900)], "n": range(900)})
    rows = with_fold(spark.createDataFrame(table).repartition(3), ["client"], 4)
    found = rows.toPandas()
    assert found.groupby("client")[FOLD].nunique().max() == 1
    assert found.groupby(FOLD).size().min() > 150 and found[FOLD].nunique() == 4
