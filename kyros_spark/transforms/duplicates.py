"""Mark exact copies, and resolve keys that occur with several contents."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from kyros_spark.config import SourceSettings
from kyros_spark.tables.ddl import quoted
from kyros_spark.transforms.repairs import needs_repair, within_bounds_sql
from kyros_spark.transforms.values import MALFORMED, RAW, as_read, present_sql

COPY = "_copy"
EQUAL = "_equal"  # a copy that is kept, where rows are identified by their number
CONFLICT = "_conflict"
SUPERSEDED = "_superseded"
SUMMED = "_summed"
_KEY = ("_key_1", "_key_2")
_CONTENT = ("_content_1", "_content_2")
_LATEST = "_latest"
_SEVERAL = "_several"


def sum_of(name: str) -> str:
    """Return the name of the column that holds the sum over the rows of a key."""
    return f"_sum_{name}"


def with_duplicates_marked(
    typed: DataFrame, source: SourceSettings, carried: Sequence[str]
) -> DataFrame:
    """Mark COPY (all but one of several equal rows) and CONFLICT (same key, other content).

    Where the settings keep one row per key, CONFLICT marks only the keys that cannot be resolved,
    and SUPERSEDED or SUMMED marks the rows that another row of the key stands for.
    carried: the columns that go through the shuffle; it must be small.

    This takes one shuffle by key. Contents are compared by 64 hashed bits among the few rows of a
    key, and by 128 among all rows without a key. Floats are rounded first, so that noise in the
    last digits does not hide a duplicate. Rows without a key conflict with no other row. A row's
    number is no key here: of equal rows, all but the first are copies, or EQUAL where copies stay.
    """
    hashed = _hashed(typed, source, carried)
    latest = source.conflicts == "keep_latest"
    first = [F.col(_LATEST).desc_nulls_last()] if latest else []
    numbers = [F.col(f"{RAW}.{quoted(name)}") for name in source.numbers]
    by_key = Window.partitionBy(*_KEY).orderBy(*first, *_CONTENT, *numbers)
    previous = [F.lag(name).over(by_key) == F.col(name) for name in _CONTENT]
    copy = F.coalesce(previous[0] & previous[1], F.lit(False))
    whole = by_key.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    # The content differs from the first row's; if it does in no row, the key has one content only.
    other = [F.first(name).over(whole) != F.col(name) for name in _CONTENT]
    marked = hashed.select(
        "*",
        (copy if source.duplicates == "remove" else F.lit(False)).alias(COPY),
        *([copy.alias(EQUAL)] if source.is_numbered else []),
        (F.col("_has_key") & (other[0] | other[1])).alias("_other"),
        *([] if latest else [_several(whole).alias(_SEVERAL)]),
    )
    return _resolved(marked, source, whole).drop(
        "_has_key", "_other", _SEVERAL, _LATEST, *_KEY, *_CONTENT, *map(as_read, source.sum)
    )


def with_sums(typed: DataFrame, source: SourceSettings) -> DataFrame:
    """Put the sums over a key's rows into the row that stands for them, within repaired bounds.

    `as_read` of a name keeps the row's own value, and `sum_of` it the sum, for rules to judge.
    """
    if source.conflicts != "sum":
        return typed
    types = dict(typed.dtypes)
    own = {as_read(n): F.col(n) for n in source.sum if as_read(n) not in types}
    sums = {
        n: F.expr(within_bounds_sql(sum_of(n), source.columns[n])).cast(types[n])
        for n in source.sum
    }
    return typed.withColumns(own).withColumns(sums)


def _hashed(typed: DataFrame, source: SourceSettings, carried: Sequence[str]) -> DataFrame:
    content = [part for name in source.columns for part in _comparable(typed, source, name)]
    content.append(f"{RAW}.{MALFORMED}")
    key = [] if source.is_numbered else [quoted(name) for name in source.key]
    has_key = " AND ".join(f"{name} IS NOT NULL" for name in key) or "false"
    decides = [f"{quoted(n)} AS {as_read(n)}" for n in source.sum]
    if source.latest_by is not None:
        decides.append(f"{quoted(source.latest_by)} AS {_LATEST}")
    hashed = typed.selectExpr(
        *carried,
        *decides,
        f"{has_key} AS _has_key",
        f"{_hash(content, 0)} AS {_CONTENT[0]}",
        f"CASE WHEN {has_key} THEN 0L ELSE {_hash(content, 1)} END AS {_CONTENT[1]}",
        *(f"{_hash(key, seed)} AS {name}" for seed, name in enumerate(_KEY)),
    )
    keyed = (
        f"CASE WHEN _has_key THEN {name} ELSE {content_hash} END AS {name}"
        for name, content_hash in zip(_KEY, _CONTENT, strict=True)
    )
    return hashed.selectExpr(*(quoted(n) for n in hashed.columns if n not in _KEY), *keyed)


def _resolved(marked: DataFrame, source: SourceSettings, whole: WindowSpec) -> DataFrame:
    """Add the marks of the rows whose key has several contents."""
    several = F.col(_SEVERAL)
    if source.conflicts == "reject_all":
        return marked.withColumn(CONFLICT, several)
    if source.conflicts == "keep_latest":
        # Two contents with the same latest date: nothing says which one is valid.
        is_latest = F.col(_LATEST).eqNullSafe(F.first(_LATEST).over(whole))
        tied = F.max(F.col("_other") & is_latest).over(whole)
        return marked.select("*", tied.alias(CONFLICT), (F.col("_other") & ~tied).alias(SUPERSEDED))
    sums = {
        sum_of(n): F.when(several, _total(n, whole)).otherwise(F.col(as_read(n)))
        for n in source.sum
    }
    return marked.select(
        "*",
        F.lit(False).alias(CONFLICT),
        F.col("_other").alias(SUMMED),
        *(column.alias(name) for name, column in sums.items()),
    )


def _total(name: str, whole: WindowSpec) -> Column:
    """Return a column's sum over the rows of a key, or NULL if one of them has no value."""
    value = F.col(as_read(name))
    unknown = F.count_if(~F.col(COPY) & value.isNull()).over(whole)
    return F.when(unknown == 0, F.sum(F.when(~F.col(COPY), value)).over(whole))


