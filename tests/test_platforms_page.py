"""docs/platforms.md links to what is there, and says of every platform whether it was tried."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "platforms.md"


def tables(text):
    """Yield each table's header and rows, as lists of cells."""
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = [[one.strip() for one in line.strip("|").split("|")] for line in block.splitlines()]
        yield cells[0], cells[2:]


def test_every_tick_links_to_a_file_and_every_cell_says_something():
    found = list(tables(PAGE.read_text(encoding="utf-8")))
    assert len(found) == 2
    for header, rows in found:
        assert rows and all(len(row) == len(header) and all(row) for row in rows)
        for cell in (cell for row in rows for cell in row[1:]):
            links = re.findall(r"\]\((.*?)\)", cell)
            assert links or cell in ("not tested", "no executors")
            assert all((PAGE.parent / link).is_file() for link in links)
