"""Row groups that a task reads itself: the rows that were listed, or an error that names the file."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kyros_spark.delta.row_groups import RowGroups, batches, open_file, row_counts
from kyros_spark.errors import DamagedFileError

ROWS = pa.table({"n": list(range(100)), "text": [f"level {n % 3}" for n in range(100)]})


@pytest.fixture
def part(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(ROWS, path, row_group_size=40, compression="none", use_dictionary=["text"])
    with open_file(str(path)) as file:
        return RowGroups(str(path), path.stat().st_size, row_counts(file), (0, 1, 2))


def read(part, rows=15):
    return list(batches(part, ["text", "n"], ["text"], rows))


def test_the_rows_of_the_row_groups_come_in_small_batches(part):
    some = RowGroups(part.path, part.size, part.counts, (0, 2))
    taken = read(some)
    assert some.rows == 60 and max(batch.num_rows for batch in taken) <= 15
    whole = pa.Table.from_batches(taken)
    assert whole["n"].to_pylist() == [*range(40), *range(80, 100)]
    assert pa.types.is_dictionary(whole["text"].type) and whole.column_names == ["text", "n"]
    assert whole["text"].to_pylist()[-1] == "level 0"


def cut(content):
    return content[:-20]


def changed(content):
    at = content.index(b"level 1") - 6  # in the header of the page of levels
    return content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :]


@pytest.mark.parametrize("spoil", [cut, changed, lambda content: b"no Parquet", None])
def test_a_file_that_is_not_as_listed_is_named(part, spoil, tmp_path):
    path = tmp_path / "rows.parquet"
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DamagedFileError, match=r"rows\.parquet"):
        read(part)


@pytest.mark.parametrize("counts", [(40, 40), (40, 40, 21), (50, 30, 20)])
def test_a_footer_of_other_rows_is_refused(part, counts):
    numbers = tuple(range(len(counts)))
    with pytest.raises(DamagedFileError, match="found others"):
        read(RowGroups(part.path, part.size, counts, numbers))
