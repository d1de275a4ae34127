"""What a command ends with: words on a terminal, one JSON object anywhere else."""

import io
import json
import sys

from portfolio import FIRST

from kyros_spark.cli.closing import closing_words
from kyros_spark.cli.main import main

LINE = {
    "stage": "run", "status": "done", "seconds": 12.34, "next": "kyros sql --config a.yaml",
    "steps": [{"status": "done"}, {"status": "skipped"}, {"status": "done"}],
    "batches": {
        "2023": {
            "policies_in": 1200, "policies_out": 1150, "rejected": 30, "duplicates": 20,
            "repaired": 0, "reasons": {"policies type:age": 25, "claims reference:policy": 5},
            "unseen_levels": {"region": 7},
            "actual_expected": {"frequency": [0.97, 0.9, 1.05], "rate": [1.1, None, None]},
            "report": "tables/2023.html",
        }
    },
}  # fmt: skip


def test_a_pipeline_ends_with_what_happened_to_each_batch():
    assert closing_words(LINE).splitlines() == [
        "2 steps done, 1 were current, 12.3 s",
        "batch 2023: 1,150 of 1,200 policies, 30 rows rejected, 20 duplicates",
        "  rejected for: policies type:age 25, claims reference:policy 5",
        "  levels that training never saw: region 7 rows",
        "  actual/expected of frequency: 97.0 %  [90.0, 105.0]",
        "  actual/expected of rate: 110.0 %",
        "  report: tables/2023.html",
        "next: kyros sql --config a.yaml",
    ]


def test_a_failed_pipeline_names_the_step_and_no_next_command():
    failed = {**LINE, "status": "failed", "stopped_at": {"stage": "train", "batch": "2023"}}
    words = closing_words(failed)
    assert words.splitlines()[0].endswith("; stopped at train 2023")
    assert "next:" not in words


def test_the_demo_which_has_named_the_next_command_ends_with_its_report():
    assert closing_words({**LINE, "stage": "demo"}).splitlines()[-1] == "  report: tables/2023.html"


def test_the_summaries_count_what_the_tables_hold(portfolio, spark):
    portfolio.spoil_cells("age", {3: "17", 4: "old", 5: "16"}, batch=FIRST)
    line = portfolio.must(f"run --batch {FIRST} --stages clean")
    summary = line["batches"][FIRST]
    assert summary["reasons"] == {
        "policies min:age": 2, "policies type:age": 1, "claims reference:policy_id": 1,
    }  # fmt: skip
    assert summary["rejected"] == portfolio.read(spark, "rejects", FIRST).count() == 4
    assert summary["policies_out"] == portfolio.read(spark, "policies", FIRST).count()
    assert summary["policies_in"] == summary["policies_out"] + 3
    assert line["next"].startswith("kyros sql ")


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def ended(monkeypatch, words, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    code = main(words)
    monkeypatch.undo()
    return code, stream.getvalue()


def test_a_terminal_gets_words_and_the_result_line_only_if_asked(finished, spark, monkeypatch):
    words = ["predict", "--config", str(finished.config_file()), "--batch", FIRST]
    code, shown = ended(monkeypatch, words, _Terminal())
    assert (code, shown) == (0, f"predict {FIRST}: nothing to do, it is current\n")
    _, asked = ended(monkeypatch, [*words, "--json"], _Terminal())
    _, piped = ended(monkeypatch, words, io.StringIO())
    assert json.loads(asked)["status"] == json.loads(piped)["status"] == "skipped"


def test_without_a_command_a_person_is_shown_help(monkeypatch):
    code, shown = ended(monkeypatch, [], _Terminal())
    assert code == 2 and "example: kyros run --config" in shown
