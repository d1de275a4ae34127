"""Mark exact copies, and keys that come with different contents."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from kyros_spark.config import SourceSettings
from kyros_spark.tables.ddl import quoted
from kyros_spark.transforms.typed import MALFORMED, RAW, present_sql

COPY = "_copy"
CONFLICT = "_conflict"
_KEY = ("_key_1", "_key_2")
_CONTENT = ("_content_1", "_content_2")


def with_duplicates_marked(
    typed: DataFrame, source: SourceSettings, carried: Sequence[str] = ("*",)
) -> DataFrame:
    """Add COPY (all but one of rows alike) and CONFLICT (same key, other content).

    carried: the columns that go through the shuffle, which has to be small.

    One shuffle by key. Contents are compared by 128 hashed bits; floats are rounded first, so that
    noise in the last digit does not hide a duplicate. Rows without a key conflict with none.
    """
    content = [part for name in source.columns for part in _comparable(typed, source, name)]
    content.append(f"{RAW}.{MALFORMED}")
    key = [quoted(name) for name in source.key]
    has_key = " AND ".join(f"{name} IS NOT NULL" for name in key) or "false"
    hashed = typed.selectExpr(
        *carried,
        f"{has_key} AS _has_key",
        *(f"{_hash(content, seed)} AS {name}" for seed, name in enumerate(_CONTENT)),
        *(f"{_hash(key, seed)} AS {name}" for seed, name in enumerate(_KEY)),
    ).selectExpr(
        *carried,
        "_has_key",
        *_CONTENT,
        *(
            f"CASE WHEN _has_key THEN {name} ELSE {same} END AS {name}"
            for name, same in zip(_KEY, _CONTENT, strict=True)
        ),
    )
    by_key = Window.partitionBy(*_KEY).orderBy(*_CONTENT)
    whole = by_key.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    previous = [F.lag(name).over(by_key) == F.col(name) for name in _CONTENT]
    copy = F.coalesce(previous[0] & previous[1], F.lit(False))
    differs = [F.first(name).over(whole) != F.last(name).over(whole) for name in _CONTENT]
    marked = hashed.select(
        "*",
        (copy if source.duplicates == "remove" else F.lit(False)).alias(COPY),
        (F.col("_has_key") & (differs[0] | differs[1])).alias(CONFLICT),
    )
    return marked.drop("_has_key", *_KEY, *_CONTENT)


def _comparable(typed: DataFrame, source: SourceSettings, name: str) -> list[str]:
    """Return what makes two values alike: the typed one, and the raw one where it has no type."""
    settings, value = source.columns[name], quoted(name)
    read = settings.sql is None and settings.type != "string"
    unread = [f"CASE WHEN {value} IS NULL THEN {present_sql(name, settings)} END"] if read else []
    if typed.schema[name].dataType.typeName() == "double":
        # + 0.0 makes one zero of -0.0 and 0.0, which hash apart.
        return [f"round({value}, {source.duplicate_decimals}) + 0.0D", *unread]
    return [value, *unread]


def _hash(columns: list[str], seed: int) -> str:
    # xxhash64 skips NULLs, so (NULL, 'a') would equal ('a', NULL): hash each one's presence too.
    marked = [part for column in columns for part in (f"isnull({column})", column)]
    return f"xxhash64({', '.join([str(seed), *marked])})"
