"""Columns of Arrow batches are encoded as the SQL encodes them, row for row, in the hard cases."""

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from kyros_spark.model.manifest import MISSING_LEVEL, OTHER_LEVEL, Feature
from kyros_spark.scoring import arrow_features
from kyros_spark.transforms import encode

CUTS = (-1.5, 0.1, 21.0, 1e17)
EDGES = [
    x for cut in CUTS for x in (cut, np.nextafter(cut, -math.inf), np.nextafter(cut, math.inf))
]
NUMBERS = [*map(float, EDGES), None, math.nan, 0.0, -0.0, math.inf, -math.inf, 5e-324, 20.999]
TEXTS = ["a", "b", None, "", " a", "A", MISSING_LEVEL, OTHER_LEVEL, "é", "'", "\\", "moon"]
LEVELS = ("a", "", "b", "é", "'", "\\")
BINS = ("<-1.5", "-1.5-<0.1", "0.1-<21", "21-<1e+17")  # the last bin, 1e+17+, was never seen

COLUMNS = {
    "text": (TEXTS, "string", pa.string()),
    "coded": (TEXTS, "string", pa.dictionary(pa.int32(), pa.string())),
    "number": (NUMBERS, "double", pa.float64()),
    "single": ([None, math.nan, 0.1, 21.0, 20.999998, -1.5], "float", pa.float32()),
    "whole": ([None, -2, -1, 0, 20, 21, 22, 2**31 - 1], "int", pa.int32()),
    "long": ([None, 2**53 + 1, 10**17, 10**17 - 1, -(2**62)], "bigint", pa.int64()),
    "decimal": (
        [None, *map(Decimal, ("0.1", "0.0999999999", "21", "20.9999999999", "-1.5", "12345.6789"))],
        "decimal(20,10)", pa.decimal128(20, 10),
    ),
}  # fmt: skip


def levels(**more):
    return {"kind": "levels", "levels": LEVELS, **more}


def with_level(level, place, **more):
    return levels(levels=(*LEVELS[:place], level, *LEVELS[place:]), **more)


OF_TEXTS = {
    "unseen and missing are the base": levels(base_code=2),
    "missing is a level": with_level(MISSING_LEVEL, 1, missing=MISSING_LEVEL),
    "missing has a name of its own": with_level("moon", 0, missing="moon", base_code=3),
    "unseen go together": with_level(OTHER_LEVEL, 6, unseen="other"),
    "unseen are missing": levels(unseen="missing"),
    "unseen are missing, and missing is a level":
        with_level(MISSING_LEVEL, 2, unseen="missing", missing=MISSING_LEVEL),
}  # fmt: skip
OF_NUMBERS = {
    "a number": {},
    "a number with a replacement": {"impute": 0.1},
    "bins": {"kind": "levels", "cuts": CUTS, "levels": BINS, "base_code": 1},
    "bins in another order, missing among them": {
        "kind": "levels", "cuts": CUTS, "levels": (*BINS[::-1], MISSING_LEVEL),
        "missing": MISSING_LEVEL,
    },
    "bins, unseen missing": {"kind": "levels", "cuts": CUTS, "levels": BINS, "unseen": "missing"},
}  # fmt: skip
CASES = [
    (column, case, impute)
    for column in COLUMNS
    for case in (OF_TEXTS if column in ("text", "coded") else OF_NUMBERS)
    for impute in (False, True)
]


@pytest.fixture(scope="module")
def in_sql(spark):
    """Return what Spark gives for each case, all in one query a column."""
    answers = {}
    for column, (values, kind, _) in COLUMNS.items():
        frame = spark.createDataFrame([(n, v) for n, v in enumerate(values)], f"n int, x {kind}")
        cases = [(case, impute) for name, case, impute in CASES if name == column]
        expressions = [
            encode.encoded(feature(case), impute).alias(f"c{n}")
            for n, (case, impute) in enumerate(cases)
        ]
        rows = frame.coalesce(1).select("n", *expressions).orderBy("n").collect()
        for n, (case, impute) in enumerate(cases):
            answers[column, case, impute] = [row[f"c{n}"] for row in rows]
    return answers


def feature(case):
    return Feature(name="x", **(OF_TEXTS | OF_NUMBERS)[case])


@pytest.mark.parametrize(("column", "case", "impute"), CASES)
def test_every_row_is_encoded_as_sql_does(in_sql, column, case, impute):
    values, _, kind = COLUMNS[column]
    array = pa.array(values, kind, from_pandas=False)
    found = arrow_features.encoded(feature(case), array, impute)
    expected = [math.nan if value is None else value for value in in_sql[column, case, impute]]
    assert found.dtype == (np.int32 if isinstance(expected[0], int) else np.float64)
    np.testing.assert_array_equal(found, expected)
    for first, last in ((2, len(values)), (0, 0), (3, 5)):  # a slice keeps its parent's dictionary
        again = arrow_features.encoded(feature(case), array[first:last], impute)
        np.testing.assert_array_equal(again, expected[first:last])
