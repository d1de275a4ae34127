"""Suggest a first settings file for a source that nobody has described yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.errors import EmptySourceError, UsageError
from kyros_spark.operations.suggested_settings import guesses, keys, settings_text
from kyros_spark.spark.session import arrow_transfer
from kyros_spark.stages.clean.extract import read_undeclared

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 100_000
_FORMATS = {".parquet": "parquet", ".json": "json", ".jsonl": "json"}
_TYPES = {
    "tinyint": "int", "smallint": "int", "int": "int", "bigint": "long", "float": "double",
    "double": "double", "date": "date", "timestamp": "timestamp", "timestamp_ntz": "timestamp",
    "boolean": "boolean",
}  # fmt: skip


def suggest(spark: SparkSession, path: str, out: str, format_: str | None = None) -> dict[str, Any]:
    """Read a source, guess what its columns are, and write a commented settings file.

    Raises:
        UsageError: there is a file at ``out`` already.
        DataContractError: the source cannot be read, or has no rows.
    """
    target = Path(out)
    if target.exists():
        raise UsageError(f"suggest --out {out}: expected no file there, found one; name another")
    kind = format_ or _FORMATS.get(Path(path.rstrip("/")).suffix.lower(), "csv")
    frame = read_undeclared(spark, path, kind)
    total = frame.count()
    if not total:
        raise EmptySourceError(f"suggest: expected rows at {path}, found none; nothing was written")
    chosen = frame if total <= _ROWS else frame.sample(fraction=_ROWS / total, seed=1)
    types = {n: _TYPES[t] for n, t in frame.dtypes if t in _TYPES}
    types |= {n: t for n, t in frame.dtypes if t.startswith("decimal")}
    with arrow_transfer(spark):
        texts = chosen.select(*(F.col(f"`{n}`").cast("string") for n in frame.columns))
        sample = cast("pd.DataFrame", texts.toPandas())
    found = guesses(sample, types)
    key = _key(frame, [*keys(found, sample.drop_duplicates())][:5])
    source = {"path": path, "format": kind}
    text = settings_text(found, key, Path(path).name.split(".")[0], source, total)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return {"columns": len(found), "key": key, "rows_in": total, "path": str(target)}


def _key(frame: DataFrame, candidates: list[list[str]]) -> list[str]:
    """Return the first candidate that is unique over all rows that differ, not the sample's."""
    if not candidates:
        return []
    once = frame.distinct()
    counted = [
        F.count_distinct(*(F.col(f"`{name}`") for name in key)).alias(f"_{n}")
        for n, key in enumerate(candidates)
    ]
    row = once.agg(F.count(F.lit(1)).alias("_rows"), *counted).first()
    assert row is not None
    unique = [key for n, key in enumerate(candidates) if row[f"_{n}"] == row["_rows"]]
    return unique[0] if unique else []
