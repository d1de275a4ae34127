"""Write single values as SQL: the raw value, the value as read, a bound, a literal."""

from __future__ import annotations

from kyros_spark.config import ColumnSettings
from kyros_spark.tables.contract import sql_type
from kyros_spark.tables.ddl import quoted, text

RAW = "_raw"
MALFORMED = "_malformed"  # the text of a record with too few or too many fields


def as_read(name: str) -> str:
    """Return the name of the column that holds a repaired column's value as it was read."""
    return f"_read_{name}"


def bound_sql(bound: float | str, column: ColumnSettings) -> str:
    """Return a bound; a number stays a double, since an int column would cut 0.5 to 0."""
    return f"{bound!r}D" if isinstance(bound, float) else literal_sql(bound, column)


def literal_sql(value: str, column: ColumnSettings) -> str:
    """Return a text from the settings as a value of the column's type."""
    return f"CAST({text(value)} AS {sql_type(column.type)})"


def capped_sql(value: str, cap: float) -> str:
    """Return a number cut at a cap; an unknown one stays unknown, where least() gives the cap."""
    return f"CASE WHEN {value} > {cap!r}D THEN {cap!r}D ELSE {value} END"


def excess_sql(value: str, cap: float) -> str:
    """Return what lies above a cap, to a millionth: 0 below it, and unknown for what is unknown."""
    above = f"round({value} - {cap!r}D, 6)"
    return f"CASE WHEN {value} > {cap!r}D THEN {above} WHEN {value} IS NOT NULL THEN 0D END"


def present_sql(name: str, column: ColumnSettings) -> str:
    """Return the raw value, or NULL where the settings list it as missing."""
    raw = f"{RAW}.{quoted(name)}"
    if not column.missing:
        return raw
    listed = ", ".join(text(value) for value in column.missing)
    present = f"trim(cast({raw} AS string)) NOT IN ({listed})"
    numbers = [value for value in column.missing if _is_number(value)]
    if numbers and column.type not in ("string", "date", "timestamp", "boolean"):
        # A typed source holds the sentinel 0 as 0.0, and a text may hold 0.00.
        doubles = ", ".join(f"{float(value)!r}D" for value in numbers)
        number = with_point_sql(raw, column)
        present += f" AND coalesce(try_cast({number} AS double) NOT IN ({doubles}), true)"
    return f"CASE WHEN {present} THEN {raw} END"


# Signs between thousands that are written in several ways: no-break spaces, apostrophes.
_ALIKE = {" ": " \u00a0\u202f", "'": "'\u2019"}


def with_point_sql(value: str, column: ColumnSettings) -> str:
    """Return a number's text with a decimal point where the settings say that it has a comma.

    Both signs change places, so that 1.500 becomes 1,500, which no type takes: whether it is one
    and a half or fifteen hundred, the text does not tell. Where the settings name a sign between
    thousands, it is left out of a number that has it in every place, and in no other.
    """
    pointed = f"translate({value}, ',.', '.,')" if column.decimal == "," else value
    if column.thousands is None:
        return pointed
    marks = _ALIKE.get(column.thousands, column.thousands)
    grouped = f"^[+-]?[0-9]{{1,3}}([{marks}][0-9]{{3}})+([{column.decimal}][0-9]*)?$"
    bare = f"translate({value}, {text(column.decimal + marks)}, '.')"  # marks become nothing
    return f"CASE WHEN {value} RLIKE {text(grouped)} THEN {bare} ELSE {pointed} END"


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
