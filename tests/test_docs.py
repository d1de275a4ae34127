"""The worked example of docs/clean.md and docs/prepare.md gives what the pages say it gives."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from kyros_spark.cli import main

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [DOCS / "clean.md", DOCS / "prepare.md"]
_TABLE = re.compile(r"`(SELECT [^`]+ FROM (\w+))`:\n\n((?:\|.*\n)+)")


def blocks(text, kind):
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def example(spark, tmp_path_factory):
    """Run the two pages in a folder of their own; return the session with their tables as views."""
    folder = tmp_path_factory.mktemp("docs")
    clean, prepare = (page.read_text(encoding="utf-8") for page in PAGES)
    names = re.findall(r"`(\w+\.csv)`", clean)
    for name, content in zip(names, blocks(clean, "csv"), strict=True):
        (folder / name).write_text(content, encoding="utf-8")
    settings = folder / "settings.yaml"
    settings.write_text("".join(blocks(clean, "yaml") + blocks(prepare, "yaml")), encoding="utf-8")
    places = {
        "tables.base": folder / "tables",
        "sources.policies.path": folder / "policies_{batch}.csv",
        "sources.claims.path": folder / "claims_{batch}.csv",
    }
    sets = [word for key, value in places.items() for word in ("--set", f"{key}={value}")]
    for stage in ("clean", "prepare"):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = main([stage, "--config", str(settings), *sets])
        assert code == 0, out.getvalue()
    for name in ("rejects", "policies", "claims", "prepared"):
        table = spark.read.format("delta").load(str(folder / "tables" / name))
        table.createOrReplaceTempView(name)
    return spark


SHOWN = [(query, shown) for page in PAGES for query, _, shown in _TABLE.findall(page.read_text())]


def test_both_pages_show_tables():
    assert len(SHOWN) == 4


@pytest.mark.parametrize(("query", "shown"), SHOWN, ids=lambda text: text.split(" FROM ")[-1][:10])
def test_a_query_of_the_page_gives_the_table_below_it(example, query, shown):
    header, _, *rows = (
        [cell.strip() for cell in line.strip().strip("|").split("|")] for line in shown.splitlines()
    )
    frame = example.sql(query)
    assert frame.columns == header
    found = [["" if cell is None else str(cell) for cell in row] for row in frame.collect()]
    assert sorted(found) == sorted(rows)
