"""Every sum gives the same here and on the executors, however rows are divided, and merges exactly."""

import math
import sys
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.cloudpickle import register_pickle_by_value

import kyros_spark.aggregates
from kyros_spark.aggregates import cells, spread
from kyros_spark.aggregates.cells import Cells
from kyros_spark.aggregates.exact_sums import ExactSums
from kyros_spark.aggregates.keyed_sums import Grouped, KeyedSums
from kyros_spark.aggregates.rows import DriverRows, ExecutorRows
from kyros_spark.aggregates.spread import order_statistics, spreads
from kyros_spark.scoring.arrow_features import as_doubles, levels_of

ROWS = 20_000
register_pickle_by_value(sys.modules[__name__])  # workers do not know where tests lie


def grouping(batch):
    levels, codes = levels_of(batch.column("level"), ())
    wild, weight = (as_doubles(batch.column(name)) for name in ("wild", "weight"))
    yield Grouped("level", levels, codes, {"wild": wild, "weight": weight})
    yield Grouped("sign", ["-", "+"], (wild > 0).astype(np.int64), {"weight": weight})


def weighed(batch):
    weight = as_doubles(batch.column("weight"))
    return {name: (as_doubles(batch.column(name)), weight) for name in ("wild", "tied")}


COLUMNS = ["level", "wild", "tied", "weight"]
# Each state with how it is made, and what a reader sees of it.
STATES = {
    KeyedSums: (lambda: KeyedSums(("wild", "weight"), grouping), lambda state: state.by_part()),
    Cells: (
        lambda: Cells(weighed, {"wild": None, "tied": None}),
        lambda state: {
            name: (table.least.tolist(), table.most.tolist(), table.weight.totals().tolist())
            for name, table in state.tables.items()
        },
    ),
}


@pytest.fixture(scope="module")
def table():
    """Numbers of 40 magnitudes, some missing, NaN and infinite; ties; levels of which some are NULL."""
    rng = np.random.default_rng(5)
    wild = rng.normal(size=ROWS) * 10.0 ** rng.integers(-20, 20, ROWS)
    wild[:3] = math.nan, 1e308, -1e-308
    return pa.table({
        "n": pa.array(range(ROWS)),
        "level": pa.array(rng.choice(["a", "b", "é", None], ROWS).tolist(), pa.string()),
        "wild": pa.array(np.where(rng.random(ROWS) < 0.01, None, wild).tolist(), pa.float64()),
        "tied": rng.choice([-1.0, -0.0, 0.0, 0.1, 7.0], ROWS),
        "weight": rng.uniform(0.003, 1, ROWS),
    })  # fmt: skip


@pytest.fixture(scope="module")
def frame(spark, table):
    schema = "n bigint, level string, wild double, tied double, weight double"
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return spark.createDataFrame(list(rows), schema).repartition(3, "n").cache()


def test_every_state_is_tested():
    homes = Path(kyros_spark.aggregates.__file__).parent.glob("[a-z]*.py")
    modules = [import_module(f"kyros_spark.aggregates.{path.stem}") for path in homes]
    states = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and {"add", "merge", "to_bytes"} <= set(dir(kind))
    } - {kyros_spark.aggregates.state.State}
    assert states == set(STATES)


@pytest.mark.parametrize("kind", list(STATES), ids=lambda kind: kind.__name__)
def test_a_sum_is_the_same_here_and_on_the_executors(kind, table, frame):
    new, seen = STATES[kind]
    here = DriverRows(table).aggregate(COLUMNS, new)
    there = ExecutorRows(frame).aggregate(COLUMNS, new)
    assert_equal(seen(here), seen(there))  # to the last digit, which is more than 1e-12


@pytest.mark.parametrize("kind", list(STATES), ids=lambda kind: kind.__name__)
def test_the_division_of_rows_changes_nothing(kind, table):
    new, seen = STATES[kind]
    whole = DriverRows(table).aggregate(COLUMNS, new)
    shuffled = table.take(np.random.default_rng(1).permutation(ROWS))
    total = new()
    for first, last in ((0, 1), (1, 7), (7, 7), (7, 9000), (9000, ROWS)):
        part = DriverRows(shuffled.slice(first, last - first)).aggregate(COLUMNS, new)
        total.merge(part.to_bytes())
    assert_equal(seen(whole), seen(total))


def assert_equal(one, other):
    if isinstance(one, dict):
        assert set(one) == set(other)
        for key in one:
            assert_equal(one[key], other[key])
    else:
        np.testing.assert_array_equal(one, other)


def test_sums_are_the_nearest_doubles_to_the_true_ones():
    rng = np.random.default_rng(2)
    for scale in (1.0, 1e-310, 1e300, 1e10):
        values = rng.normal(size=999) * 10.0 ** rng.integers(-20, 5, 999) * scale
        groups = rng.integers(-1, 4, 999)
        sums = ExactSums(4)
        sums.add(values, groups)
        expected = [float(sum(map(Fraction, values[groups == group]))) for group in range(4)]
        assert sums.totals().tolist() == expected


def test_what_is_no_number_or_too_large_is_what_plain_addition_gives():
    sums = ExactSums(5)
    values = [1.0, math.inf, math.nan, 2.0, math.inf, -math.inf, 1.7e308, 1.7e308, 0.0]
    sums.add(np.array(values), np.array([0, 0, 1, 1, 2, 2, 3, 3, 4]))
    np.testing.assert_array_equal(sums.totals(), [math.inf, math.nan, math.nan, math.inf, 0.0])


@pytest.mark.parametrize("limit", [4096, 2100])
def test_cells_cut_within_a_thousandth_of_the_weight_and_ranks_exactly(
    table, frame, limit, monkeypatch
):
    monkeypatch.setattr(cells, "LIMIT", limit)
    wild, weight = (table.column(name).to_numpy() for name in ("wild", "weight"))
    known = ~np.isnan(wild)
    wild, weight = wild[known], weight[known]
    names = ["wild", "tied"]
    found = spreads(DriverRows(table), COLUMNS, names, weighed)
    if limit == 4096:
        assert found == spreads(ExecutorRows(frame), COLUMNS, names, weighed)
    cuts = found["wild"].cuts(10)
    assert set(cuts) <= set(wild.tolist())
    shares = [weight[wild < cut].sum() / weight.sum() for cut in cuts]
    assert shares == pytest.approx([k / 10 for k in range(1, 10)], abs=1 / spread.STEPS)
    assert found["tied"].values == (-1.0, 0.0, 0.1, 7.0)
    below = table.column("weight").to_numpy()[table.column("tied").to_numpy() < 0.1].sum()
    assert found["tied"].below[2] == pytest.approx(below, rel=1e-12)

    def counted(batch):
        return {"": (as_doubles(batch.column("wild")), np.ones(batch.num_rows))}

    ranks = [1, 2, 777, wild.size // 2, wild.size]
    values = order_statistics(DriverRows(table), COLUMNS, "", counted, ranks)
    assert values == [np.sort(wild)[rank - 1] for rank in ranks]
