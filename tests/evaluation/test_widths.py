"""A chart is read on a telephone as on a screen: it is drawn for both where it would have to shrink."""

import re
from xml.etree import ElementTree

import pytest

from kyros_spark.evaluation.report import portfolio_charts
from kyros_spark.evaluation.report.compact_svg import compact_svg
from kyros_spark.evaluation.report.draw import drawn
from kyros_spark.evaluation.report.explained_charts import waterfall
from kyros_spark.evaluation.report.level_pictures import narrow_picture, wide_picture
from kyros_spark.evaluation.report.text_width import shortened, text_width
from kyros_spark.evaluation.report.value_axis import round_ticks, tick_labels

TELEPHONE = 358  # CSS pixels: 390 without the page's margins
POINT = 4 / 3  # CSS pixels


def line(number, y, **more):
    return {
        "name": f"model_{number}",
        "number": number,
        "y": y,
        "x": [1, 2, 3],
        "gini": 0.2,
        **more,
    }


def by_level(levels, models=2, kind="factor"):
    count = len(levels)
    ends = {"lower": [0.8] * count, "upper": [1.3] * count}
    return {
        "kind": kind, "title": "Actual over expected", "size": (9.2, 3.1), "levels": levels,
        "shares": [1 / count] * count, "ylabel": "mean", "observed": {"y": [1.0] * count, **ends},
        "lines": [line(n, [1.0 + n / 10] * count, **ends) for n in range(models)],
    }  # fmt: skip


STEP = {"feature": "power", "value": "137.5", "contribution": 0.1, "relativity": 1.1}
PRICE = {"model_name": "premium", "link": "log", "base": 5.0, "contributions": [STEP] * 9,
         "rest": 0.0, "load": 0.0, "prediction": 365.0}  # fmt: skip
