"""Read row groups of a table's data files in a task, by Arrow. This module needs no JVM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from kyros_spark.errors import DamagedFileError
from kyros_spark.storage.stores import LOCAL, Store

_BUFFER = 256 << 10  # bytes per column: a row group's columns are read bit by bit, not whole


@dataclass(frozen=True)
class RowGroups:
    """Some row groups of a file, as the driver found them.

    path: as the store has it. size: the file's bytes. counts: the rows of each of its row groups,
    of which ``numbers`` are meant.
    """

    path: str
    size: int
    counts: tuple[int, ...]
    numbers: tuple[int, ...]
    store: Store = LOCAL

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return sum(self.counts[number] for number in self.numbers)


def open_file(path: str, codes: Sequence[str] = (), store: Store = LOCAL) -> pq.ParquetFile:
    """Return a data file. codes: columns to return as dictionaries.

    It is read bit by bit, or from afar the needed parts of a row group at once.
    """
    is_far = store.is_remote
    return pq.ParquetFile(
        store.reader(path), coerce_int96_timestamp_unit="us", read_dictionary=list(codes),
        buffer_size=0 if is_far else _BUFFER, pre_buffer=is_far,
    )  # fmt: skip


def row_counts(file: pq.ParquetFile) -> tuple[int, ...]:
    """Return the rows of each row group, as the file's footer has them."""
    footer = file.metadata
    return tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups))


def batches(
    part: RowGroups, columns: Sequence[str], codes: Sequence[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some row groups in batches of at most so many.

    codes: text columns to return as dictionaries.

    Raises:
        DamagedFileError: the file is gone, is not the one that the driver looked at, cannot be
            read, or holds other rows than its footer says.
    """
    count = 0
    try:
        if part.store.size(part.path) != part.size:
            raise DamagedFileError(f"{part.path}: expected {part.size} bytes, found another file")
        with open_file(part.path, codes, part.store) as file:
            if row_counts(file) != part.counts:
                raise DamagedFileError(f"{part.path}: expected the rows as listed, found others")
            for batch in file.iter_batches(
                rows, row_groups=list(part.numbers), columns=list(columns), use_threads=False
            ):
                count += batch.num_rows
                yield batch.select(list(columns))
    except (OSError, pa.ArrowException) as error:
        raise DamagedFileError(f"{part.path} cannot be read: {error}") from error
    if count != part.rows:
        raise DamagedFileError(
            f"{part.path}: expected {part.rows} rows by its footer, found {count}"
        )
