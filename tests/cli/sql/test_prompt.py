"""The prompt answers queries and its own commands, and stays whatever is typed."""

import csv
import io
import json
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from kyros_spark.cli.sql import FORMATS, prompt
from kyros_spark.cli.sql.answer import answer, write_answer
from kyros_spark.cli.sql.formats import format_of
from kyros_spark.config import load_config
from kyros_spark.errors import UsageError

ROWS = r"""
SELECT * FROM VALUES
  (1, 'a,"b"', 1.5D, array(1, 2), named_struct('x', 1, 'y', NULL), DATE '2026-01-02', 2.50),
  (2, 'line\none | two', CAST('NaN' AS DOUBLE), NULL, NULL, NULL, NULL)
AS t(n, text, amount, list, pair, day, exact) ORDER BY n
"""


@pytest.fixture(scope="module")
def config(finished):
    return load_config(str(finished.config_file()))


@pytest.fixture
def conversation(spark, config, capsys, monkeypatch, tmp_path):
    """Type lines at the prompt, and return what it shows."""
    monkeypatch.chdir(tmp_path)

    def typed(*lines):
        remaining = iter([*lines, "\\q"])
        monkeypatch.setattr(prompt, "line_editor", lambda *_: lambda: next(remaining))
        prompt.prompt(spark, config)
        return capsys.readouterr().out

    return typed


def test_every_format_says_the_same_rows(spark, config, tmp_path):
    rows = {}
    for kind in FORMATS:
        file = tmp_path / f"rows-{kind}"
        said = write_answer(spark, config, ROWS, kind, str(file))
        assert said.startswith("the first rows" if kind in ("table", "vertical") else "2 rows")
        rows[kind] = pq.read_table(file).to_pylist() if kind == "parquet" else file.read_text()
    assert not list(tmp_path.glob(".*")), "no unfinished file is left"
    head, first, second = csv.reader(io.StringIO(rows["csv"], newline=""))
    assert head == ["n", "text", "amount", "list", "pair", "day", "exact"]
    assert first == ["1", 'a,"b"', "1.5", "[1, 2]", '{"x": 1, "y": null}', "2026-01-02", "2.50"]
    assert second == ["2", "line\none | two", "nan", "", "", "", ""]
    first, second = map(json.loads, rows["json"].splitlines())
    assert first["pair"] == {"x": 1, "y": None} and first["exact"] == 2.5
    assert second["list"] is None and second["text"] == "line\none | two"
    first, second = rows["parquet"]
    assert first["exact"] == Decimal("2.50") and first["list"] == [1, 2] and second["day"] is None
    lines = rows["markdown"].splitlines()
    assert len(lines) == 4 and "line one \\| two" in lines[3] and lines[1].count("---") == 7
    assert '|1  |a,"b"' in rows["table"] and "-RECORD 1" in rows["vertical"]


def test_a_file_is_replaced_by_a_whole_one_alone(spark, config, tmp_path):
    file = tmp_path / "rows.csv"
    write_answer(spark, config, "SELECT 1 AS one", None, str(file))
    with pytest.raises(UsageError, match="SQL: .*DIVIDE_BY_ZERO"):
        write_answer(
            spark,
            config,
            "SELECT 1 / (id - 3) AS part FROM (SELECT explode(sequence(0, 8)) AS id)",
            None,
            str(file),
        )
    assert file.read_text() == "one\n1\n" and not list(tmp_path.glob(".*"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=r"--out .*folder.csv: expected a file"):
        write_answer(spark, config, "SELECT 1 AS one", None, str(tmp_path / "folder.csv"))


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_two_columns_of_a_name_are_refused_where_only_one_has_a_place(
    spark, config, tmp_path, kind
):
    with pytest.raises(UsageError, match="different names of columns, found a more than once"):
        write_answer(spark, config, "SELECT 1 AS a, 2 AS a", kind, str(tmp_path / "x"))
    assert answer(spark, config, "SELECT 1 AS a, 2 AS a", "csv") == "a,a\r\n1,2\r\n"


def test_the_format_is_the_one_asked_for_or_that_of_the_ending():
    endings = {"a.csv": "csv", "b.PARQUET": "parquet", "c.jsonl": "json", "d.md": "markdown"}
    assert {file: format_of(None, file) for file in endings} == endings
    assert format_of("csv", "a.txt") == "csv" and format_of(None, None) == "table"
    with pytest.raises(UsageError, match="name a file"):
        format_of("parquet", None)
    with pytest.raises(UsageError, match="found .doc; name the format"):
        format_of(None, "a.doc")


def test_summarize_says_what_each_column_holds(spark, config):
    query = f"SUMMARIZE {ROWS}"
    rows = {
        row["column"]: row
        for row in csv.DictReader(io.StringIO(answer(spark, config, query, "csv")))
    }
    assert rows["n"] == {"column": "n", "type": "int", "rows": "2", "missing": "0", "distinct": "2",
                         "min": "1", "median": "1", "mean": "1.5", "max": "2"}  # fmt: skip
    assert rows["day"]["missing"] == "1" and rows["day"]["min"] == "2026-01-02"
    assert rows["pair"]["distinct"] == "" and rows["text"]["mean"] == ""
    table = answer(spark, config, "SUMMARIZE policies;", "csv")
    assert table.count("\n") - 1 == len(
        answer(spark, config, "TABLE policies", "csv").split("\r\n")[0].split(",")
    )
    with pytest.raises(UsageError, match="only reads"):
        answer(spark, config, "SUMMARIZE DELETE FROM policies")


def test_the_start_says_tables_and_how_models_are_called(conversation):
    shown = conversation()
    assert "tables: policies, claims" in shown
    assert "function: kyros_predict_frequency(fuel, place, driver, power, log_bonus)" in shown


def test_its_own_commands(conversation, tmp_path):
    shown = conversation(
        "\\d", "\\d policies", "\\x", "SELECT 1 AS one;", "\\timing", "SELECT 2;", "\\?"
    )
    assert "rejects" in shown and "Clean policies" in shown
    assert "the extract that this row belongs to" in shown
    assert "-RECORD 0" in shown and "timing is on" in shown and " s\n" in shown
    assert "SUMMARIZE TABLE;" in shown
    shown = conversation("\\o rows.csv", "SELECT 7 AS seven;", "SELECT 8 AS eight;")
    assert "1 rows written to rows.csv" in shown and "|8" in shown.replace("eight", "")
    assert (tmp_path / "rows.csv").read_text() == "seven\n7\n"


def test_an_explanation_is_a_plan_not_a_table(conversation):
    shown = conversation("EXPLAIN SELECT * FROM policies;")
    assert (
        "== Physical Plan ==" in shown
        and "+--" not in shown.split("leaves.")[1].split("Scan")[0][:20]
    )


@pytest.mark.parametrize(("typed", "expected"), [
    ("SELECT nothing FROM policies;", "nothing"),
    ("DROP TABLE policies;", "only reads"),
    ("\\d elsewhere", "expected a table (policies"),
    ("\\o rows.doc", "expected an ending"),
    ("\\what", "expected \\d, \\x, \\timing"),
    ("\\d a b", "expected \\d"),
    (";", ""),
])  # fmt: skip
def test_it_stays_whatever_is_typed(conversation, typed, expected):
    shown = conversation(typed, "SELECT 2 AS two;")
    assert expected in shown and "|2  |" in shown
