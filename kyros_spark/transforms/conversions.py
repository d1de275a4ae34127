"""Write as SQL how a raw value becomes its declared type: NULL where the type would not keep it.

That a cast gives something is not enough: casts read 1500d as 1500, round 0.005 to 0.01, and drop
the time of a timestamp.
"""

from __future__ import annotations

import re
import sys

from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from kyros_spark.config import ColumnSettings
from kyros_spark.tables.contract import sql_type
from kyros_spark.tables.ddl import text
from kyros_spark.transforms.values import with_point_sql

_PATTERNS = {"date": "yyyy-MM-dd", "timestamp": "yyyy-MM-dd HH:mm:ss"}
# Conditions on the characters of yyyy-MM-dd, by position.
_ISO = {5: ["= '-'"], 8: ["= '-'"], 10: [">= '0'", "<= '9'"]}
# Java, which casts, also reads other digits than these, suffixes (1500d, 7F) and 0x1p10. More than
# two digits of an exponent would be a number of more digits than any machine holds.
_NUMBER = text("^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$")
_MARKS_OF_JAVA = text("[dDfFxX]")
_TIME_OF_DAY = re.compile(r"[HhKkmsSa]")
# The types that hold every value of a type.
_HELD_BY = {
    "tinyint": ("int", "bigint", "double"),
    "smallint": ("int", "bigint", "double"),
    "int": ("bigint", "double"),
    "float": ("double",),
    "date": ("timestamp",),
}
_CAST_BACK = (BooleanType, DateType, NumericType, TimestampNTZType, TimestampType)
_NOISE = 1e-14  # what sums of doubles have in their last digits, relative to the value


def converted_sql(value: str, column: ColumnSettings, raw_type: DataType) -> str:
    """Return a raw value in its declared type, as one SQL text rather than many calls."""
    target = sql_type(column.type)
    if target == "string":
        return f"CAST({value} AS STRING)"
    if isinstance(raw_type, StringType):
        return _from_text(with_point_sql(f"trim({value})", column), column, target)
    return _from_typed(value, column, target, raw_type)


def _from_text(value: str, column: ColumnSettings, target: str) -> str:
    if target == "date" and not column.formats:
        return _iso_date(value)
    if target in _PATTERNS:
        # An explicit pattern, since a cast would read '2004' as the first of January.
        patterns = column.formats or (_PATTERNS[target],)
        parsed = [_parsed(value, target, pattern) for pattern in patterns]
        return parsed[0] if len(parsed) == 1 else f"coalesce({', '.join(parsed)})"
    # try_cast gives NULL where a cast raises (ANSI) or gives NULL (older): equal on every Spark.
    cast = f"try_cast({value} AS {target})"
    if target == "double":
        # Spark orders NaN, like infinity, above every finite number: both fail this test.
        is_finite = f"abs({cast}) <= {sys.float_info.max!r}D"
        return f"CASE WHEN {is_finite} AND NOT {value} RLIKE {_MARKS_OF_JAVA} THEN {cast} END"
    if target in ("int", "bigint"):
        # R and pandas write 40 as 40.0, and 100000 as 1e+05; few columns need the second step.
        exact = f"try_cast({value} AS DECIMAL(38,18))"
        whole = f"{_is_near(exact, value)} AND {exact} = floor({exact})"
        return f"coalesce({cast}, CASE WHEN {whole} THEN try_cast({exact} AS {target}) END)"
    if target.startswith("decimal"):
        wide = f"try_cast({value} AS {_widest(target)})"
        kept = f"{_is_near(cast, value)} AND {cast} = {wide}"
        return f"CASE WHEN {kept} THEN {cast} END"
    return cast


def _parsed(value: str, target: str, pattern: str) -> str:
    """Return a date or timestamp read by a pattern, else NULL."""
    parsed = f"try_to_timestamp({value}, {text(pattern)})"
    timed = target == "date" and _TIME_OF_DAY.search(re.sub("'[^']*'", "", pattern))
    return _cast_back(parsed, target, "timestamp") if timed else f"CAST({parsed} AS {target})"


def _is_near(decimal: str, value: str) -> str:
    """Tell whether a text is a number, and a decimal made of it the same to a double's precision.

    As any decimal, 1e-40 is 0, which no comparison of decimals reveals.
    """
    same = f"CAST({decimal} AS DOUBLE) = try_cast({value} AS DOUBLE)"
    return f"{value} RLIKE {_NUMBER} AND {same}"


def _from_typed(value: str, column: ColumnSettings, target: str, raw_type: DataType) -> str:
    raw = raw_type.simpleString()
    if target == "date" and raw == "timestamp" and column.zone is not None:
        local = f"convert_timezone(current_timezone(), {text(column.zone)}, {value})"
        return _cast_back(local, target, "timestamp_ntz")
    cast = f"try_cast({value} AS {target})"
    if target == "double" and raw in ("float", "double"):
        return f"CASE WHEN abs({cast}) <= {sys.float_info.max!r}D THEN {cast} END"
    if target == "double" and raw.startswith("decimal"):
        return cast  # a double has 15 digits of any number, as of one that is written as text
    if target.startswith("decimal") and raw == "double":
        return f"CASE WHEN abs({cast} - {value}) <= {_NOISE!r}D * abs({value}) THEN {cast} END"
    is_held = raw == target or target in _HELD_BY.get(raw, ())
    if is_held or not isinstance(raw_type, _CAST_BACK):
        return cast
    return _cast_back(value, target, raw)


def _cast_back(value: str, target: str, raw: str) -> str:
    """Return a value in another type, if a cast back gives the value again."""
    cast = f"try_cast({value} AS {target})"
    return f"CASE WHEN try_cast({cast} AS {raw}) = {value} THEN {cast} END"


def _widest(decimal: str) -> str:
    """Return the decimal type of most decimals that has as many digits before the point."""
    precision, scale = map(int, re.findall(r"\d+", decimal))
    return f"DECIMAL(38,{38 - (precision - scale)})"


def _iso_date(value: str) -> str:
    """Return a date that is written as yyyy-MM-dd, else NULL.

    A cast alone also accepts '2004', '2004-1' and '2004-01-01 noon', so the form is checked first.
    Parsing by a pattern takes five times as long as both steps.
    """
    # No BETWEEN: Spark would give its operand an extra projection, and copy each row once more.
    shape = " AND ".join(
        f"substring({value}, {n}, 1) {test}" for n, tests in _ISO.items() for test in tests
    )
    return (
        f"CASE WHEN length({value}) = 10 AND {value} >= '0001' AND {shape} "
        f"THEN try_cast({value} AS DATE) END"
    )
