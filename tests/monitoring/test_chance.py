"""What is sampling noise breaks no rule; what has moved breaks one, on the column that moved."""

import numpy as np
import pyarrow as pa
import pytest

from kyros_spark.aggregates.rows import DriverRows
from kyros_spark.config import MonitorSettings
from kyros_spark.monitoring.baseline import baseline_from_json, frozen_baseline
from kyros_spark.monitoring.comparison import compared
from kyros_spark.monitoring.rules import BASELINE, DriftRow, alarms, corrected

IS_NUMBER = {"age": True, "value": True, "fuel": False, "town": False}
SETTINGS = MonitorSettings()


def portfolio(rows, seed):
    """Policies without any trend: numbers, few levels, and thousands of towns, few policies each."""
    rng = np.random.default_rng(seed)
    return pa.table({
        "exposure": rng.choice([1.0, 0.5, 0.1], rows, p=[0.7, 0.2, 0.1]),
        "age": rng.integers(18, 90, rows).astype(float),
        "value": np.where(rng.random(rows) < 0.02, np.nan, rng.gamma(3, 5000, rows)),
        "fuel": rng.choice(["petrol", "diesel", "electric"], rows, p=[0.5, 0.45, 0.05]),
        "town": np.char.add("t", (rng.pareto(1.0, rows) * 50).astype(int).clip(0, 9000).astype(str)),
    })  # fmt: skip


def judged(baseline, table, settings=SETTINGS):
    """Return the alarms of a table against a frozen baseline."""
    rows = DriverRows(table)
    profile = baseline.plan.profile(rows.aggregate(baseline.plan.columns, baseline.plan.state))
    drift = [
        DriftRow(subject, BASELINE, "2023", compared(
            baseline.plan.bins[subject.column], histogram, baseline.profile[subject]))
        for subject, histogram in profile.items()
    ]  # fmt: skip
    corrected(drift)
    return list(alarms(drift, settings.rules, settings.false_alarm_rate, {}))


def frozen(table, settings=SETTINGS):
    return frozen_baseline("key", DriverRows(table), IS_NUMBER, settings)


# Thresholds of nothing: only what chance gives keeps these rules silent.
STRICT = MonitorSettings(
    false_alarm_rate=0.05,
    rules=[{"metric": metric, "threshold": 0} for metric in
           ("psi", "ks_distance", "missing_share", "unseen_share", "outside_share")],
)  # fmt: skip


def test_random_halves_give_false_alarms_at_most_at_the_declared_rate():
    """Of 60 pairs, at a rate of 5 % with no least effect at all: 9 or more has a probability of 0.3 %."""
    table = portfolio(6000, seed=1)
    rng, alarmed = np.random.default_rng(2), 0
    for _ in range(60):
        order = rng.permutation(6000)
        halves = [table.take(pa.array(half)) for half in (order[:3000], order[3000:])]
        alarmed += bool(judged(frozen(halves[0], STRICT), halves[1], STRICT))
    assert alarmed < 9


def changed(table, name, change):
    column = pa.array(change(table.column(name).to_numpy(zero_copy_only=False)), from_pandas=True)
    return table.set_column(table.column_names.index(name), name, column)


INJECTED = {
    "a level renamed": ("fuel", lambda v: np.where(v == "electric", "EV", v), {"unseen_share", "psi"}),
    "years to months": ("age", lambda v: v * 12, {"psi", "outside_share"}),
    "a tenth missing": ("value", lambda v: np.where(np.arange(v.size) % 10 == 0, np.nan, v),
                        {"missing_share"}),
    "inflation": ("value", lambda v: v * 1.5, {"psi"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def baseline():
    return frozen(portfolio(20_000, seed=3))


@pytest.mark.parametrize("name", INJECTED)
def test_an_injected_shift_is_named_by_its_column(baseline, name):
    column, change, metrics = INJECTED[name]
    broken = judged(baseline, changed(portfolio(8000, seed=4), column, change))
    assert {alarm.row.subject.column for alarm in broken} == {column}
    assert metrics <= {alarm.rule.metric for alarm in broken}


def test_a_new_level_is_told_by_name(baseline):
    column, change, _ = INJECTED["a level renamed"]
    broken = judged(baseline, changed(portfolio(8000, seed=4), column, change))
    assert all(alarm.row.comparison.new_levels == ("EV",) for alarm in broken)
    assert any("new levels: EV" in alarm.sentence() for alarm in broken)


def test_what_has_not_moved_is_silent(baseline):
    assert judged(baseline, portfolio(8000, seed=5)) == []


def test_a_baseline_that_was_kept_is_the_same(baseline):
    again = baseline_from_json("key", baseline.to_json())
    table = changed(portfolio(8000, seed=4), *INJECTED["inflation"][:2])
    sentences = [[alarm.sentence() for alarm in judged(b, table)] for b in (baseline, again)]
    assert sentences[0] == sentences[1] and sentences[0]


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_batch_of_hardly_any_rows_has_no_alarm_and_no_nan(baseline, rows):
    table = portfolio(10, seed=6).slice(0, rows)
    profile = baseline.plan.profile(
        DriverRows(table).aggregate(baseline.plan.columns, baseline.plan.state)
    )
    assert judged(baseline, table) == []
    for subject, histogram in profile.items():
        result = compared(baseline.plan.bins[subject.column], histogram, baseline.profile[subject])
        assert not {*result.values} & {*result.absent}
        numbers = [value for value in result.values.values() if isinstance(value, float)]
        assert np.isfinite(numbers).all()


def test_a_column_of_more_levels_than_are_kept_is_given_up_however_it_is_divided():
    settings = MonitorSettings(max_levels=100)
    table = portfolio(4000, seed=7)
    of_all = frozen(table, settings)
    assert [s.column for s, histogram in of_all.profile.items() if histogram is None] == ["town"]
    state, plan = of_all.plan.state(), of_all.plan
    for start in range(0, 4000, 1000):
        part = plan.state()
        part.add(table.slice(start, 1000).combine_chunks().to_batches()[0])
        state.merge(part.to_bytes())
    merged = plan.profile(state)
    assert merged.keys() == of_all.profile.keys()
    for subject, histogram in merged.items():
        whole = of_all.profile[subject]
        assert (histogram is None) == (whole is None)
        if histogram is not None:
            by_name = dict(zip(whole.bins, whole.weight, strict=True))
            assert dict(zip(histogram.bins, histogram.weight, strict=True)) == pytest.approx(
                by_name, rel=1e-12
            )


def test_a_shift_in_one_region_is_named_by_it():
    settings = MonitorSettings(segments=["fuel"], rules=[
        {"metric": "psi", "threshold": 0.1, "segment": "*"}])  # fmt: skip
    first = frozen(portfolio(20_000, seed=3), settings)
    table = portfolio(8000, seed=8)
    is_diesel = np.array(table.column("fuel").to_pylist()) == "diesel"
    moved = changed(table, "value", lambda v: np.where(is_diesel, v * 2, v))
    rows = DriverRows(moved)
    profile = first.plan.profile(rows.aggregate(first.plan.columns, first.plan.state))
    drift = [
        DriftRow(s, BASELINE, "2023", compared(
            first.plan.bins[s.column].coarser if s.slice_key else first.plan.bins[s.column],
            h, first.profile[s]))
        for s, h in profile.items()
    ]  # fmt: skip
    corrected(drift)
    broken = list(alarms(drift, settings.rules, settings.false_alarm_rate, {}))
    assert [(a.row.subject.column, a.row.subject.slice_value) for a in broken] == [
        ("value", "diesel")
    ]
