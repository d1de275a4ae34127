"""Charts are SVG: well formed, whatever the texts, with each point where its numbers are."""

import xml.etree.ElementTree as Xml

import pytest

from kyros_spark.evaluation.report.axes import numeric_axis, round_step
from kyros_spark.evaluation.report.plots import draw

ODD = 'model "<a> & b"'
LINE = {"name": ODD, "gini": 0.25, "x": [0.5, 1.0], "y": [0.2, 1.0]}
LEVELS = {"name": ODD, "y": [0.9, None, 40.0], "lower": [0.8, None, 30.0],
          "upper": [1.1, None, 50.0]}  # fmt: skip
CHARTS = {
    "lorenz": {"lines": [LINE, {**LINE, "gini": None}]},
    "lift": {"lines": [{"name": ODD, "x": [1, 2, 4], "y": [0.5, 1.0, 1.5]}]},
    "calibration": {"number": 7, "expected": [10.0, 20.0], "observed": [10.0, 25.0],
                    "lower": [8.0, 21.0], "upper": [12.0, 30.0]},
    "double_lift": {"ylabel": "y", "lines": [{"name": "observed", "x": [1, 2], "y": [1.0, 1.2]},
                                             {"name": ODD, "x": [1, 2], "y": [None, None]}]},
    "dislocation": {"bands": ["<-20 %", "&"], "shares": [0.75, 0.25]},
    "factor": {"levels": ["<25", "&", "(missing)"], "shares": [0.5, 0.495, 0.005],
               "lines": [LEVELS, LEVELS]},
}  # fmt: skip


def elements(kind, tag, **changes):
    svg = draw({"kind": kind, "title": ODD, **CHARTS[kind], **changes})
    root = Xml.fromstring(svg)
    return root, [e for e in root.iter() if e.tag.endswith(f"}}{tag}")]


@pytest.mark.parametrize("kind", list(CHARTS))
def test_a_chart_is_well_formed_and_keeps_within_its_frame(kind):
    root, texts = elements(kind, "text")
    assert root.get("aria-label") == ODD and root.get("role") == "img"
    width, height = (float(side) for side in root.get("viewBox").split()[2:])
    assert texts
    for text in texts:
        assert 0 <= float(text.get("x")) <= width and 0 <= float(text.get("y")) <= height
    for tag in ("rect", "circle"):
        for shape in elements(kind, tag)[1]:
            x, y = (float(shape.get(n, shape.get(f"c{n}"))) for n in ("x", "y"))
            assert 0 <= x <= width and 0 <= y <= height
    words = {text.text for text in texts}
    told = [*CHARTS[kind].get("levels", ()), *CHARTS[kind].get("bands", ())]
    told += [ODD] if kind in ("lift", "double_lift", "factor") else []
    assert words >= set(told)


def test_a_point_of_the_diagonal_lies_on_it_and_its_interval_around_it():
    _, marks = elements("calibration", "circle")
    paths = [p.get("d") for p in elements("calibration", "path")[1] if p.get("stroke-dasharray")]
    (x0, y0), (x1, y1) = (map(float, end.split()) for end in paths[0][1:].split("L"))
    on, off = ((float(m.get("cx")), float(m.get("cy"))) for m in marks)
    along = (on[0] - x0) / (x1 - x0)
    assert along == pytest.approx(10 / (30 * 1.05), abs=1e-3)
    assert on[1] == pytest.approx(y0 + along * (y1 - y0), abs=0.2)
    assert off[1] < y0 + (off[0] - x0) / (x1 - x0) * (y1 - y0)  # above it: more was observed


def test_bars_are_as_high_as_their_shares_and_say_so():
    _, bars = elements("dislocation", "rect")
    heights = [float(bar.get("height")) for bar in bars]
    assert heights[0] == pytest.approx(3 * heights[1], rel=0.01)
    assert {"75%", "25%"} <= {text.text for text in elements("dislocation", "text")[1]}


def test_a_level_beyond_the_axis_has_no_mark_and_one_without_a_value_none_either():
    _, marks = elements("factor", "circle")
    assert len(marks) == 2  # the first model's first level, and the legend's


def test_a_line_stops_where_a_value_is_missing():
    line = {"name": "observed", "x": [1, 2, 3, 4, 5], "y": [1.0, 1.2, None, 1.1, 1.0]}
    _, paths = elements("double_lift", "path", lines=[line])
    drawn = [p for p in paths if p.get("stroke-linejoin") and not p.get("stroke-dasharray")]
    assert [p.get("d").count("L") for p in drawn] == [1, 1]


@pytest.mark.parametrize(
    ("low", "high", "most", "labels"),
    [
        (0, 1, 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.31, 1.44, 6, ["0.4", "0.6", "0.8", "1.0", "1.2", "1.4"]),
        (0, 12_400, 5, ["0", "2,500", "5,000", "7,500", "10,000"]),
        (-0.013, 0.013, 4, ["-0.01", "0.00", "0.01"]),
        (2.0, 2.0, 4, ["1.50", "1.75", "2.00", "2.25", "2.50"]),
    ],
)
def test_ticks_are_round_numbers(low, high, most, labels):
    assert [text for _, text in numeric_axis(low, high, most=most).ticks] == labels


@pytest.mark.parametrize(("least", "step"), [(0.3, 0.5), (1, 1), (2.1, 2.5), (60, 100)])
def test_a_step_is_the_next_round_number(least, step):
    assert round_step(least) == pytest.approx(step)
