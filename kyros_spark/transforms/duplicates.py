"""Mark exact copies, and keys that come with different contents."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from kyros_spark.config import SourceSettings
from kyros_spark.transforms.typed import MALFORMED, RAW, present

COPY = "_copy"
CONFLICT = "_conflict"
_KEY = ("_key_1", "_key_2")
_CONTENT = ("_content_1", "_content_2")


def with_duplicates_marked(typed: DataFrame, source: SourceSettings) -> DataFrame:
    """Add COPY (all but one of rows alike) and CONFLICT (same key, other content).

    One shuffle by key. Contents are compared by 128 hashed bits; floats are rounded first, so that
    noise in the last digit does not hide a duplicate. Rows without a key conflict with none.
    """
    content = [part for name in source.columns for part in _comparable(typed, source, name)]
    content.append(F.col(f"{RAW}.{MALFORMED}"))
    key = [F.col(name) for name in source.key]
    has_key = _all_given(key) if key else F.lit(False)
    hashed = typed.select(
        "*",
        has_key.alias("_has_key"),
        *(_hash(content, seed).alias(name) for seed, name in enumerate(_CONTENT)),
    ).select(
        "*",
        *(
            F.when(F.col("_has_key"), _hash(key, seed)).otherwise(F.col(same)).alias(name)
            for seed, (name, same) in enumerate(zip(_KEY, _CONTENT, strict=True))
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


def _comparable(typed: DataFrame, source: SourceSettings, name: str) -> list[Column]:
    """Return what makes two values alike: the typed one, and the raw one where it has no type."""
    settings, value = source.columns[name], F.col(name)
    unread = [F.when(value.isNull(), present(name, settings))] if settings.sql is None else []
    if typed.schema[name].dataType.typeName() == "double":
        # + 0.0 makes one zero of -0.0 and 0.0, which hash apart.
        return [F.round(value, source.duplicate_decimals) + 0.0, *unread]
    return [value, *unread]


def _hash(columns: list[Column], seed: int) -> Column:
    # xxhash64 skips NULLs, so (NULL, 'a') would equal ('a', NULL): hash each one's presence too.
    marked = [part for column in columns for part in (column.isNull(), column)]
    return F.xxhash64(F.lit(seed), *marked)


def _all_given(columns: list[Column]) -> Column:
    given = F.lit(True)
    for column in columns:
        given = given & column.isNotNull()
    return given
