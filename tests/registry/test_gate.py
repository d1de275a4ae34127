"""The gate compares numbers with what was declared, and lets nothing through that it cannot see."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kyros_spark.registry import Entry
from kyros_spark.registry.gate import faults, incomparable, refusal

CHAMPION = Entry(
    "frequency", 1, "champion", "1.kyros", "", "", {"test_deviance": 0.5, "test_d2": 0.02},
    "glm", "poisson", "claim_count", "exposure", "", {}, datetime.now(UTC), "2023", "run",
    {"prepared 2023": "3"}, "", "", {}, {}, {}, {}, {}, None, "", "",
)  # fmt: skip


def candidate(metrics, thresholds=None, challenge=None, **more):
    quality = {"thresholds": thresholds or {}, "not_worse_than_champion": challenge}
    entry = replace(CHAMPION, version=2, status="candidate", metrics=metrics, quality=quality)
    return replace(entry, **more)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (0.95, []),
        (1.05, []),
        (0.9499999, ["quality.test_balance: expected at least 0.95, found 0.9499999"]),
        (1.0500001, ["quality.test_balance: expected at most 1.05, found 1.0500001"]),
        (math.inf, ["quality.test_balance: expected at most 1.05, found inf"]),
        (None, ["quality.test_balance: expected at least 0.95, found none",
                "quality.test_balance: expected at most 1.05, found none"]),
        (math.nan, ["quality.test_balance: expected at least 0.95, found nan",
                    "quality.test_balance: expected at most 1.05, found nan"]),
    ],
)  # fmt: skip
def test_a_threshold_includes_its_ends_and_refuses_what_is_no_number(found, said):
    metrics = {} if found is None else {"test_balance": found}
    assert faults(candidate(metrics, {"test_balance": {"min": 0.95, "max": 1.05}}), None) == said


@pytest.mark.parametrize(
    ("metric", "tolerance", "found", "passes"),
    [
        ("test_deviance", 0.0, 0.5, True),
        ("test_deviance", 0.0, 0.5001, False),
        ("test_deviance", 0.01, 0.505, True),
        ("test_deviance", 0.01, 0.5051, False),
        ("test_d2", 0.0, 0.0199, False),
        ("test_d2", 0.1, 0.0181, True),
        ("test_d2", 0.1, 0.0179, False),
    ],
)
def test_worse_than_the_champion_is_above_its_deviance_or_below_its_d2(
    metric, tolerance, found, passes
):
    challenge = {"metric": metric, "tolerance": tolerance}
    told = faults(candidate({metric: found}, challenge=challenge), CHAMPION)
    assert (told == []) == passes
    assert all(f"{metric} against frequency@1" in line for line in told)


@pytest.mark.parametrize(
    "other",
    [{"inputs": {"prepared 2023": "4"}}, {"inputs": {}}, {"family": "gamma"}, {"per": None}],
)
def test_champions_of_other_data_or_of_another_measure_are_not_compared(other):
    challenge = {"metric": "test_deviance", "tolerance": 0.0}
    entry = candidate({"test_deviance": 9.0}, challenge=challenge, **other)
    assert incomparable(entry, CHAMPION) and faults(entry, CHAMPION) == []


def test_a_refusal_names_every_number_that_is_missed_and_that_settings_come_too_late():
    entry = candidate({"test_d2": 0.01}, {"test_d2": {"min": 0.02, "max": None}},
                      budgets={"max_model_bytes": 10}, cost={"model_bytes": 11.0})  # fmt: skip
    told = str(refusal(entry, CHAMPION, faults(entry, CHAMPION)))
    assert told == (
        "model frequency@2 stays candidate: budgets.max_model_bytes: expected at most 10, found 11; "
        "quality.test_d2: expected at least 0.02, found 0.01; champion frequency@1 stays. These are "
        "the thresholds and budgets declared before it was trained: changing the settings now has "
        "no effect on it; train a version that meets them, or one with others declared"
    )


def tweedie(version, settings, **metrics):
    """A pure premium's version; ``settings`` has the power that was asked for, if any was."""
    return replace(CHAMPION, version=version, family="tweedie", settings=settings, metrics=metrics)


def challenged(entry):
    quality = {"thresholds": {}, "not_worse_than_champion": {"metric": "test_deviance",
               "tolerance": 0.0}}  # fmt: skip
    return replace(entry, quality=quality)


def test_fitted_powers_are_compared_and_other_powers_are_not():
    profiled = {"tweedie_power": "profile"}
    champion = tweedie(1, profiled, tweedie_power=1.52, test_deviance=30.0)
    worse = challenged(tweedie(2, profiled, tweedie_power=1.52, test_deviance=31.0))
    assert incomparable(worse, champion) is None and len(faults(worse, champion)) == 1
    other = challenged(tweedie(2, {"tweedie_power": 1.6}, tweedie_power=1.6, test_deviance=90.0))
    assert faults(other, champion) == []
    assert incomparable(other, champion) == (
        "champion frequency@1 is measured by tweedie 1.52 deviance of claim_count per exposure, "
        "not tweedie 1.6 deviance of claim_count per exposure"
    )


def test_a_negative_binomial_s_theta_is_part_of_its_measure():
    first, second = (
        replace(CHAMPION, family="negative_binomial", metrics={"theta": theta})
        for theta in (0.8, 1.1)
    )
    assert incomparable(first, first) is None
    assert "negative_binomial 1.1 deviance" in incomparable(first, second)


def test_an_import_without_a_power_is_never_taken_for_one_that_has_it():
    imported = challenged(tweedie(2, {"name": "premium", "family": "tweedie"}, model_bytes=10.0))
    champion = tweedie(1, {"tweedie_power": 1.5}, test_deviance=30.0)
    assert "tweedie 1.5 deviance" in incomparable(imported, champion)
    again = replace(imported, version=3)
    assert faults(again, imported) == [
        "not_worse_than_champion, test_deviance against frequency@2: expected a number of the "
        "champion, found none"
    ]
