"""The card's page shows what the card holds, as a table and as a picture, and no text is markup."""

import math
import re

import pytest
from portfolio import FIRST, SECOND
from test_plain_text import TEXTS, hostile_card

from kyros_spark.evaluation.report.plots import draw
from kyros_spark.evaluation.report.relativity_plots import round_numbers
from kyros_spark.publishing import card_files
from kyros_spark.publishing.card_charts import MOST_LEVELS, of_factors
from kyros_spark.publishing.card_page import Pictures, card_page

NONE = Pictures("", (), ())


def term(level, relativity, exposure=10.0, is_base=False):
    ends = {"lower": None, "upper": None} if is_base else {
        "lower": relativity / 2, "upper": relativity * 2}  # fmt: skip
    return {"level": level, "is_base": is_base, "exposure": exposure, "relativity": relativity,
            "coefficient": math.log(relativity), **ends}  # fmt: skip


FUEL = {"feature": "fuel", "kind": "levels",
        "terms": [term("petrol", 1.0, 30.0, True), term("diesel", 1.5)]}  # fmt: skip
POWER = {"feature": "power", "kind": "numeric", "terms": [term(None, 1.02)]}


def texts_of(page):
    """Return what a reader sees of a page, tags left out."""
    return re.sub(r"<[^>]*>", "|", page.split("<body>")[1])


@pytest.fixture(scope="module")
def written(finished, tmp_path_factory):
    """The cards of a GLM and of trees whose prices were explained, by model."""
    portfolio = finished.copy_to(tmp_path_factory.mktemp("cards"))
    portfolio.set("explain", {"models": ["frequency", "boosted"]})
    for batch in (SECOND, FIRST):
        portfolio.must(f"explain --batch {batch}")
    files = {}
    for model in ("frequency", "boosted", "severity"):
        files[model] = portfolio.must(f"card {model} --out {portfolio.folder}")["files"]
    return {model: {kind: open(path).read() for kind, path in of.items()}
            for model, of in files.items()}  # fmt: skip


def test_the_page_has_the_rows_of_the_markdown(written):
    for of_model in written.values():
        rows = [line.strip("| ").split(" | ") for line in of_model["markdown"].splitlines()
                if line.startswith("|") and "---" not in line]  # fmt: skip
        in_page = re.findall(r"<tr>(.*?)</tr>", of_model["html"], re.DOTALL)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in in_page]
        assert len(rows) == len(cells) > 5
        for row, shown in zip(rows, cells, strict=True):
            plain = [cell.replace("&lt;", "<").replace("&#39;", "'") for cell in shown]
            assert " ".join(plain).split() == " ".join(row).replace("\\", "").split()


def test_a_glm_has_a_picture_of_each_factor_and_of_the_batch_explained_last(written):
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", written["frequency"]["html"])
    assert titles[:4] == ["relativities of fuel", "relativities of place",
                          "relativities of driver", "relativities of one unit more"]  # fmt: skip
    assert titles[4] == "importance of the features" and "effect of fuel" in titles[5:]
    assert f"All policies of batch {FIRST} that were explained" in written["frequency"]["html"]
    boosted = re.findall(r"<figcaption>(.*?)</figcaption>", written["boosted"]["html"])
    assert boosted[0] == "importance of the features" and len(boosted) > 3


def test_prices_that_nobody_explained_have_no_picture(written):
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", written["severity"]["html"])
    assert titles == ["relativities of fuel", "relativities of one unit more"]


def test_without_the_libraries_the_other_files_are_written_and_the_log_says_what_to_install(
    finished, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(card_files, "lacking", lambda: ["matplotlib"])
    line = finished.must(f"card frequency --out {tmp_path}")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".md"]
    assert set(line["files"]) == {"markdown", "json"}
    assert "it needs matplotlib" in caplog.text and "kyros-spark[report]" in caplog.text


@pytest.mark.parametrize("text", TEXTS)
def test_a_page_has_the_same_tags_whatever_its_texts_say(text):
    pages = [card_page(hostile_card(value), NONE).decode() for value in (text, "x")]
    hostile, tame = (re.findall(r"<[^>]*>", page.split("<body>")[1]) for page in pages)
    assert hostile == tame
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", pages[0])


def test_a_text_of_the_data_is_no_markup_in_a_picture():
    factor = {**FUEL, "feature": "<b>", "terms": [term("<script>", 1.0, 9.0, True), *FUEL["terms"]]}
    content = hostile_card("x") | {"factors": [factor]}
    page = card_page(content, Pictures("", (), of_factors([factor], "log"))).decode()
    assert "<script" not in page and "<b>" not in page
    assert "&lt;script&gt; (base)" in page and "relativities of &lt;b&gt;" in page


def test_a_picture_shows_the_levels_in_the_model_s_order_with_interval_base_and_exposure():
    fuel, numbers = of_factors([FUEL, POWER], "log")
    assert fuel["levels"] == ["petrol (base)", "diesel"] and fuel["values"] == [1.0, 1.5]
    assert fuel["lower"] == [None, 0.75] and fuel["upper"] == [None, 3.0]
    assert fuel["shares"] == [0.75, 0.25] and fuel["is_base"] == [True, False]
    assert numbers["levels"] == ["power"] and numbers["values"] == [1.02]
    svg = draw(fuel)
    assert 'aria-label="relativities of fuel"' in svg
    assert "petrol (base)" in svg and ">75%<" in svg


def test_another_link_than_log_has_coefficients_around_0():
    (spec,) = of_factors([FUEL], "identity")
    assert not spec["logarithmic"] and spec["values"] == pytest.approx([0.0, math.log(1.5)])
    assert "coefficient (identity link)" in draw(spec)


def test_more_levels_than_a_page_holds_are_those_of_most_exposure():
    terms = [term(f"l{n:02d}", 1.1, float(n)) for n in range(60)]
    terms[0] = term("l00", 1.0, 0.0, True)
    (spec,) = of_factors([{"feature": "area", "kind": "levels", "terms": terms}], "log")
    assert spec["title"].endswith(f"{MOST_LEVELS} of 60 levels, those of most exposure")
    assert spec["levels"] == ["l00 (base)", *(f"l{n}" for n in range(21, 60))]


@pytest.mark.parametrize("wild", [0.0, 1e-300, 1e300])
def test_a_small_level_that_ran_away_leaves_the_others_legible(wild):
    lost = {**term("lost", 2.0, 0.01), "relativity": wild, "lower": 0.0, "upper": 1e304}
    factor = {**FUEL, "terms": [*FUEL["terms"], lost]}
    (spec,) = of_factors([factor], "log")
    assert ">2<" in draw(spec), "the axis still has ticks near 1"
    (alone,) = of_factors([{**factor, "terms": [{**lost, "exposure": 9.0}]}], "log")
    assert "lost" in draw(alone)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.9, 1.12, [0.9, 0.95, 1.0, 1.05, 1.1]), (0.3, 2.0, [0.3, 0.5, 0.7, 1.0, 1.5, 2.0]),
     (0.1, 20.0, None)],
)  # fmt: skip
def test_an_axis_has_a_few_round_numbers(low, high, expected):
    numbers = round_numbers(low, high)
    assert 2 <= len(numbers) <= 6
    assert expected is None or numbers == pytest.approx(expected)
