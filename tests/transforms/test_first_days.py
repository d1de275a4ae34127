"""What a date tells when a policy begins may be a feature; how long the policy lasted may not."""

import pytest

from kyros_spark.config import ColumnSettings, PrepareSettings
from kyros_spark.transforms.features import never_features
from kyros_spark.transforms.first_days import first_days

COLUMNS = ("policy", "born", "start", "end", "paid", "share", "exposure", "text", "lasted")


def days(**settings):
    exposure = {"type": "double", "days": {"from": "start", "to": "end", **settings}}
    return ColumnSettings.model_validate(exposure).sql


EXPOSURES = {
    "days": (days(), {"start"}),
    "days of the actual year": (days(year="actual"), {"start"}),
    "days with the last": (days(last_day="at_risk"), {"start"}),
    "a difference in SQL": ("datediff(end, start) / 365.25", {"start"}),
    "months": ("months_between(`end`, `start`) / 12", {"start"}),
    "a difference cut to a year": (
        "datediff(least(end, '2024-12-31'), greatest(start, '2024-01-01')) / 366", {"start"}),
    "three arguments": ("date_diff(DAY, start, end) / 365", {"start"}),
    "a share of it": ("share * datediff(end, start) / 365", {"start"}),
    "a column": ("share", set()),
    "a start that is an end less a duration": ("datediff(end, date_add(end, -lasted))", set()),
    "a start that is used elsewhere": ("datediff(end, start) / 365 + day(start)", set()),
    "a bare difference": ("(end - start) / 365", set()),
    "one that closes nothing": ("datediff(end, start", set()),
}  # fmt: skip


@pytest.mark.parametrize("sql, expected", EXPOSURES.values(), ids=list(EXPOSURES))
def test_the_first_day_is_the_one_from_which_days_are_counted(sql, expected):
    assert first_days(sql, {}, COLUMNS) == expected
    assert first_days("Exposure", {"exposure": sql}, COLUMNS) == expected


def test_what_the_first_day_is_computed_from_is_known_then_too():
    computed = {"start": "to_date(text, 'dd/MM/yyyy')", "exposure": "datediff(end, start) / 365"}
    assert first_days("exposure", computed, COLUMNS) == {"start", "text"}
    computed["end"] = "add_months(to_date(text), share)"
    assert first_days("exposure", computed, COLUMNS) == {"start"}


def test_age_at_inception_is_allowed_and_the_length_of_a_policy_is_not():
    derived = {
        "exposure": days(),
        "lasted": "datediff(end, start)",
        "share": "months_between(start, born)",
    }
    settings = PrepareSettings(
        exposure="exposure",
        split={"by": ["policy"]},
        targets={"loss": "paid"},
        features={"age": {"kind": "numeric", "age": {"from": "born", "at": "start"}}},
    )
    assert never_features(settings, derived, COLUMNS) == {"exposure", "end", "lasted", "paid"}
    since = settings.model_copy(update={"targets": {"late": "datediff(paid, start)"}})
    assert "start" in never_features(since, derived, COLUMNS)
