"""The portfolio on one page says what ledger, registry and profiles say, and links to what is there."""

import re
from html.parser import HTMLParser

import pytest
from portfolio import FIRST, POLICIES, SECOND

from kyros_spark.evaluation.report import portfolio_charts as charts
from kyros_spark.evaluation.report.portfolio_page import PortfolioFacts, portfolio_page
from kyros_spark.monitoring.rules import recorded_sentence


class Page(HTMLParser):
    """Rows of cells by the table's label, links, headings, and texts of pictures."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.links, self.headings, self.drawn = {}, [], [], []
        self._label, self._inside = None, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self._inside.append(tag)
        if given.get("role") == "region":
            self._label = self.tables[given["aria-label"]] = []
        elif tag == "tr":
            self._label.append([])
        elif tag in ("td", "th"):
            self._label[-1].append("")
        elif tag == "a":
            self.links.append(given["href"])

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        if {"td", "th"} & set(self._inside):
            self._label[-1][-1] += data
        elif "h2" in self._inside:
            self.headings.append(data)
        elif "svg" in self._inside:
            self.drawn.append(data.strip())


@pytest.fixture(scope="module")
def evaluated(finished, tmp_path_factory):
    portfolio = finished.copy_to(tmp_path_factory.mktemp("report"))
    portfolio.must(f"evaluate --batch {FIRST}")
    return portfolio


@pytest.mark.slow  # it draws an evaluation report first
def test_the_page_says_what_the_tables_say(evaluated):
    line = evaluated.must("report")
    path = evaluated.base / "artefacts" / "portfolio.html"
    assert line["file"] == str(path)
    page = Page(path.read_text(encoding="utf-8"))
    head, *batches = page.tables["Batches"]
    rows = {row[0]: dict(zip(head, row, strict=True)) for row in batches}
    assert list(rows) == [FIRST, SECOND]
    assert {row["policies"] for row in rows.values()} == {str(POLICIES)}
    assert {row["rejected"] for row in rows.values()} == {"0"}
    assert rows[FIRST]["evaluation"] == f"report of {FIRST}"
    assert rows[SECOND]["evaluation"] == "–"
    models = {row[0]: row[1] for row in page.tables["Models"][1:]}
    assert models["frequency@1"] == "champion"
    assert len(models) == len(evaluated.settings["train"]["models"])
    # Each link leads from the page to a file: one report, and a card of each model.
    assert len(page.links) == 1 + len(models)
    assert all((path.parent / link).is_file() for link in page.links)
    assert page.headings == [
        "Batches", "Where it comes from", "Data quality", "Drift", "Observed against expected",
        "Models",
    ]  # fmt: skip
    assert {"policies", "prepared", "fuel", "frequency"} <= set(page.drawn)
    assert not re.search(r"(src|href)=.https?:", path.read_text(encoding="utf-8"))


def test_what_was_not_done_is_said(finished, tmp_path):
    finished.must(f"report --out {tmp_path / 'page.html'}")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "No batch went through evaluate" in text
    assert "Observed against expected" not in Page(text).headings


def test_a_portfolio_without_a_batch_is_told_what_to_run(raw_portfolio):
    outcome = raw_portfolio.kyros("report")
    assert outcome.code == 3
    assert outcome.line["error"]["type"] == "BatchMissingError"
    assert "run: kyros run" in outcome.line["error"]["message"]


def test_texts_of_data_are_never_markup():
    name = "<script>alert(1)</script>"
    batches = [f"{name}1", f"{name}2"]
    series = {name: dict.fromkeys(batches, 0.5)}
    batch = {"label": name, "stages": {name: (name, name)}, "rows": None, "rejected": 0,
             "verdict": "warning", "alarms": [name], "report": None}  # fmt: skip
    drawn = [charts.lines(name, name, batches, series), charts.bars(name, name, batches, series),
             charts.lineage(name, [(name, {name: name})], [])]  # fmt: skip
    page = portfolio_page(PortfolioFacts(name, [name], [name], [batch], {name: drawn}, [], [name]))
    assert b"<script" not in page
    assert page.count(b"&lt;script&gt;") > 10


def test_the_largest_are_shown_and_the_others_counted():
    series = {f"column {n}": {"a": n / 10, "b": None} for n in range(9)}
    given = {name: {"a": of["a"]} for name, of in series.items()}
    line = charts.lines("Missing", "share", ["a", "b"], given)
    assert [one["name"] for one in line["lines"]] == [f"column {n}" for n in (8, 7, 6, 5, 4, 3)]
    assert line["title"].endswith("the largest 6 of 9")
    assert line["lines"][0]["y"] == [0.8, None]
    bar = charts.bars("Rejected", "rows", ["a", "b"], given)
    assert bar["lines"][-1] == {"name": "4 others", "y": [pytest.approx(0.6), 0.0]}
    assert sum(one["y"][0] for one in bar["lines"]) == pytest.approx(3.6)


def test_a_broken_rule_is_told_in_words():
    alarm = {"rule": "psi > 0.25", "metric": "psi", "severity": "critical", "action": "tell",
             "column": "vehicle", "value": 3.371997, "threshold": 0.25, "against": "2023",
             "new_levels": []}  # fmt: skip
    assert recorded_sentence(alarm) == "vehicle: psi 3.372 against 2023 (psi > 0.25)"
    of_segment = alarm | {"column": "claim_count", "model": "glm", "segment": "region",
                          "level": "north"}  # fmt: skip
    assert recorded_sentence(of_segment) == (
        "claim_count of glm where region is north: psi 3.372 against 2023 (psi > 0.25)"
    )
