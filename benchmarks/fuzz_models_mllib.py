"""Damage an MLlib folder, and hold what is scored all the same against Spark's own transform."""

import json
import shutil

import numpy as np
import pyarrow

from benchmarks.fuzz_models_facts import by_folder_facts
from benchmarks.fuzz_models_judge import scored
from benchmarks.fuzz_models_subjects import (
    MLLIB_FACTS,
    MLLIB_TREE_FACTS,
    mllib_rows,
    write_mllib,
)
from benchmarks.fuzz_models_ways import by_bytes, by_structure

NOT_A_TABLE = (pyarrow.ArrowException, TypeError, ValueError, AttributeError, OverflowError)


def damaged(number, rng, folder):
    """Write a damaged folder; return whether it could be written."""
    facts, rows = json.dumps(MLLIB_FACTS).encode(), json.dumps(mllib_rows()).encode()
    trees = [{"_1": k, "_2": json.dumps(MLLIB_TREE_FACTS), "_3": 1.0} for k in (0, 1)]
    kind = number % 5
    if kind == 0:
        facts = (by_structure if rng.random() < 0.5 else by_folder_facts)(facts, rng)
    elif kind == 1:
        trees = json.loads(by_structure(json.dumps(trees).encode(), rng))
    else:
        rows = by_structure(rows, rng)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        write_mllib(folder, facts, json.loads(rows), trees)
    except NOT_A_TABLE:
        return False
    if kind == 4:
        table = folder / "data" / "part-00000.parquet"
        table.write_bytes(by_bytes(table.read_bytes(), rng))
    return True


def judge_mllib(mutants, seed, folder, spark=None, most=0):
    """Try mutants of a folder; Spark answers for the first `most` of those that are scored."""
    rng, wrong, unnamed = np.random.default_rng(seed), [], []
    written = refused = kept = asked = refused_by_spark = number = 0
    while written < mutants:
        number += 1
        if not damaged(number, rng, folder):
            continue
        written += 1
        try:
            result = scored(folder, "mllib")
        except Exception as error:
            unnamed.append(f"{seed}-{number}: {type(error).__name__} {str(error)[:100]}")
            continue
        if result is None:
            refused += 1
            continue
        kept += 1
        if spark is None or asked + refused_by_spark >= most or result[1] is None:
            continue
        theirs = by_spark(spark, folder, result[0])
        if theirs is None:
            refused_by_spark += 1
            continue
        asked += 1
        if not np.allclose(result[1], theirs, rtol=1e-12, atol=0, equal_nan=True):
            wrong.append(f"{seed}-{number}")
    return {
        "mutants": mutants,
        "refused": refused,
        "scored": kept,
        "compared": asked,
        "refused by the library": refused_by_spark,
        "mis-scored": wrong,
        "unnamed": unnamed,
    }


def by_spark(spark, folder, rows):
    """Return Spark's predictions, or None where Spark cannot load or apply the model."""
    from pyspark.ml.linalg import Vectors
    from pyspark.ml.regression import RandomForestRegressionModel

    try:
        model = RandomForestRegressionModel.load(str(folder))
        vectors = [(Vectors.dense(row.tolist()),) for row in rows]
        asked = spark.createDataFrame(vectors, ["features"]).coalesce(1)
        return np.array([row[0] for row in model.transform(asked).select("prediction").collect()])
    except Exception:  # whatever Spark says of a damaged folder
        return None
