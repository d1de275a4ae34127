"""suggest: read an undescribed source and write a first settings file for it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.errors import EmptySourceError, UsageError
from kyros_spark.operations.suggested_settings import guesses, likely_keys, settings_text
from kyros_spark.spark.session import arrow_transfer
from kyros_spark.stages.clean.extract import read_undeclared

if TYPE_CHECKING:
    import pandas as pd

_SAMPLE_ROWS = 100_000
_KEY_CANDIDATES = 5
_FORMATS = {".parquet": "parquet", ".json": "json", ".jsonl": "json"}
_TYPES = {
    "tinyint": "int", "smallint": "int", "int": "int", "bigint": "long", "float": "double",
    "double": "double", "date": "date", "timestamp": "timestamp", "timestamp_ntz": "timestamp",
    "boolean": "boolean",
}  # fmt: skip


def suggest(spark: SparkSession, path: str, out: str, format_: str | None = None) -> dict[str, Any]:
    """Read a source, guess the meaning of its columns, and write a commented settings file.

    format_: csv, parquet, json or delta; by default as the path's suffix says, csv for any other.

    Raises:
        UsageError: there is already a file at ``out``.
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
    types = {n: _TYPES[t] for n, t in frame.dtypes if t in _TYPES}
    types |= {n: t for n, t in frame.dtypes if t.startswith("decimal")}
    sample = _sample(spark, frame, total)
    columns = guesses(sample, types)
    candidates = likely_keys(columns, sample.drop_duplicates())
    key = _first_unique(frame, list(islice(candidates, _KEY_CANDIDATES)))
    source = {"path": path, "format": kind}
    text = settings_text(columns, key, Path(path).name.split(".")[0], source, total)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return {"columns": len(columns), "key": key, "rows_in": total, "path": str(target)}


def _sample(spark: SparkSession, frame: DataFrame, total: int) -> pd.DataFrame:
    """Return about _SAMPLE_ROWS rows of the source, or all if it has fewer, as texts."""
    if total > _SAMPLE_ROWS:
        frame = frame.sample(fraction=_SAMPLE_ROWS / total, seed=1)
    with arrow_transfer(spark):
        texts = frame.select(*(F.col(f"`{n}`").cast("string") for n in frame.columns))
        return cast("pd.DataFrame", texts.toPandas())


def _first_unique(frame: DataFrame, candidates: list[list[str]]) -> list[str]:
    """Return the first candidate key that is unique over the source's distinct rows, or no columns.

    All rows are counted: what is unique in the sample may repeat outside it.
    """
    if not candidates:
        return []
    distinct_counts = [
        F.count_distinct(*(F.col(f"`{name}`") for name in key)).alias(f"_{n}")
        for n, key in enumerate(candidates)
    ]
    row = frame.distinct().agg(F.count(F.lit(1)).alias("_rows"), *distinct_counts).first()
    assert row is not None
    unique = [key for n, key in enumerate(candidates) if row[f"_{n}"] == row["_rows"]]
    return unique[0] if unique else []
