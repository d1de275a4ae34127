"""The view `earned`: each policy's exposure and expected claims, divided among calendar months.

A month gets the share of the policy's days that lie in it. What is divided adds up to the policy's
own exposure and expected claims.
"""

from __future__ import annotations

from collections.abc import Collection

from kyros_spark.config import Config
from kyros_spark.tables.contract import BATCH_ID, Column, Table, declared
from kyros_spark.tables.ddl import quoted

EARNED = "earned"
NEEDS = ("policies", "prepared")
_MOST_MONTHS = 120  # a cover without end, to 9999-12-31, says nothing of when exposure is earned
WHY_NOT = (
    "SQL: earned: expected settings that say from when to when a policy is covered, and tables "
    "policies and prepared; compute exposure by days (days: {from: start, to: end}) or set "
    "sources.claims.period, and run prepare"
)


def earned(config: Config) -> Table:
    """Return what the view's columns hold, as a table's contract does."""
    policies = config.sources.policies
    return Table(
        name=EARNED,
        comment="A view: exposure and expected claims of each policy by calendar month.",
        columns=(
            *declared(policies, policies.key),
            BATCH_ID,
            Column("earned_month", "date", "first day of the month; NULL if the days are unknown"),
            Column("earned_days", "int", "days at risk in the month"),
            Column("exposure", "double", "policy-years at risk in the month"),
            Column("expected", "map<string,double>", "expected in the month, by model_name"),
        ),
        key=(),
    )


def earned_sql(config: Config, tables: Collection[str]) -> str | None:
    """Return the view's query; None if the settings or the tables do not say what it needs.

    tables: the names of those that exist.
    """
    days = _days_at_risk(config)
    if days is None or not set(NEEDS) <= set(tables):
        return None
    first, last = days
    names = ["batch_id", *map(quoted, config.sources.policies.key)]
    key = ", ".join(names)
    if "predictions" in tables:
        by_model = "map_from_entries(array_agg(struct(model_name, expected)))"
        expected = f"SELECT {key}, {by_model} AS expected FROM predictions GROUP BY {key}"
    else:
        unknown = "CAST(NULL AS MAP<STRING, DOUBLE>)"
        expected = f"SELECT {key}, {unknown} AS expected FROM policies WHERE false"
    is_dated = f"_first <= _last AND _last < add_months(_first, {_MOST_MONTHS})"
    return f"""
WITH _covered AS (SELECT {key}, {first} AS _first, {last} AS _last FROM policies),
_expected AS ({expected}),
_whole AS (
  SELECT {", ".join(f"_covered.{name}" for name in names)}, _first, _last, exposure, expected,
         CASE WHEN {is_dated} THEN datediff(_last, _first) + 1 END AS _days
  FROM prepared JOIN _covered USING ({key}) LEFT JOIN _expected USING ({key})
),
_months AS (
  SELECT *, explode_outer(CASE WHEN _days IS NOT NULL THEN
    sequence(trunc(_first, 'MM'), trunc(_last, 'MM'), INTERVAL 1 MONTH) END) AS earned_month
  FROM _whole
),
_in_month AS (
  SELECT *, CASE WHEN _days IS NOT NULL THEN
    datediff(least(_last, last_day(earned_month)), greatest(_first, earned_month)) + 1
    END AS earned_days
  FROM _months
),
_shares AS (SELECT *, coalesce(earned_days / _days, 1) AS _share FROM _in_month)
SELECT {", ".join(names[1:])}, batch_id, earned_month, earned_days, exposure * _share AS exposure,
       transform_values(expected, (model, value) -> value * _share) AS expected
FROM _shares"""


def _days_at_risk(config: Config) -> tuple[str, str] | None:
    """Return the SQL of a policy's first and last day, from its columns; None if none is declared.

    The days that make up the exposure come before those in which a claim may lie.
    """
    policies, claims = config.sources.policies, config.sources.claims
    exposure = policies.columns.get(config.prepare.exposure)
    if exposure is not None and exposure.days is not None:
        days = exposure.days
        first, end = (f"CAST({quoted(name)} AS DATE)" for name in (days.start, days.end))
        return first, end if days.last_day == "at_risk" else f"date_sub({end}, 1)"
    if claims is not None and claims.period is not None:
        return f"CAST(({claims.period.start}) AS DATE)", f"CAST(({claims.period.end}) AS DATE)"
    return None
