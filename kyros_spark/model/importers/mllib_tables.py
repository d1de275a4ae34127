"""Read the small Parquet tables of an MLlib model, within bounds that their files set."""

from pathlib import Path
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, PlatformError
from kyros_spark.model.importers.growth import refuse_growth


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a small Parquet folder."""
    rows: list[dict[str, Any]] = table_in(folder).to_pylist()
    return rows


def numbers_of(table: Any, name: str) -> np.ndarray:
    """Return a column as an array.

    Raises ModelFormatError for a column with gaps.
    """
    column = table.column(name)
    if column.null_count:
        raise ModelFormatError(f"MLlib model: {name}: expected a value in each row")
    array: np.ndarray = column.to_numpy()
    return array


def whole_numbers_of(table: Any, name: str) -> np.ndarray:
    """Return a column of whole numbers as int64.

    Raises ModelFormatError for a column of another type, or with gaps.
    """
    array = numbers_of(table, name)
    if array.dtype.kind != "i":
        raise ModelFormatError(f"MLlib model: {name}: expected whole numbers, found {array.dtype}")
    return array.astype(np.int64)


def fields_of(table: Any, name: str) -> Any:
    """Return the fields of a struct column as a table."""
    import pyarrow

    return pyarrow.Table.from_struct_array(table.column(name).combine_chunks())


def bytes_in(folder: Path) -> int:
    """Return the size of a folder's Parquet files."""
    return sum(part.stat().st_size for part in folder.glob("*.parquet"))


def table_in(folder: Path) -> Any:
    """Return a Parquet folder as a table.

    Parquet packs a million equal values into a few bytes, so what the footers say of the number of
    values is held against the files' size before any is read.

    Raises ModelFormatError for damaged files, ModelNotSupportedError for values out of proportion,
    PlatformError without pyarrow.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise PlatformError("importing a Spark MLlib model needs pyarrow; install it") from error
    try:
        parts = sorted(folder.glob("*.parquet"))
        footers = [parquet.read_metadata(part) for part in parts]
        refuse_growth("MLlib", f"{folder.name}/", sum(map(_size, footers)), bytes_in(folder))
        return parquet.read_table(folder)
    except (ArrowException, OSError) as error:
        raise ModelFormatError(f"MLlib model: {folder.name}: {str(error)[:200]}") from error


def _size(footer: Any) -> int:
    """Return the bytes that a file's values take once read, by its footer (8 of a number)."""
    groups = (footer.row_group(k) for k in range(footer.num_row_groups))
    columns = (group.column(k) for group in groups for k in range(group.num_columns))
    return sum(max(8 * column.num_values, column.total_uncompressed_size) for column in columns)
