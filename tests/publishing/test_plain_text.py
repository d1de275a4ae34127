"""A text of data is no markup in the model card."""

import re

import pytest

from kyros_spark.publishing.markdown import markdown
from kyros_spark.publishing.plain_text import plain

# What CommonMark and GitHub's tables, mathematics and struck lines make something of.
MARKUP = r"\\`*<>&[]|$~"
TEXTS = ["<script>alert(1)</script>", "a | b", "back\\slash", "line\nbreak", "# heading", "- item",
         "1. first", "2) second", "+ plus", "=====", "---", "***", "`code`", "[link](javascript:x)",
         "![image](x)", "&lt;b&gt;", "$x^2$", "_emphasis_", "__strong__", "~~struck~~", "> quote",
         "\ttab", "nul\0", "\x1b[31m", "\u202eright to left", "<!-- comment", "a\r\n\r\n# b",
         "|---|---|", "trailing\\"]  # fmt: skip
HARMLESS = [
    "a plain purpose, with 3.5% and (brackets)",
    "claim_amount",
    "2024-10",
    "50-60",
    "-5",
    "Ü",
]


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_of_a_text_is_left_as_markup(text):
    shown = plain(text)
    assert "\n" not in shown and "\r" not in shown
    unescaped = re.sub(r"\\[!-/:-@\[-`{-~]", "", shown)  # an escaped character is a character
    assert not re.search(rf"[{re.escape(MARKUP)}\x00-\x1f]", unescaped), shown
    assert not re.match(r"(#|[-+] |[-=]{2}|\d+[.)] )", shown), shown
    assert not re.search(r"(?<!\w)_|_(?!\w)", unescaped), shown
    # Read back as CommonMark does, it is the text that was given, in one line.
    read = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", shown)
    control = re.compile("[\x00-\x1f\u202e]")
    assert read == control.sub("�", " ".join(text.split()))


@pytest.mark.parametrize("text", HARMLESS)
def test_an_ordinary_text_stays_as_it_is(text):
    assert plain(text) == text


def hostile_card(text):
    """A card with the text wherever a text of settings or data may stand."""
    term = {"level": text, "is_base": True, "exposure": 1.0, "relativity": 1.0, "lower": 1.0,
            "upper": 1.0, "coefficient": 0.0}  # fmt: skip
    return {
        "model": {"name": text, "version": 1, "status": "champion", "description": text,
                  "method": "glm", "family": "poisson", "link": "log", "target": text, "per": text,
                  "deviance": text},
        "purpose": text, "exclusions": [text], "limits": [text],
        "data": {"batches": [text], "inputs": {text: 3}, "rows": {"train": 5},
                 "account": {"in": 5, "used": 5, "left_out": {text: 1}}},
        "factors": [{"feature": text, "kind": "levels", "terms": [term]}],
        "validation": {"train": {text: 0.5}},
        "fit": {text: 3.0},
        "gate": {"verdict": "passed", "reasons": [text], "promoted_at": "2026-01-01",
                 "promoted_by": text, "promoted_reason": text,
                 "quality": [{"metric": text, "min": 0.0, "max": 1.0, "measured": 0.5}],
                 "budgets": [{"budget": text, "declared": text, "measured": 1.0}],
                 "not_worse_than_champion": {"metric": text, "tolerance": 0.1},
                 "not_compared": text},
        "change": {"since": text, "same_data": True, "metrics": {text: {"before": 1.0, "now": 2.0}},
                   "settings": {text: {"before": [text], "now": {"a": text}}}},
        "provenance": {"run_id": text, "libraries": {text: text}},
    }  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_card_has_the_same_lines_whatever_its_texts_say(text):
    """Only the texts differ: not one heading, list, row or cell more, and no tag."""
    hostile, tame = markdown(hostile_card(text)), markdown(hostile_card("x"))
    shape = [(line.count("|"), line.startswith("#")) for line in without_escapes(hostile)]
    assert shape == [(line.count("|"), line.startswith("#")) for line in without_escapes(tame)]
    assert not re.search(r"[<`]", "".join(without_escapes(hostile)))


def without_escapes(card):
    return re.sub(r"\\[!-/:-@\[-`{-~]", "x", card).split("\n")
