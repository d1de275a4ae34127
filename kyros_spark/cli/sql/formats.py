"""Write the rows of a query: on the screen, or as a file that other programs read."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from pyspark.sql import DataFrame, Row

from kyros_spark.errors import UsageError
from kyros_spark.publishing.plain_text import plain

SHOWN_ROWS = 100  # of a table on the screen
_BY_SUFFIX = {
    ".csv": "csv", ".json": "json", ".jsonl": "json", ".md": "markdown", ".parquet": "parquet",
    ".txt": "table",
}  # fmt: skip
_BLOCK = 10_000  # rows written at once


def format_of(asked: str | None, file: str | None) -> str:
    """Return the format that was asked for, else that of the file's ending, else a table.

    Raises:
        UsageError: a Parquet file would go to the screen, or the ending says nothing.
    """
    if file is None:
        if asked == "parquet":
            raise UsageError("--format parquet: expected --out FILE, found none; name a file")
        return asked or "table"
    suffix = Path(file).suffix.lower()
    if asked is None and suffix not in _BY_SUFFIX:
        raise UsageError(
            f"--out {file}: expected an ending of {', '.join(_BY_SUFFIX)}, found "
            f"{suffix or 'none'}; name the format with --format"
        )
    return asked or _BY_SUFFIX[suffix]


def shown(rows: DataFrame, kind: str) -> str:
    """Return a table of the first rows for the screen. kind: table or vertical."""
    as_any: Any = rows
    return str(as_any._show_string(SHOWN_ROWS, False, kind == "vertical"))


def write_text(rows: DataFrame, kind: str, out: TextIO) -> int | None:
    """Write rows as text, and return their number, or None where only the first are shown.

    They come partition by partition, so that a large answer needs no more memory than its largest
    part. csv: RFC 4180 with a header; an unknown value is empty. json: one object per line, as
    Spark's `to_json` writes it, unknown values included. Lists and structs are JSON in csv and
    markdown.

    Raises:
        UsageError: two columns have the same name, and JSON has no place for both.
    """
    if kind in ("table", "vertical"):
        out.write(shown(rows, kind))
        return None
    return {"csv": _csv, "json": _json, "markdown": _markdown}[kind](rows, out)


def write_parquet(rows: DataFrame, path: Path) -> int:
    """Write rows as one Parquet file, of the types that Spark maps to Arrow; return their number.

    Raises:
        UsageError: two columns have the same name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark.sql.pandas.types import to_arrow_schema

    _check_unique(rows.columns, "parquet")
    schema, count, remaining = to_arrow_schema(rows.schema), 0, rows.toLocalIterator()
    with pq.ParquetWriter(path, schema) as writer:
        while block := list(islice(remaining, _BLOCK)):
            documents = [row.asDict(recursive=True) for row in block]
            writer.write_batch(pa.RecordBatch.from_pylist(documents, schema=schema))
            count += len(block)
    return count


def _check_unique(columns: list[str], kind: str) -> None:
    twice = [name for name, times in Counter(columns).items() if times > 1]
    if twice:
        raise UsageError(
            f"--format {kind}: expected different names of columns, found {twice[0]} more than "
            "once; give one of them another name with AS"
        )


def _csv(rows: DataFrame, out: TextIO) -> int:
    writer, count = csv.writer(out), 0
    writer.writerow(rows.columns)
    for row in rows.toLocalIterator():
        writer.writerow([_cell(value) for value in row])
        count += 1
    return count


def _json(rows: DataFrame, out: TextIO) -> int:
    _check_unique(rows.columns, "json")
    lines = rows.selectExpr("to_json(struct(*), map('ignoreNullFields', 'false')) AS line")
    count = 0
    for row in lines.toLocalIterator():
        out.write(row["line"] + "\n")
        count += 1
    return count


def _markdown(rows: DataFrame, out: TextIO) -> int:
    def write_line(cells: Iterable[str]) -> None:
        out.write(f"| {' | '.join(cells)} |\n")

    write_line(plain(name) for name in rows.columns)
    write_line("---" for _ in rows.columns)
    count = 0
    for row in rows.toLocalIterator():
        write_line(plain(_cell(value)) for value in row)
        count += 1
    return count


def _cell(value: Any) -> str:
    """Return a value as one text; an unknown one is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict | Row):
        return json.dumps(_document(value), ensure_ascii=False)
    return _text(value)


def _document(value: Any) -> Any:
    """Return a value as JSON takes it; a struct, which is a tuple to `json`, by its fields."""
    if isinstance(value, Row):
        return {name: _document(field) for name, field in value.asDict().items()}
    if isinstance(value, dict):
        return {_key(key): _document(content) for key, content in value.items()}
    if isinstance(value, list):
        return [_document(content) for content in value]
    return value if value is None or isinstance(value, str | bool | int | float) else _text(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else _cell(key)


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes | bytearray) else str(value)
