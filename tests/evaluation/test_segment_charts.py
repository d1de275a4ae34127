"""Caterpillar plots show the numbers of a model's file: each segment's relativity and interval."""

import math

import numpy as np
import pyarrow as pa
import pytest

from kyros_spark.aggregates.rows import in_process
from kyros_spark.config import ModelSettings, PrepareSettings
from kyros_spark.evaluation.report.plots import draw
from kyros_spark.evaluation.report.segment_charts import MOST_SEGMENTS, of_segments
from kyros_spark.fitting.segments.results import StoredSegments
from kyros_spark.fitting.train_model import train_model


def trained(towns, rows):
    random = np.random.default_rng(1)
    town = np.repeat(np.arange(towns), rows)
    fuel = random.integers(0, 2, town.size)
    steep = (town == 0) & (fuel == 1)  # in one town, and there alone, fuel matters
    claims = random.poisson(np.where(steep, 3.0, 0.5 + 0.02 * town)).astype(float)
    table = pa.table(
        {
            "exposure": np.ones(town.size), "split": ["train"] * town.size, "claims": claims,
            "town": [f"t{n:03d}" for n in town], "fuel": np.array(["petrol", "diesel"])[fuel],
        }
    )  # fmt: skip
    features = {name: {"kind": "levels"} for name in ("town", "fuel")}
    prepare = PrepareSettings.model_validate(
        {"exposure": "exposure", "split": {"by": ["town"]}, "targets": {"claims": "claims"},
         "features": features}
    )  # fmt: skip
    settings = ModelSettings(
        method="glm", family="poisson", target="claims", per="exposure", features=("fuel",),
        by=("town",), min_rows=1, min_claims=1,
    )  # fmt: skip
    return train_model("frequency", in_process(table), settings, prepare, {})


def test_a_plot_shows_every_segment_by_rising_relativity_with_its_interval():
    model = trained(towns=6, rows=400)
    charts = of_segments(model)
    level, factor = charts.values()
    first, second = charts
    assert first == "segments (intercept)" and "fuel = " in second
    assert factor["values"] == sorted(factor["values"]) and len(factor["values"]) == 6
    stored = StoredSegments(model)
    term = 2 if model.manifest.features[0].base_code == 0 else 1
    of_first = stored.per_term("segment_value")[model.arrays["segment_row"][0], term]
    place = factor["names"].index("t000")
    assert factor["values"][place] == pytest.approx(math.exp(of_first))
    assert factor["lower"][place] < factor["values"][place] < factor["upper"][place]
    assert factor["apart"][place] and len(level["values"]) == 6
    assert "t000" in draw(factor)


def test_more_segments_than_a_plot_has_room_for_are_some_of_each_rank():
    charts = of_segments(trained(towns=MOST_SEGMENTS + 60, rows=40))
    level = charts["segments (intercept)"]
    assert len(level["values"]) == MOST_SEGMENTS and not level["names"]
    assert f"{MOST_SEGMENTS} of " in level["title"]