BATCHES = [f"2024-{month:02d}" for month in range(1, 13)]
SERIES = {f"model_{n}": dict.fromkeys(BATCHES, 1.0 + n) for n in range(6)}
CHARTS = {
    "by level": by_level([f"level {n}" for n in range(40)]),
    "one way": by_level(["a", "b"], kind="one_way"),
    "lorenz": {"kind": "lorenz", "title": "Lorenz", "lines": [line(n, [0.1, 0.4, 1]) for n in range(5)]},
    "lift": {"kind": "lift", "title": "Lift", "lines": [line(n, [0.5, 1, 1.5]) for n in range(5)]},
    "price": waterfall(PRICE, "amount"),
    "batches": portfolio_charts.lines("PSI", "PSI", BATCHES, SERIES),
    "rows": portfolio_charts.bars("Rows", "rows", BATCHES, SERIES),
    "tables": portfolio_charts.lineage(
        "Tables", [("clean", dict.fromkeys(["policies", "claims", "rejects"], "version 1")),
                   ("evaluate", {"evaluation_metrics": "version 1"})], [("claims", "policies")],
    ),
    "fits": {"kind": "dislocation", "title": "moves", "size": (3.7, 3.0), "bands": ["up", "down"],
             "shares": [0.5, 0.5]},
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures():
    """The SVG elements of each chart, by the class that shows them."""
    page = drawn(CHARTS)
    return {
        name: {
            root.get("class"): root
            for root in map(ElementTree.fromstring, re.findall(r"<svg .*?</svg>", html, re.DOTALL))
        }
        for name, html in page.items()
    }, "".join(page.values())


def in_pixels(root):
    width = float(root.get("width").removesuffix("pt")) * POINT
    sizes = [
        float(size[1])
        for node in root.iter()
        if (size := re.search(r"font-size: ([\d.]+)px", node.get("style") or ""))
        or (size := re.search(r"([\d.]+)", node.get("font-size") or ""))
    ]
    return width, min(sizes) * POINT


def test_every_chart_is_read_at_a_telephones_width(pictures):
    for name, of_width in pictures[0].items():
        assert set(of_width) == ({None} if name == "fits" else {"for-wide", "for-narrow"}), name
        width, smallest = in_pixels(of_width.get("for-narrow", of_width.get(None)))
        assert width <= TELEPHONE, f"{name}: {width:.0f} pixels wide"
        assert smallest >= 9, f"{name}: a text of {smallest:.1f} pixels"


def test_the_charts_of_a_page_share_no_ids(pictures):
    """A shape of a picture that is not shown is not drawn, whoever refers to it."""
    ids = re.findall(r' id="([^"]*)"', pictures[1])
    used = re.findall(r'(?:href="|url\()#([^")]*)', pictures[1])
    assert ids and len(ids) == len(set(ids)) and set(used) == set(ids)
    assert "<style" not in pictures[1]  # it would hold for the whole page


def test_a_narrow_chart_names_every_level_and_says_its_share_of_exposure(pictures):
    texts = [node.text for node in pictures[0]["by level"]["for-narrow"].iter() if node.text]
    assert [text for text in texts if text.startswith("level")] == CHARTS["by level"]["levels"]
    assert texts.count("2.5%") == 40


@pytest.mark.parametrize("draw", [narrow_picture, lambda spec: wide_picture(spec, 662)])
def test_no_text_leaves_the_picture(draw):
    names = [f"a level with a very long name, number {n}" for n in range(12)]
    root = ElementTree.fromstring(draw(by_level(names, models=6)))
    width = float(root.get("width").removesuffix("pt"))
    for group in root:
        size = float(group.get("font-size") or 0)
        for node in group:
            if node.tag.endswith("text") and not node.get("transform"):
                wide, at = text_width(node.text, size), float(node.get("x"))
                left = {"start": at, "middle": at - wide / 2, "end": at - wide}
                assert left[group.get("text-anchor")] >= -1
                assert left[group.get("text-anchor")] + wide <= width + 1
    in_full = [node.text for node in root.iter() if node.tag.endswith("title")]
    assert set(names) == set(in_full)


def test_what_lies_beyond_the_axis_is_cut_and_gaps_stay_gaps():
    spec = by_level(["a", "b", "c"], models=1)
    spec["shares"] = [0.6, 0.399, 0.001]
    spec["lines"] = [line(0, [1.0, None, 9.0], lower=[0.9, None, 0.5], upper=[1.1, None, 99.0])]
    root = ElementTree.fromstring(wide_picture(spec, 662))
    height = float(root.get("height").removesuffix("pt"))
    for node in root.iter():
        for _, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", node.get("d") or ""):
            assert 0 <= float(y) <= height
    infinite = by_level(["a", "b"], models=1)
    infinite["lines"] = [line(0, [float("inf"), 1.0], lower=[None, 0.9], upper=[None, 1.1])]
    assert "inf" not in wide_picture(infinite, 662) and "nan" not in narrow_picture(infinite)


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [(0.8, 1.2, ["0.8", "0.9", "1.0", "1.1", "1.2"]), (0, 9, ["0", "2", "4", "6", "8"]),
     (0.03, 0.26, ["0.05", "0.10", "0.15", "0.20", "0.25"]), (-1.2, 0.6, ["-1.0", "-0.5", "0.0", "0.5"]),
     (0, 250_000, ["0", "50,000", "100,000", "150,000", "200,000", "250,000"]),
     (1e12, 5e12, ["1e+12", "2e+12", "3e+12", "4e+12", "5e+12"]), (2.0, 2.0, ["2"])],
)  # fmt: skip
def test_an_axis_has_round_numbers_that_can_be_told_apart(least, most, expected):
    assert tick_labels(round_ticks(least, most, 5)) == expected


def test_shares_have_the_decimals_that_they_need():
    assert tick_labels([0, 0.05, 0.1], percent=True) == ["0%", "5%", "10%"]
    assert tick_labels([0, 0.005, 0.01], percent=True) == ["0.0%", "0.5%", "1.0%"]


def test_a_text_is_shortened_to_what_has_room():
    assert shortened("fuel", 9, 100) == "fuel"
    short = shortened("a very long level", 9, 40)
    assert short.endswith("…") and text_width(short, 9) <= 40 and short.startswith("a ve")
    assert text_width("県県", 10) > text_width("ab", 10)


def test_texts_are_not_touched_when_a_picture_is_made_shorter():
    text = 'id="x" font-family: Y; 3.14159 href="#z"'
    svg = f'<svg width="9.123456pt"><g id="a"><text style="font-size: 9px; font-family: B; fill: #1">{text}</text>\n</g></svg>'
    compacted = compact_svg(svg, "p")
    assert f'<text style="font-size: 9px; fill: #1">{text}</text></g>' in compacted
    assert 'width="9.1pt"' in compacted and 'id="a"' not in compacted


def test_the_last_of_six_rules_has_its_own_name():
    rules = {f"rule {n}": {"2024": 9 - n} for n in range(6)}
    names = [bar["name"] for bar in portfolio_charts.bars("Rows", "rows", ["2024"], rules)["lines"]]
    assert names == list(rules)
    rules["rule 6"] = {"2024": 1}
    bars = portfolio_charts.bars("Rows", "rows", ["2024"], rules)["lines"]
    assert [bar["name"] for bar in bars][-1] == "2 others" and bars[-1]["y"] == [5.0]
