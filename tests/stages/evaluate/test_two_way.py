"""evaluate by two factors: the table is what pandas adds up, the heat map shows the table."""

import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from portfolio import FIRST

PAIRS = [["fuel", "place"], ["driver", "power"]]
SUMS = ["rows", "units", "claims", "observed", "expected"]


@pytest.fixture(scope="module")
def judged(finished, tmp_path_factory):
    portfolio = finished.copy_to(tmp_path_factory.mktemp("two_way"))
    portfolio.set("evaluate", {"two_way": PAIRS, "quantiles": 4})
    portfolio.line = portfolio.must(f"evaluate --batch {FIRST}")
    return portfolio


@pytest.fixture(scope="module")
def cells(judged, spark):
    return judged.read(spark, "evaluation_two_way", FIRST).toPandas()


def test_each_cell_is_what_its_policies_add_up_to(judged, cells, spark):
    policies = judged.read(spark, "prepared", FIRST).toPandas()
    predictions = judged.read(spark, "predictions", FIRST).where("model_name = 'frequency'")
    rows = policies.merge(predictions.select("policy_id", "expected").toPandas(), on="policy_id")
    assert len(rows) == len(policies)
    expected = (
        rows.fillna({"fuel": "(missing)", "place": "(missing)"})
        .groupby(["fuel", "place"])
        .agg(rows=("fuel", "size"), units=("exposure", "sum"), claims=("claim_count", "sum"),
             observed=("claim_count", "sum"), expected=("expected", "sum"))
    )  # fmt: skip
    found = cells[(cells.model_name == "frequency") & (cells.part == "all")]
    found = found[found.factor == "fuel"].set_index(["level", "other_level"])
    pd.testing.assert_frame_equal(
        found[SUMS].astype(float).sort_index(),
        expected.astype(float).sort_index(),
        check_names=False,
        rtol=1e-12,
    )
    assert found.actual_expected.to_numpy() == pytest.approx(
        (found.observed / found.expected).to_numpy(), rel=1e-12
    )
    assert found.units_share.sum() == pytest.approx(1.0, abs=1e-12)


def test_the_cells_of_a_level_add_up_to_its_one_way_row(judged, cells, spark):
    one_way = judged.read(spark, "evaluation_factors", FIRST).toPandas()
    for factor, level in (("factor", "level"), ("other_factor", "other_level")):
        added = cells.groupby(["model_name", "part", factor, level])[SUMS].sum(min_count=1)
        for key, sums in added.iterrows():
            model, part, name, value = key
            row = one_way[(one_way.model_name == model) & (one_way.part == part)]
            row = row[(row.factor == name) & (row.level == value)][SUMS].iloc[0]
            assert sums.to_numpy(float) == pytest.approx(row.to_numpy(float), rel=1e-9, nan_ok=True)
    assert len(added) > 20


def test_the_report_shows_each_pair_for_each_model(judged, cells):
    html = Path(judged.line["details"]["report"]).read_text(encoding="utf-8")
    maps = re.findall(r'<table class="heat"><caption>(.*?)</caption>(.*?)</table>', html, re.DOTALL)
    captions = [unescape(caption) for caption, _ in maps]
    models = set(cells.model_name)
    for first, second in PAIRS:
        for model in models:
            assert f"{model}: {first} (down) by {second} (across)" in captions
    test_part = cells[(cells.part == "test") & (cells.factor == "fuel")]
    sample = test_part[test_part.model_name == "frequency"].set_index(["level", "other_level"])
    shown = dict(zip(captions, (body for _, body in maps), strict=True))
    body = shown["frequency: fuel (down) by place (across)"]
    across = re.findall(r'<th scope="col">(.*?)</th>', body)
    for level, row in re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', body, re.DOTALL):
        texts = [re.sub("<.*?>", "", cell) for cell in re.findall(r"<td.*?</td>", row)]
        for other, text in zip(across, texts, strict=True):
            if text != "–":
                ratio = sample.loc[(unescape(level), unescape(other))].actual_expected
                assert text == f"{100 * ratio:.0f} %".replace(" ", text[-2])


def test_without_pairs_there_is_no_such_table(finished, spark, tmp_path):
    portfolio = finished.copy_to(tmp_path)
    line = portfolio.must(f"evaluate --batch {FIRST}")
    assert "evaluation_two_way" not in line["outputs"]


def test_pairs_that_are_no_longer_asked_for_are_gone(judged, spark, tmp_path):
    portfolio = judged.copy_to(tmp_path)
    portfolio.must(["evaluate", "--batch", FIRST, "--set", "evaluate.two_way=[[fuel, driver]]"])
    rows = portfolio.read(spark, "evaluation_two_way", FIRST).collect()
    assert {(row["factor"], row["other_factor"]) for row in rows} == {("fuel", "driver")}
    portfolio.must(["evaluate", "--batch", FIRST, "--set", "evaluate.two_way=[]"])
    assert portfolio.read(spark, "evaluation_two_way", FIRST).count() == 0
