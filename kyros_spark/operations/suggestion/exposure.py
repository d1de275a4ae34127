"""Find the exposure of a policy: a column in years, months or days, two dates, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kyros_spark.operations.suggestion.guess import Guess
from kyros_spark.operations.suggestion.names import is_begin, is_end, is_exposure, words

COMPUTED = "exposure_years"  # the column that is made where the source has none
_MOST_YEARS, _MOST_MONTHS, _FEWEST_DAYS = 1.05, 12, 31
_LONGEST = 400  # days between the dates of a policy


@dataclass(frozen=True)
class Exposure:
    """How exposure is computed.

    sql         of policy-years, over policies
    most        the largest, in policy-years
    columns     those it is made from
    computed    the lines of a column that is added to the source, if one is
    bad         rows of the sample without an exposure above 0
    """

    sql: str
    most: float
    columns: tuple[str, ...]
    evidence: str
    decision: str
    computed: str = ""
    bad: int = 0


def exposure_of(columns: Sequence[Guess]) -> Exposure:
    """Return the likeliest exposure."""
    named = [c for c in columns if c.is_number and is_exposure(c.source) and _is_positive(c)]
    if named:
        return _of_column(min(named, key=lambda c: (not c.required, len(words(c.source)))))
    pairs = [
        (first, last)
        for first in columns if first.type == "date" and is_begin(first.source)
        for last in columns if last.type == "date" and is_end(last.source)
    ]  # fmt: skip
    for first, last in pairs:
        days = (last.values - first.values).dt.days
        sound = days.between(0, _LONGEST)
        if len(days) and sound.mean() >= 0.95:
            return _of_dates(first, last, days[sound])
    why = "no column looks like an exposure, so each row counts as one policy-year"
    return Exposure(
        COMPUTED, 1.0, (), why, f"prepare.exposure: {why}",
        f"{COMPUTED}: {{type: double, sql: 1.0D}}",
    )  # fmt: skip


def _is_positive(column: Guess) -> bool:
    values = column.values.dropna()
    return bool(len(values)) and bool((values > 0).mean() >= 0.9)


def _of_column(column: Guess) -> Exposure:
    values = column.values
    most = float(values.max())
    bad = int((~(values > 0)).sum())
    says = " ".join(words(column.source))
    seen = f"'{column.source}' by its name, and its values from {values.min():g} to {most:g}"
    if "month" in says or (_MOST_YEARS < most <= _MOST_MONTHS and column.is_whole):
        unit, year = "months", 12.0
    elif "day" in says or most > _FEWEST_DAYS:
        unit, year = "days", 366.0 if most == 366 else 365.0
    else:
        unit, year = "years", 1.0
    sql = column.name if unit == "years" else f"{column.name} / {year:g}D"
    decision = f"prepare.exposure: {seen}, are taken for {unit}"
    if most / year > _MOST_YEARS:
        decision += f"; is a row of up to {most / year:.2f} policy-years right?"
    return Exposure(sql, _limit(most / year), (column.name,), seen, decision, bad=bad)


def _of_dates(first: Guess, last: Guess, days: pd.Series) -> Exposure:
    usual = int(days.mode().iloc[0])
    included = usual == 364
    last_day = "at_risk" if included else "excluded"
    most = (float(days.max()) + included) / 365.0
    seen = f"the days from '{first.source}' to '{last.source}', most often {usual}"
    line = (
        f"{COMPUTED}: {{type: double, days: {{from: {first.name}, to: {last.name}, year: 365, "
        f"last_day: {last_day}}}, min: {1 / 365:.6f}, max: {_limit(most)!r}}}"
    )
    decision = f"prepare.exposure: {seen}, the last day {last_day.replace('_', ' ')}"
    bad = len(first.values) - int((days + included > 0).sum())
    columns = (first.name, last.name, COMPUTED)
    return Exposure(COMPUTED, _limit(most), columns, seen, decision, line, bad)


def _limit(most: float) -> float:
    return max(1.0, most)
