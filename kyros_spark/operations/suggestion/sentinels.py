"""Find numbers that seem to mean a missing value, such as a weight of 0 or an age of 999."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kyros_spark.operations.suggestion.guess import Guess, set_bounds

_SENTINELS = (0.0, -1.0, -9.0, -99.0, -999.0, 999.0, 9999.0, 99999.0, 999999.0)
_RARE_ZERO = 0.05  # where 0 is common, it is a value: no second driver, a new car
_FEWEST_VALUES = 10
_LEAST_GAP = 10.0  # a number that is next to 0 in the others makes 0 one of them


def set_sentinels(columns: Sequence[Guess], kept: Collection[str]) -> None:
    """Read as missing the numbers at either end that lie apart from all others.

    kept: names of amounts, counts and exposure, in which no number is ever a sentinel.
    """
    for column in columns:
        if column.is_number and column.name not in kept and column.distinct >= _FEWEST_VALUES:
            for sentinel in _SENTINELS:
                _try(column, sentinel)


def _try(column: Guess, sentinel: float) -> None:
    values = column.values.dropna()
    rest = values[values != sentinel]
    if len(rest) in (0, len(values)):
        return
    share = 1 - len(rest) / len(values)
    if sentinel == 0.0:
        apart = share <= _RARE_ZERO and rest.min() >= _LEAST_GAP
    elif sentinel < 0:
        apart = rest.min() >= 0
    else:
        apart = sentinel == values.max() and rest.max() < sentinel / 5
    if not apart:
        return
    beside = f"all others {'from' if sentinel <= 0 else 'up to'} "
    beside += f"{rest.min() if sentinel <= 0 else rest.max():g}"
    rows = int((values == sentinel).sum())
    column.missing.append(f"{sentinel:g}")
    column.values = column.values.where(column.values != sentinel)
    column.distinct -= 1
    column.required = False
    set_bounds(column)
    column.evidence.append(f"{sentinel:g} in {rows:,} rows ({share:.2%}), {beside}")
    column.decision = (
        f"missing: is {sentinel:g} a value not known? {rows:,} rows ({share:.2%}) have it, {beside}"
    )
