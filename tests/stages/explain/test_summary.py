"""Summaries are the plain means, however the rows were divided."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kyros_spark.errors import DataContractError
from kyros_spark.explanation.price import ExplainedRows, Price, PricePart
from kyros_spark.model.manifest import Feature
from kyros_spark.stages.explain.levels import LevelsOf, levels_by_feature
from kyros_spark.stages.explain.summary import SummaryPlan, mean_terms, no_sums
from kyros_spark.stages.explain.summary_report import SummaryReport

FUEL = Feature(name="fuel", kind="levels", levels=("petrol", "diesel"))
AGE = Feature(name="age", kind="numeric")
BINNED = Feature(name="power", kind="levels", levels=("<50", "50+"), cuts=(50.0,))
PRICE = Price("frequency", "3", "log", ("fuel", "age"), (PricePart(0, 0, (0, 1), (0, 1)),))
PLAN = SummaryPlan((PRICE,), levels_by_feature([FUEL, AGE], {"area": False}), ("area",))


def policies(count=500):
    draw = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "fuel": draw.choice(["petrol", "diesel", "hydrogen", None], count),
            "age": np.where(draw.random(count) < 0.1, np.nan, draw.integers(18, 90, count)),
            "area": draw.choice(["city", "country"], count),
            "exposure": draw.uniform(0.1, 1.0, count),
        }
    )


def explain(batch):
    """A policy's contributions, made up: known to the test without any model."""
    fuel = np.array([len(text or "") for text in batch.column("fuel").to_pylist()], float)
    age = np.array([-1.0 if a is None else 50.0 - a for a in batch.column("age").to_pylist()])
    values = np.stack([fuel / 10, age / 100], axis=1)
    return [ExplainedRows(PRICE, np.ones(fuel.size), values.sum(axis=1), 0.0, values)]


def arrow(rows):
    return pa.RecordBatch.from_pandas(rows, preserve_index=False)


def summed(parts):
    """Return the sums of parts of the rows, each travelled as bytes."""
    total = no_sums()
    for part in parts:
        state = PLAN.state(explain)
        state.add(arrow(part))
        total.merge(state.to_bytes())
    return total


def test_the_rows_are_the_weighted_means_by_level_and_by_segment():
    rows = policies()
    made = pd.DataFrame(PLAN.rows(summed([rows]), "2024", "r1"))
    values = explain(arrow(rows))[0].values
    weight = rows["exposure"].to_numpy()
    for n, feature in enumerate(PRICE.features):
        of_feature = made[made["feature"] == feature]
        whole = of_feature[of_feature["level"].isna() & of_feature["segment"].isna()].iloc[0]
        assert whole["mean"] == pytest.approx((values[:, n] * weight).sum() / weight.sum())
        absolute = (abs(values[:, n]) * weight).sum() / weight.sum()
        assert whole["mean_absolute"] == pytest.approx(absolute)
        assert whole["relativity"] == pytest.approx(np.exp(whole["mean"]))
        assert whole["rows"] == 500 and whole["exposure"] == pytest.approx(weight.sum())
        for area in ("city", "country"):
            chosen = (rows["area"] == area).to_numpy()
            row = of_feature[of_feature["segment_level"] == area].iloc[0]
            mean = (values[chosen, n] * weight[chosen]).sum() / weight[chosen].sum()
            assert row["mean"] == pytest.approx(mean) and row["segment"] == "area"
    fuels = made.query("feature == 'fuel' and segment.isna()").dropna(subset="level")
    assert fuels["level"].tolist() == ["petrol", "diesel", "(missing)", "(unseen)"]
    assert fuels["level_order"].tolist() == [1, 2, 3, 4]
    counts = rows["fuel"].value_counts(dropna=False)
    assert fuels["rows"].tolist() == [
        counts["petrol"], counts["diesel"], rows["fuel"].isna().sum(), counts["hydrogen"],
    ]  # fmt: skip
    assert set(made["model_version"]) == {"3"} and set(made["batch_id"]) == {"2024"}


def test_the_sums_do_not_depend_on_how_the_rows_were_divided():
    rows = policies()
    whole = PLAN.rows(summed([rows]), "2024", "r1")
    divided = PLAN.rows(summed([rows[300:], rows[:7], rows[7:300]]), "2024", "r1")
    assert divided == whole
    fuel, age = mean_terms(summed([rows]), PRICE.features)
    assert fuel == pytest.approx(whole_of(whole, "fuel")) and age == whole_of(whole, "age")


def whole_of(rows, feature):
    (row,) = [r for r in rows if r["feature"] == feature and not {"level", "segment"} & set(r)]
    return row["mean"]


def test_a_number_has_the_range_of_its_leading_bits():
    ages = LevelsOf("age", is_number=True)
    keys, codes = ages.levels(pa.array([18.0, 19.5, 20.0, 33.0, 0.0, None, -5.1, 64.0]))
    labels = [ages.label(keys[code]) for code in codes]
    assert labels == ["18-<20", "18-<20", "20-<22", "32-<36", "0", "(missing)", "-5.5 to -5",
                      "64-<72"]  # fmt: skip
    in_order = [ages.label(key) for key in ages.ordered(keys)]
    assert in_order == ["-5.5 to -5", "0", "18-<20", "20-<22", "32-<36", "64-<72", "(missing)"]


def test_a_models_bins_and_the_levels_of_all_models_are_the_levels():
    other = Feature(name="fuel", kind="levels", levels=("petrol", "gas"))
    levels = levels_by_feature([FUEL, other, BINNED], {})
    assert levels["fuel"].known == ("petrol", "diesel", "gas")
    keys, codes = levels["power"].levels(pa.array([40.0, 50.0, None]))
    assert [keys[code] for code in codes] == ["<50", "50+", "(missing)"]


def test_a_segment_of_too_many_levels_is_refused_by_name():
    column = pa.array([str(n) for n in range(10_001)])
    with pytest.raises(DataContractError, match=r"feature postcode.*explain\.segments"):
        LevelsOf("postcode").levels(column)


class _Reported(SummaryReport):
    def __init__(self, *states):
        self._sums = type("Sums", (), {"value": states[0] if states else b""})()


def test_sums_made_on_the_way_count_only_if_they_are_of_all_policies():
    state = PLAN.state(explain)
    state.add(arrow(policies(100)))
    assert _Reported(state.to_bytes()).total(PLAN, 100).by_part() == state.by_part()
    assert _Reported(state.to_bytes()).total(PLAN, 150) is None
    assert _Reported().total(PLAN, 100) is None
