"""suggest: read an undescribed source and write a first settings file for it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.errors import EmptySourceError, UsageError
from kyros_spark.log import without_credentials
from kyros_spark.operations.suggestion.all_rows import copies_and_key, count_all
from kyros_spark.operations.suggestion.dialect import Dialect, dialect_of
from kyros_spark.operations.suggestion.guess import Guess, guesses
from kyros_spark.operations.suggestion.keys import MAX_CANDIDATES, candidate_keys
from kyros_spark.operations.suggestion.settings_text import settings_text
from kyros_spark.operations.suggestion.suggestion import (
    Seen,
    Suggestion,
    guess_roles,
    roles_taken,
    suggestion_of,
)
from kyros_spark.spark.session import arrow_transfer
from kyros_spark.stages.clean.extract import first_lines, read_undeclared
from kyros_spark.tables.ddl import quoted

if TYPE_CHECKING:
    import pandas as pd

_SAMPLE_ROWS = 100_000
_FIRST_LINES = 1_000
_FILES_COMPARED = 20
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
        UsageError: there is already a file at ``out``, or the address holds credentials.
        DataContractError: the source cannot be read, or has no rows.
    """
    target = Path(out)
    if target.exists():
        raise UsageError(f"suggest --out {out}: expected no file there, found one; name another")
    if without_credentials(path) != path:
        raise UsageError(
            f"suggest --source {path}: expected an address without user, password or signature, "
            "which no settings file may hold; let the provider chain find them (docs/deploy.md)"
        )
    kind = format_ or _FORMATS.get(Path(path.rstrip("/")).suffix.lower(), "csv")
    dialect = dialect_of(first_lines(spark, path, _FIRST_LINES)) if kind == "csv" else Dialect()
    frame = read_undeclared(spark, path, kind, dialect.options())
    if kind == "csv" and dialect.has_header:
        _check_headers(spark, path, frame)
    suggestion = _suggestion(spark, frame, path, dialect)
    text = settings_text(suggestion, path, kind)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return summary(suggestion, str(target))


def summary(suggestion: Suggestion, path: str) -> dict[str, Any]:
    """Return what the result line says of a suggestion that was written to a path."""
    return {
        "columns": len(suggestion.columns),
        "key": suggestion.key,
        "rows_in": suggestion.seen.rows,
        "rows_sampled": suggestion.seen.sampled,
        "path": path,
        "undecided": suggestion.undecided,
        "please_decide": suggestion.decisions(),
    }


def _check_headers(spark: SparkSession, path: str, frame: DataFrame) -> None:
    """Refuse a folder of two kinds of files, such as policies and claims, as one source."""
    files = sorted(frame.inputFiles())
    if len(files) < 2:
        return
    by_header: dict[str, list[str]] = {}
    for file in files[:_FILES_COMPARED]:
        header = "".join(first_lines(spark, file, 1)).strip()
        by_header.setdefault(header, []).append(Path(file).name)
    if len(by_header) > 1:
        kinds = "; ".join(f"{', '.join(names[:3])} ({len(names)})" for names in by_header.values())
        raise UsageError(
            f"suggest --source {path}: expected files of one header, found {len(by_header)}: "
            f"{kinds}; suggest for the policies (a pattern such as policies_*.csv will do), and "
            "add the others as sources.claims"
        )


def _suggestion(spark: SparkSession, frame: DataFrame, path: str, dialect: Dialect) -> Suggestion:
    total = frame.count()
    if not total:
        raise EmptySourceError(f"suggest: expected rows at {path}, found none; nothing was written")
    types = {n: _TYPES[t] for n, t in frame.dtypes if t in _TYPES}
    types |= {n: t for n, t in frame.dtypes if t.startswith("decimal")}
    sample = _sample(spark, frame, total)
    columns = guesses(sample, types)
    guess_roles(columns)
    unread = count_all(frame, columns, total)
    candidates = list(islice(candidate_keys(columns, roles_taken(columns), sample), MAX_CANDIDATES))
    copies, key = _copies_and_key(frame, sample, candidates, total)
    seen = Seen(total, len(sample), copies, unread)
    return suggestion_of(columns, key, seen, dialect)


def _copies_and_key(
    frame: DataFrame, sample: pd.DataFrame, candidates: list[list[Guess]], total: int
) -> tuple[int, list[Guess]]:
    if len(sample) == total:
        return int(sample.duplicated().sum()), candidates[0] if candidates else []
    return copies_and_key(frame, candidates, total)


def _sample(spark: SparkSession, frame: DataFrame, total: int) -> pd.DataFrame:
    """Return about _SAMPLE_ROWS rows of the source, or all if it has fewer, as texts."""
    if total > _SAMPLE_ROWS:
        frame = frame.sample(fraction=_SAMPLE_ROWS / total, seed=1)
    with arrow_transfer(spark):
        texts = frame.select(*(F.col(quoted(n)).cast("string") for n in frame.columns))
        return cast("pd.DataFrame", texts.toPandas())
