"""Recognise single raw texts: numbers, dates in their notations, and words for a missing value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # takes half a second to import, and every stage imports this
    import pandas as pd

MISSING_TEXTS = (
    "NA", "N/A", "#N/A", "n/a", "na", "NULL", "null", "NaN", "nan", ".", "-", "?",
)  # fmt: skip
INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?")
COMMA_NUMBER = re.compile(r"[+-]?\d+(?:,\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # or a number with three decimals
LEADING_ZERO = re.compile(r"[+-]?0\d")
NUMBER_LIKE = re.compile(r"[+-]?(?:\d[\d.]*(?:,\d+)?|[.,]\d+)(?:[eE][+-]?\d+)?")
DATE_LIKE = re.compile(
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}-?[A-Za-z]{3}-?\d{4})"
    r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"
)
# The shape of a day, Python's format for it, and Spark's. Single digits come last: their formats
# take two digits as well, but two are the clearer sign.
_DAYS = [
    (r"\d{4}-\d{2}-\d{2}", "%Y-%m-%d", "yyyy-MM-dd"),
    (r"\d{4}/\d{2}/\d{2}", "%Y/%m/%d", "yyyy/MM/dd"),
    (r"\d{4}\.\d{2}\.\d{2}", "%Y.%m.%d", "yyyy.MM.dd"),
    (r"\d{2}-[A-Z][a-z]{2}-\d{4}", "%d-%b-%Y", "dd-MMM-yyyy"),
    (r"\d{2}[A-Z][a-z]{2}\d{4}", "%d%b%Y", "ddMMMyyyy"),
]
for _digits, _day, _month in ((r"\d{2}", "dd", "MM"), (r"\d{1,2}", "d", "M")):
    for _sign in "/.-":
        _shape = rf"{_digits}{re.escape(_sign)}{_digits}{re.escape(_sign)}\d{{4}}"
        _DAYS += [
            (_shape, _sign.join(("%d", "%m", "%Y")), _sign.join((_day, _month, "yyyy"))),
            (_shape, _sign.join(("%m", "%d", "%Y")), _sign.join((_month, _day, "yyyy"))),
        ]
_TIMES = (
    ("", "", ""),
    (r" \d{2}:\d{2}:\d{2}", " %H:%M:%S", " HH:mm:ss"),
    (r" \d{2}:\d{2}", " %H:%M", " HH:mm"),
    (r"T\d{2}:\d{2}:\d{2}", "T%H:%M:%S", "'T'HH:mm:ss"),
)


@dataclass(frozen=True)
class DateFormat:
    """How days are written.

    spark         the pattern, None where it is the type's default
    has_time      whether some have a time of day, so that they are no dates
    is_ambiguous  whether days and months could as well be the other way round
    """

    spark: str | None
    has_time: bool
    is_ambiguous: bool
    values: pd.Series


def all_match(pattern: re.Pattern[str], texts: Iterable[str]) -> bool:
    """Tell whether every text as a whole is like the pattern; the first that is not ends it."""
    return all(map(pattern.fullmatch, texts))


def date_format(values: pd.Series) -> DateFormat | None:
    """Return how all of these texts can be read as days, None if in no way."""
    if not all_match(DATE_LIKE, values):
        return None
    fitting = [fit for fit in (_parsed(values, *f) for f in _formats()) if fit is not None]
    if not fitting:
        return None
    best, others = fitting[0], [f for f in fitting[1:] if f[0] == fitting[0][0]]
    if others:  # the days of a month are many, unless all are the first
        best = max((best, *others), key=_day_likeness)
    _, pattern, parsed = best
    has_time = bool((parsed != parsed.dt.normalize()).any())
    default = pattern == ("yyyy-MM-dd HH:mm:ss" if has_time else "yyyy-MM-dd")
    return DateFormat(None if default else pattern, has_time, bool(others), parsed)


def compact_dates(values: pd.Series) -> pd.Series | None:
    """Return texts such as 20230131 as days, None if any is none of 1900 to 2100."""
    if not all_match(re.compile(r"(?:19|20)\d{6}"), values):
        return None
    import pandas as pd

    parsed = pd.to_datetime(values, format="%Y%m%d", errors="coerce")
    return None if parsed.isna().any() else parsed


def _formats() -> Iterator[tuple[str, str, str]]:
    for shape, python, spark in _DAYS:
        for time_shape, python_time, spark_time in _TIMES:
            yield shape + time_shape, python + python_time, spark + spark_time


def _parsed(
    values: pd.Series, shape: str, python: str, spark: str
) -> tuple[str, str, pd.Series] | None:
    if not all_match(re.compile(shape), values):
        return None
    import pandas as pd

    parsed = pd.to_datetime(values, format=python, errors="coerce")
    return None if parsed.isna().any() else (shape, spark, parsed)


def _day_likeness(fit: tuple[str, str, pd.Series]) -> tuple[bool, int]:
    days, months = fit[2].dt.day, fit[2].dt.month
    only_firsts = bool((days == 1).all() and months.nunique() > 1)
    return only_firsts, 0 if fit[1].startswith("M") else 1
