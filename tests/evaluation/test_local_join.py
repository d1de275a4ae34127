"""Predictions find their policies in this process as a dictionary would: tables of odd keys."""

import math

import numpy as np
import pyarrow as pa
import pytest

from kyros_spark.evaluation.local_join import LocalJoin
from kyros_spark.evaluation.subjects import EvaluatedModel

NAN = math.nan
# Each case: the policies' keys, the predictions' keys, the predictions.
CASES = {
    "in another order": ([("a",), ("b",), ("c",)], [("c",), ("a",), ("b",)], [3.0, 1.0, 2.0]),
    "in the same order": ([("a",), ("b",), ("c",)], [("a",), ("b",), ("c",)], [3.0, 1.0, 2.0]),
    "in another order, one twice": ([("a",), ("a",), ("b",)], [("b",), ("a",), ("a",)], [1.0, 3.0, 4.0]),
    "in the same order, of two columns": ([("a", 1), ("b", 1)], [("a", 1), ("b", 2)], [3.0, 4.0]),
    "missing": ([("a",), ("b",)], [("b",)], [2.0]),
    "of no policy": ([("a",)], [("z",), ("a",)], [9.0, 1.0]),
    "doubled": ([("a",), ("b",)], [("a",), ("a",), ("b",)], [1.0, 5.0, 2.0]),
    "doubled with NaN": ([("a",)], [("a",), ("a",)], [NAN, 5.0]),
    "a policy twice": ([("a",), ("a",)], [("a",)], [4.0]),
    "without a key": ([(None,), ("a",)], [(None,), ("a",)], [7.0, 1.0]),
    "of two columns": ([("a", 1), ("a", 2), ("b", 1)], [("b", 1), ("a", 2), ("b", 2)], [3., 2., 9.]),
    "alike when put together": ([("a", "bc"), ("ab", "c")], [("ab", "c"), ("a", "bc")], [2.0, 1.0]),
    "of three columns": ([(1, "x", 5), (2, "x", 5)], [(2, "x", 5), (1, "y", 5)], [2.0, 9.0]),
    "half of a key missing": ([("a", 1), ("a", None)], [("a", None), ("a", 1)], [7.0, 1.0]),
    "none at all": ([("a",)], [], []),
}  # fmt: skip


def table(keys, like, **columns):
    names = [f"k{n}" for n in range(len(like[0]))]
    types = [pa.array([row[n] for row in like]).type for n in range(len(names))]
    arrays = {name: pa.array([key[n] for key in keys], types[n]) for n, name in enumerate(names)}
    return pa.table({**arrays, **columns}), names


def by_dictionary(policies, keys, values):
    largest = {}
    for key, value in zip(keys, values, strict=True):
        if None not in key:
            before = largest.get(key, -math.inf)
            largest[key] = NAN if math.isnan(before + value) else max(before, value)
    return [None if None in key else largest.get(key) for key in policies]


@pytest.mark.parametrize("case", list(CASES))
def test_predictions_are_found_as_a_dictionary_would(case):
    policies, keys, values = CASES[case]
    model = EvaluatedModel(0, "m", "1", None)
    prepared, names = table(policies, policies, exposure=np.ones(len(policies)))
    join = LocalJoin(prepared, names)
    join.add(model, table(keys, policies, prediction=pa.array(values, pa.float64()))[0])
    found = join.rows().column("_p0").to_pylist()
    expected = by_dictionary(policies, keys, values)
    assert [repr(value) for value in found] == [repr(value) for value in expected]


FILES = [["b", "a"], ["d"], ["f", "c", "e"]]


@pytest.mark.parametrize(
    "files",
    [FILES, FILES[::-1], [FILES[1], FILES[2], FILES[0]], [["b", "d"], ["a"], FILES[2]],
     [["d", "b", "a"], FILES[2]], [FILES[0], ["d"], ["f", "e", "c"]]],
)  # fmt: skip
def test_predictions_are_found_in_whatever_order_of_files_and_rows_they_come(files):
    prepared = pa.table({"k": pa.chunked_array(FILES), "exposure": np.ones(6)})
    join = LocalJoin(prepared, ["k"])
    for number, times in enumerate((1.0, 2.0)):  # of the second, the keys are those of the first
        values = [times * ord(key) for file in files for key in file]
        rows = pa.table({"k": pa.chunked_array(files), "prediction": values})
        join.add(EvaluatedModel(number, "m", "1", None), rows)
    found = join.rows()
    keys = [key for file in FILES for key in file]
    assert found.column("_p0").to_pylist() == [float(ord(key)) for key in keys]
    assert found.column("_p1").to_pylist() == [2.0 * ord(key) for key in keys]


def test_a_load_is_added_to_the_capped_amounts():
    prepared = pa.table({"k": ["a", "b"], "claim_amount": [1.0, None], "claim_excess": [2.0, 5.0]})
    rows = LocalJoin(prepared, ["k"]).rows()
    assert rows.column("claim_amount_with_excess").to_pylist() == [3.0, None]