def _several(whole: WindowSpec) -> Column:
    """Tell whether a key has several contents: once ordered, the first differs from the last."""
    ends = [F.first(name).over(whole) != F.last(name).over(whole) for name in _CONTENT]
    return F.col("_has_key") & (ends[0] | ends[1])


def _comparable(typed: DataFrame, source: SourceSettings, name: str) -> list[str]:
    """Return the SQL by which two values are compared: the typed value, else the raw one.

    A computed column needs none: it is equal where its inputs are. A date has one spelling only. A
    row's number says where it stands, not what it holds.
    """
    settings, value = source.columns[name], quoted(name)
    if not settings.is_read:
        return []
    if settings.type == "date" and not settings.formats and not needs_repair(name, source):
        raw = typed.select(f"{RAW}.{quoted(name)}").schema[0].dataType
        if isinstance(raw, StringType):
            return [f"trim({present_sql(name, settings)})"]
    converted = settings.type != "string"
    raw_if_null = f"CASE WHEN {value} IS NULL THEN {present_sql(name, settings)} END"
    unread = [raw_if_null] if converted else []
    if typed.schema[name].dataType.typeName() == "double":
        return [_rounded(value, source.duplicate_decimals), *unread]
    return [value, *unread]


def _rounded(value: str, decimals: int) -> str:
    """Return a number without the noise in its last digits.

    It rounds in floating point, because SQL's own round goes through decimals and takes ten times
    as long. Beyond 2^53 steps a double has no such digits left. Adding 0.0 turns -0.0 into 0.0;
    the two would hash differently.
    """
    steps = float(10**decimals)
    noisy = f"abs({value}) < {2.0**53 / steps!r}D"
    return f"CASE WHEN {noisy} THEN rint({value} * {steps!r}D) / {steps!r}D ELSE {value} END + 0.0D"


def _hash(columns: list[str], seed: int) -> str:
    # xxhash64 skips NULLs, so (NULL, 'a') would equal ('a', NULL): hash isnull of each value too.
    marked = [part for column in columns for part in (f"isnull({column})", column)]
    return f"xxhash64({', '.join([str(seed), *marked])})"
