"""Pictures of explanations show the numbers of the tables: steps that meet, bars that add up."""

import itertools
import math
import re

import pytest

from kyros_spark.evaluation.report.draw import drawn
from kyros_spark.evaluation.report.explained_charts import beeswarm, of_summary, waterfall
from kyros_spark.evaluation.report.pictures import both_widths
from kyros_spark.evaluation.report.plots import draw

CONTRIBUTIONS = [
    {"feature": "power", "value": "137.5", "contribution": 0.6, "relativity": math.exp(0.6)},
    {"feature": "place", "value": None, "contribution": -0.2, "relativity": math.exp(-0.2)},
    {"feature": "fuel", "value": "petrol", "contribution": 0.0, "relativity": 1.0},
]
LOG = {
    "model_name": "premium", "link": "log", "base": 5.0, "contributions": CONTRIBUTIONS,
    "rest": 0.0, "load": 85.0, "prediction": math.exp(5.4) + 85.0,
}  # fmt: skip
IDENTITY = {**LOG, "link": "identity", "load": 0.0, "prediction": 5.4}
LOGIT = {**LOG, "link": "logit", "load": 0.0, "prediction": 1 / (1 + math.exp(-5.4))}


@pytest.mark.parametrize("row", [LOG, IDENTITY, LOGIT], ids=lambda row: row["link"])
def test_the_steps_of_a_waterfall_lead_from_the_base_to_the_price(row):
    spec = waterfall(row, "claim_amount per exposure")
    steps = spec["steps"]
    labels = ["base", "power = 137.5", "place = (missing)", "price"]
    if row["load"]:
        labels.insert(3, "large-loss load")
    assert [step["label"] for step in steps] == labels
    for step, after in itertools.pairwise(steps):
        assert after["start"] == pytest.approx(step["end"]) or after["whole"]
    end = row["prediction"] if row["link"] != "logit" else 5.4
    assert steps[-1]["end"] == pytest.approx(end) == pytest.approx(steps[-2]["end"])
    svg = draw(spec)
    assert "power = 137.5" in svg and ("×1.822" in svg) == (row["link"] == "log")


def test_more_steps_than_a_page_holds_are_one():
    many = [
        {"feature": f"f{n}", "value": "1", "contribution": 0.1, "relativity": math.exp(0.1)}
        for n in range(30)
    ]
    row = {**LOG, "contributions": many, "load": 0.0, "prediction": math.exp(8.0)}
    steps = waterfall(row, "amount")["steps"]
    assert len(steps) == 15 and steps[-2]["label"] == "18 others"
    assert steps[-2]["end"] == pytest.approx(math.exp(8.0))


def summary_row(feature, level, order, mean, exposure):
    return {
        "feature": feature, "segment": None, "level": level, "level_order": order,
        "exposure": exposure, "mean": mean, "mean_absolute": abs(mean), "relativity": math.exp(mean),
    }  # fmt: skip


def test_an_axis_of_relativities_has_no_number_below_zero():
    spec = {
        "kind": "dependence", "title": "effect of age", "feature": "age", "levels": ["18-<20", "20-<24", "24+"],
        "effects": [5.0, 1.2, 0.8], "shares": [0.1, 0.2, 0.7], "neutral": 1.0, "joined": 3,
        "ylabel": "mean relativity",
    }  # fmt: skip
    contributions = {**spec, "neutral": 0.0, "effects": [5.0, 1.2, -3.0]}
    for relativities, others in zip(both_widths(spec), both_widths(contributions), strict=True):
        assert not re.search(r">[-\N{MINUS SIGN}]\d", relativities)
        assert re.search(r">[-\N{MINUS SIGN}]\d", others)


def test_dependences_come_in_order_of_importance_with_the_share_of_exposure():
    rows = [
        summary_row("fuel", None, None, 0.1, 100.0),
        summary_row("age", None, None, -0.3, 100.0),
        summary_row("age", "18-<20", 1, 0.5, 25.0),
        summary_row("age", "20-<22", 2, -0.6, 70.0),
        summary_row("age", "(missing)", 3, 0.0, 5.0),
        summary_row("fuel", "petrol", 1, 0.1, 100.0),
    ]
    charts = of_summary(rows)
    assert list(charts) == ["importance", "dependence age", "dependence fuel"]
    assert charts["importance"]["features"] == ["age", "fuel"]
    age = charts["dependence age"]
    assert age["levels"] == ["18-<20", "20-<22", "(missing)"] and age["joined"] == 2
    assert age["shares"] == [0.25, 0.7, 0.05]
    assert age["effects"] == pytest.approx([math.exp(0.5), math.exp(-0.6), 1.0])
    for svg in drawn(charts).values():
        assert svg.count("<svg ") == svg.count("</svg>") == 2  # for screens, and for telephones


def test_a_sample_of_one_policy_and_of_equal_ones_is_drawn():
    for lanes in ([[0.0]], [[0.2] * 50]):
        for svg in both_widths(beeswarm(["fuel"], lanes, [[0.5] * len(lanes[0])], "log")):
            assert "contribution on the scale of the link (log)" in svg
            assert svg.count("h0") == len(lanes[0])  # a dot per policy
