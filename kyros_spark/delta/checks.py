"""Check rows against a table's constraints before they are written by this process.

Delta checks only what its own writer writes. The few forms that contracts use are understood here;
a table with a constraint of any other form is left to Delta's writer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from kyros_spark.errors import TableConstraintError

Check = Callable[[pa.Table], pa.ChunkedArray]
_NAME = r"`?(?P<name>\w+)`?"
_NOT_NULL = re.compile(rf"^{_NAME}\s+IS\s+NOT\s+NULL$", re.IGNORECASE)
_TEXT = r"'(?:[^'\\])*'"
_AMONG = re.compile(rf"^{_NAME}\s+IN\s*\(\s*(?P<list>{_TEXT}(?:\s*,\s*{_TEXT})*)\s*\)$", re.I)
_COMPARED = re.compile(rf"^{_NAME}\s*(?P<sign>>=|<=|>|<)\s*(?P<number>-?\d+(?:\.\d+)?)$")
_SIGNS = {">": pc.greater, ">=": pc.greater_equal, "<": pc.less, "<=": pc.less_equal}


def compiled(constraints: Mapping[str, str], schema: pa.Schema) -> dict[str, Check] | None:
    """Return the check of each CHECK constraint, or None if one of them is not understood.

    constraints: name -> condition in SQL.
    """
    checks = {name: _check(condition.strip(), schema) for name, condition in constraints.items()}
    known = {name: check for name, check in checks.items() if check is not None}
    return known if len(known) == len(checks) else None


def _check(condition: str, schema: pa.Schema) -> Check | None:
    names = {name.lower(): name for name in schema.names}
    for pattern, make in ((_NOT_NULL, _not_null), (_AMONG, _among), (_COMPARED, _compared)):
        match = pattern.match(condition)
        if match is not None and match["name"].lower() in names:
            name = names[match["name"].lower()]
            return make(name, match, schema.field(name).type)
    return None


def _not_null(name: str, match: re.Match[str], kind: pa.DataType) -> Check:
    return lambda rows: pc.is_valid(rows[name])


def _among(name: str, match: re.Match[str], kind: pa.DataType) -> Check | None:
    values = pa.array([value[1:-1] for value in re.findall(_TEXT, match["list"])], pa.string())
    return (lambda rows: pc.is_in(rows[name], values)) if kind == pa.string() else None


def _compared(name: str, match: re.Match[str], kind: pa.DataType) -> Check | None:
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return None
    compare, number = _SIGNS[match["sign"]], float(match["number"])
    is_least = match["sign"].startswith(">")

    def holds(rows: pa.Table) -> pa.ChunkedArray:
        values = pc.cast(rows[name], pa.float64(), safe=False)
        # To Spark, NaN is larger than any number.
        return (
            pc.or_(compare(values, number), pc.is_nan(values))
            if is_least
            else compare(values, number)
        )

    return holds


def check(
    table: str,
    rows: pa.Table,
    checks: Mapping[str, Check],
    constraints: Mapping[str, str],
    required: Sequence[str],
) -> None:
    """Refuse rows that break a constraint.

    required: the columns that must not be NULL.

    Raises:
        TableConstraintError: a row breaks one; a condition that is NULL counts as broken.
    """
    for name in required:
        if rows[name].null_count:
            raise _refusal(table, f"NOT NULL constraint violated for column: {name}.")
    for name, holds in checks.items():
        if not pc.all(pc.fill_null(holds(rows), False), min_count=0).as_py():
            condition = constraints[name]
            raise _refusal(
                table, f"CHECK constraint {name} ({condition}) violated by row with values:"
            )


def _refusal(table: str, fault: str) -> TableConstraintError:
    return TableConstraintError(
        f"table {table}: {fault}; nothing was written, see the table's constraints in "
        "docs/tables.md"
    )
