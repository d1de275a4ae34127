"""Texts of the data stay texts in every chart."""

import re
from xml.etree import ElementTree

import pytest

from kyros_spark.evaluation.report import pictures
from kyros_spark.evaluation.report.narrow import narrow_spec
from kyros_spark.evaluation.report.plots import _KINDS, draw

LEVELS = ["$500", "$500-$1,000", "$x$", r"\frac{1}{2}", "<b>bold</b>", "a & b", "--><script>",
          "a]]>b", "_nolegend_", "line\nbreak", "tab\tx", "nul\0x", "\x1b[31mred", "^_{2}", "50%",
          "£", "Ü", '"', "'", "{{ 7 * 7 }}", "{% x %}"]  # fmt: skip
SHOWN = {level: level for level in LEVELS} | {
    "line\nbreak": "line�break", "tab\tx": "tab�x", "nul\0x": "nul�x",
    "\x1b[31mred": "�[31mred",
}  # fmt: skip


def spec(kind):
    """A chart of each kind, with all texts wherever a text of data may stand."""
    numbers, shares = [0.5, 1.5], [1 / len(LEVELS)] * len(LEVELS)
    of_levels = [1.0] * len(LEVELS)
    by_level = kind in ("factor", "one_way")
    values = of_levels if by_level else numbers
    lines = [
        {"name": text, "number": number, "x": numbers, "y": values,
         "gini": None, "lower": values, "upper": values}
        for number, text in enumerate(LEVELS)
    ]  # fmt: skip
    of_kind = {
        "caterpillar": {"values": of_levels, "lower": of_levels, "upper": of_levels, "whole": 1.0,
                        "apart": [False] * len(LEVELS), "names": LEVELS},
        "relativities": {"values": of_levels, "lower": of_levels, "upper": of_levels,
                         "is_base": [False] * len(LEVELS)},
        "by_batch": {"batches": LEVELS, "percent": False, "reference": 1.0,
                     "lines": [{"name": text, "y": of_levels} for text in LEVELS]},
        "stacked": {"batches": LEVELS, "percent": True,
                    "lines": [{"name": text, "y": of_levels} for text in LEVELS]},
        "lineage": {"boxes": [{"name": text, "note": text, "stage": n}
                              for n, text in enumerate(LEVELS)],
                    "arrows": [], "stages": [{"name": text} for text in LEVELS]},
    }  # fmt: skip
    observed = {"y": of_levels, "lower": of_levels, "upper": of_levels}
    return {
        "kind": kind, "title": "".join(LEVELS), "lines": lines, "levels": LEVELS, "bands": LEVELS,
        "shares": shares, "expected": numbers, "observed": observed if by_level else numbers, "lower": numbers,
        "upper": numbers, "number": 0, "ylabel": "$y$", "xlabel": "$x$",
        "features": LEVELS, "feature": "", "sizes": of_levels, "effects": of_levels, "neutral": 1.0, "joined": 0,
        "lanes": [{"x": numbers, "shade": numbers}] * len(LEVELS), "logarithmic": False,
        "steps": [{"label": text, "start": 0.5, "end": 1.5, "note": "", "whole": False}
                  for text in LEVELS],
        **of_kind.get(kind, {}),
    }  # fmt: skip


def both_widths(kind):
    """The pictures of a chart for screens and for telephones."""
    wide = {**spec(kind), "size": (9.2, 9.0)}
    if kind in pictures.KINDS:
        return pictures.both_widths(wide)
    return draw(wide, "a"), draw(narrow_spec(wide), "b")


@pytest.mark.parametrize("kind", sorted({*_KINDS, *pictures.KINDS}))
def test_each_chart_shows_every_text_as_it_is_in_both_widths(kind):
    for svg in both_widths(kind):
        root = ElementTree.fromstring(svg)
        tags = {node.tag.rpartition("}")[2] for node in root.iter()}
        assert not tags & {"script", "b", "a", "image", "foreignObject"}
        label = re.search(r'aria-label="([^"]*)"', svg)
        assert label and "<" not in label[1]
        texts = [node.text for node in root.iter() if node.tag.endswith("}text") and node.text]
        shown = {text.strip() for text in texts}
        if kind != "calibration":  # which has no text of data but its title
            assert set(SHOWN.values()) <= shown
