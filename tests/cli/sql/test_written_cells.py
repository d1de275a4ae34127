"""Nested values in CSV and Markdown: JSON that names every field, at any depth."""

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from types import SimpleNamespace

import pytest
from pyspark.sql import Row

from kyros_spark.cli.sql.formats import write_text

REASON = Row(rule="min", found=None, at=dt.date(2024, 2, 29))
# value -> the JSON document that stands for it
NESTED = {
    "list of structs": ([REASON, REASON], [{"rule": "min", "found": None, "at": "2024-02-29"}] * 2),
    "struct of structs": (Row(a=Row(b=[Row(c=1)])), {"a": {"b": [{"c": 1}]}}),
    "map of structs": ({"x": Row(c=0.5)}, {"x": {"c": 0.5}}),
    "map by day": ({dt.date(2024, 1, 1): Decimal("1.50")}, {"2024-01-01": "1.50"}),
    "map by truth": ({True: 1}, {"true": 1}),
    "list of bytes": ([b"\x01", None, True], ["01", None, True]),
    "empty": ([], []),
}


@pytest.mark.parametrize("kind", ["csv", "markdown"])
def test_a_nested_value_is_json_with_its_fields_names(kind):
    rows = [tuple(value for value, _ in NESTED.values())]
    answer = SimpleNamespace(columns=list(NESTED), toLocalIterator=lambda: iter(rows))
    out = io.StringIO(newline="")
    assert write_text(answer, kind, out) == 1
    if kind == "csv":
        _, cells = csv.reader(io.StringIO(out.getvalue()))
        assert [json.loads(cell) for cell in cells] == [document for _, document in NESTED.values()]
    else:
        assert '"rule": "min"' in out.getvalue().replace("\\", "")
