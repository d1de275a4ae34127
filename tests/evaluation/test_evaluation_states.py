"""Sums by group are the same however the rows are divided, and travel as bytes."""

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from test_sums import FAMILIES, generated

from kyros_spark.config import ModelSettings
from kyros_spark.evaluation.base import PartTotals
from kyros_spark.evaluation.curves import Pair
from kyros_spark.evaluation.factors import FactorSums
from kyros_spark.evaluation.losses import LossSums
from kyros_spark.evaluation.numbers import local_number_groups
from kyros_spark.evaluation.rows import WHOLE
from kyros_spark.evaluation.stability import BinExposures
from kyros_spark.evaluation.subjects import EvaluatedModel

MODELS = [
    EvaluatedModel(n, name, "1", ModelSettings(method="glm", family=f, target=t, per=p),
                   labelled=name != "premium")
    for n, (name, (f, t, p)) in enumerate(FAMILIES.items())
]  # fmt: skip
MEANS = {(m.number, part): 0.2 for m in MODELS for part in ("train", "valid", "test", WHOLE)}
BINS = [{"subject": 0, "most": most, "units": 1.0} for most in (0.2, 0.3, 0.9)]


def rows():
    data = generated().assign(_stands_for=2.0, _group=np.arange(3000) % 3)
    table = pa.Table.from_pandas(data, preserve_index=False)
    power = table.column("power")
    place = table.schema.get_field_index("power")
    return table.set_column(place, "power", pc.if_else(pc.is_nan(power), None, power))


ROWS = rows()
GROUPS = local_number_groups(ROWS, ["power"], 4)
LARGE = {"area": frozenset("ab"), "power": frozenset(GROUPS["power"].labels)}
STATES = {
    "totals": lambda: PartTotals(MODELS),
    "losses": lambda: LossSums([m for m in MODELS if m.labelled], MEANS),
    "bins": lambda: BinExposures(MODELS[:1], BINS),
    "factors": lambda: FactorSums(
        {"area": None, **GROUPS}, LARGE, MODELS, [Pair(9, MODELS[3], MODELS[0])]
    ),
}


@pytest.mark.parametrize("kind", list(STATES))
@pytest.mark.parametrize("cuts", [(), (1,), (0, 3000), (7, 8, 1500)])
def test_a_sum_does_not_depend_on_how_rows_were_divided(kind, cuts):
    new_state, ends = STATES[kind], [0, *cuts, ROWS.num_rows]
    whole, merged = new_state(), new_state()
    whole.add(ROWS.combine_chunks().to_batches()[0])
    for first, last in itertools.pairwise(ends):
        part = new_state()
        for batch in ROWS.slice(first, last - first).to_batches(max_chunksize=1000):
            part.add(batch)
        merged.merge(part.to_bytes())
    expected, found = whole.result(), merged.result()
    assert len(expected) > 2 and len(found) == len(expected)
    for row, other in zip(expected, found, strict=True):
        assert list(row) == list(other)
        for name, value in row.items():
            is_number = isinstance(value, float) and other[name] is not None
            close = pytest.approx(value, rel=1e-12) if is_number else value
            assert other[name] == close, name


def test_texts_that_share_a_dictionary_are_read_as_plain_ones_are():
    plain, shared = STATES["factors"](), STATES["factors"]()
    plain.add(ROWS.combine_chunks().to_batches()[0])
    place = ROWS.schema.get_field_index("area")
    encoded = ROWS.set_column(place, "area", ROWS.column("area").dictionary_encode())
    for batch in encoded.to_batches(max_chunksize=1200):
        shared.add(batch)
    assert [row["level"] for row in plain.result()] == [row["level"] for row in shared.result()]


def test_a_target_that_is_not_known_has_no_sum_rather_than_zero():
    state = STATES["factors"]()
    state.add(ROWS.combine_chunks().to_batches()[0])
    number = next(m.number for m in MODELS if not m.labelled)
    assert {row[f"observed_{number}"] for row in state.result()} == {None}
    assert all(row[f"expected_{number}"] > 0 for row in state.result() if row[f"rows_{number}"])
