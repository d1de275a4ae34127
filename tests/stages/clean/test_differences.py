"""What two batches' profiles tell of their differences: a table of cases, with pandas' numbers."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from kyros_spark.stages.clean.differences import differences
from kyros_spark.stages.clean.findings import profile

ROWS = 50_000


def profile_of(values, type_="double"):
    """Return the profile of one column, as clean makes it of totals and of a sample."""
    column = pd.Series(values, dtype=None if type_ != "double" else float)
    given = column.dropna()
    counts = {"rows": len(column), "given_0": len(given)}
    if type_ in ("double", "int"):
        counts |= {"min_0": given.min(), "max_0": given.max(), "sum_0": float(given.sum()),
                   "squares_0": float((given.astype(float) ** 2).sum())}  # fmt: skip
    source = SimpleNamespace(columns={"x": SimpleNamespace(type=type_)})
    return profile("policies", source, [counts], {}, pd.DataFrame({"x": column}))


def is_told_by_width(before, after):
    """The rule of earlier versions: a tenth of the distance between two quantiles."""
    (old,), (new,) = before, after
    width = abs(old["quantiles"]["0.95"] - old["quantiles"]["0.05"])
    moved = abs(new["mean"] - old["mean"])
    return moved > 0.1 * width and moved > 1e-9


def counts(ones, rows=ROWS):
    """A sparse column: so many rows have one claim."""
    return np.r_[np.ones(ones), np.zeros(rows - ones)]


def amounts(mean, rows=ROWS):
    """Amounts at the quantiles of an exponential distribution."""
    return -mean * np.log1p(-(np.arange(rows) + 0.5) / rows)


def scores(mean, rows=ROWS):
    """A quantity without a zero: evenly spread over -1 to 1, and moved."""
    return np.linspace(-1, 1, rows) + mean


def half_missing(share, rows):
    return np.r_[np.full(round(share * rows), np.nan), np.ones(rows - round(share * rows))]


SHIFTS = {
    # name: before, after, whether earlier versions told it, and what is told now
    "+0.7 % in a sparse count": (counts(2000), counts(2014), True, []),
    "+10 % in an amount": (amounts(1000), amounts(1100), False, ["mean 1000 became 1100"]),
    "+15 % in an exposure": (amounts(0.4), amounts(0.46), False, ["mean 0.4 became 0.46"]),
    "seven rows of two among ones": (np.r_[np.full(7, 2.0), np.ones(ROWS - 7)], np.ones(ROWS),
                                     True, []),
    "+15 % in a sparse count": (counts(2000), counts(2300), True, ["mean 0.04 became 0.046"]),
    "+25 % in a sparse count of few rows": (counts(8, 200), counts(10, 200), True, []),
    "+10 % in few amounts": (amounts(1000, 120), amounts(1100, 120), False, []),
    "a score around zero, a little": (scores(0.01), scores(0.03), False, []),
    "a score around zero": (scores(0), scores(0.15), False, ["mean 0 became 0.15"]),
    "a constant, by rounding": (np.full(ROWS, 0.1), np.full(ROWS - 1, 0.1), False, []),
    "the year of a batch": (np.full(ROWS, 2023.0), np.full(ROWS, 2024.0), True, []),
    "a constant of another unit": (np.ones(ROWS), np.full(ROWS, 100.0), True,
                                   ["mean 1 became 100"]),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "was_told", "says"), SHIFTS.values(), ids=list(SHIFTS))
def test_a_mean_has_moved_if_chance_hardly_does_it_and_it_matters(old, new, was_told, says):
    before, after = profile_of(old), profile_of(new)
    assert is_told_by_width(before, after) == was_told
    assert rounded(differences(before, after)) == [f"x: {what}" for what in says]


def rounded(sentences):
    """Means of the made amounts are exact to four digits."""
    words = [sentence.split(" ") for sentence in sentences]
    return [" ".join(number(word) for word in line) for line in words]


def number(word):
    try:
        return (
            f"{round(float(word), 3) + 0.0:.4g}" if abs(float(word)) < 1 else f"{float(word):.4g}"
        )
    except ValueError:
        return word


@pytest.mark.parametrize("values", [counts(2000), amounts(1500.0), scores(0.3), 2e7 + scores(0)])
def test_the_standard_deviation_is_that_of_pandas(values):
    (row,) = profile_of(values)
    assert row["std"] == pytest.approx(pd.Series(values).std(), rel=1e-4)


@pytest.mark.parametrize(
    ("forgotten", "old", "new", "says"),
    [
        ("before", counts(2000), counts(2014), 0),  # the new batch's stands for both
        ("before", counts(2000), counts(2300), 1),
        ("both", amounts(1000), amounts(1100), 1),  # from the quantiles
        ("both", amounts(1000, 120), amounts(1100, 120), 0),
        ("both", counts(2000), counts(2014), 0),  # too sparse for quantiles: by size alone
        ("both", counts(2000), counts(2300), 1),
    ],
)
def test_profiles_of_earlier_versions_can_be_compared(forgotten, old, new, says):
    before, after = profile_of(old), profile_of(new)
    del before[0]["std"]  # a column that the table did not have
    if forgotten == "both":
        after[0]["std"] = None
    assert len(differences(before, after)) == says


@pytest.mark.parametrize(
    ("old", "new", "rows", "says"),
    [
        (0.1, 0.13, 100, []),  # three of a hundred
        (0.1, 0.13, ROWS, ["x: missing 10.0% became 13.0%"]),
        (0.1, 0.115, ROWS, []),  # sure, but small
        (0.0, 0.03, ROWS, ["x: missing 0.0% became 3.0%"]),
    ],
)
def test_a_share_of_missing_values_moves_beyond_chance_too(old, new, rows, says):
    pair = [profile_of(half_missing(share, rows)) for share in (old, new)]
    assert differences(*pair) == says


LEVELS = {
    # name: type, level before and after, whether a renamed level is guessed
    "a code": ("string", "city", "CITY", True),
    "a code of digits": ("string", "0101", "0102", True),
    "a day": ("date", "2023-12-31", "2024-12-31", False),
    "a time": ("timestamp", "2023-12-31 00:00:00", "2024-12-31 00:00:00", False),
    "a day as text": ("string", "31/12/2023", "31/12/2024", False),
    "a month as text": ("string", "2023-12", "2024-01", False),
    "a year as text": ("string", "2023", "2024", False),
    "a year of a study": ("string", "Year 0", "Year 1", False),
    "a quarter": ("string", "2023Q4", "2024Q1", False),
    "a name that begins like one": ("string", "yearly", "Yearly", True),
}


@pytest.mark.parametrize(("type_", "old", "new", "guessed"), LEVELS.values(), ids=list(LEVELS))
def test_a_later_date_is_no_other_name_of_an_earlier_one(type_, old, new, guessed):
    pair = [profile_of([level] * 60 + ["other"] * 40, type_) for level in (old, new)]
    said = differences(*pair)
    assert said[:2] == [f'x: new levels ["{new}"]', f'x: levels gone ["{old}"]']
    assert said[2:] == ([f"x: level '{old}' may have been renamed '{new}'"] if guessed else [])


DRAWN = np.random.default_rng(19)
WHOLE_NUMBERS = {
    # name: values, whether earlier versions found an index, and whether it is one
    "1, 2, 3": (np.arange(500), True, True),
    "every seventh": (7 * np.arange(500) + 3, False, True),
    "steps of ten thousand": (10_000 * np.arange(500), False, True),
    "drawn from twenty times as many": (DRAWN.permutation(20_000)[:1000], False, True),
    "of nine digits": (DRAWN.choice(10**9, 20_000, replace=False), False, True),
    "of nine digits and one of fifteen": (
        np.r_[DRAWN.permutation(5000)[:500] + 10**8, 10**15], False, True),
    "thirty values of cars": (DRAWN.choice(np.arange(5000, 60_000), 30, replace=False),
                              False, False),
    "amounts in cents": (np.unique(amounts(150_000, 300).round()), False, False),
    "ages": (np.arange(18, 80).repeat(3), False, False),
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "was_found", "is_index"), WHOLE_NUMBERS.values(), ids=list(WHOLE_NUMBERS)
)
def test_an_index_is_found_however_wide_its_numbers_spread(values, was_found, is_index):
    (row,) = profile_of(values.astype(float))
    once = len(values) > 20 and row["distinct_count"] == len(values)
    assert (once and values.max() - values.min() < 2 * len(values)) == was_found
    assert any(what.startswith("looks like an index") for what in row["findings"]) == is_index
