"""benchmark times one stage alone and leaves nothing of the portfolio changed but the ledger."""

import json

import pytest
from portfolio import FIRST, SECOND, snapshot

from kyros_spark.cli.parser import parser


@pytest.fixture
def benchmarked(portfolio):
    """Run a benchmark; see that only table runs changed; return its line and what was printed."""

    def run(words):
        before = snapshot(portfolio.base)
        outcome = portfolio.kyros(f"benchmark {words}")
        assert outcome.code == 0, outcome.line
        assert snapshot(portfolio.base) == before
        assert not list(portfolio.base.rglob("benchmark-*")), "the folder is removed again"
        return outcome.line, "\n".join(outcome.lines[:-1])

    return run


def last_of(portfolio, spark):
    row = (
        portfolio.read(spark, "runs").where("stage = 'benchmark'").orderBy("ordinal").collect()[-1]
    )
    return row, json.loads(row["details"])


@pytest.mark.slow
def test_a_part_of_a_batch_is_predicted_again_and_again(benchmarked, portfolio, spark):
    line, told = benchmarked(f"predict --batch {FIRST} --rows 60 --repeat 2")
    assert len(line["seconds_each"]) == 2 and min(line["seconds_each"]) > 0
    assert 40 < line["rows"] < 80, "about as many as asked for"
    first, later = line["seconds_each"]
    assert (line["seconds_first"], line["seconds"]) == (first, later), "the first warms Spark up"
    assert f"first {first:.1f} s, then {later:.1f} s; median of the later ones" in told
    assert line["resources"]["kernel"] > 0
    assert "no earlier benchmark" in told
    row, details = last_of(portfolio, spark)
    assert (row["batch_id"], row["rows_in"], row["rows_out"]) == (
        FIRST,
        line["rows"],
        7 * line["rows"],
    )
    assert (details["stage"], details["seconds"]) == ("predict", line["seconds"])
    assert f"prepared {FIRST}" in row["inputs"]
    second, told = benchmarked(f"predict --batch {FIRST} --rows 60 --repeat 1")
    assert second["rows"] == line["rows"], "the same rows are drawn"
    assert [one[2] for one in second["earlier"]] == [line["seconds"]] and "times that" in told


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "rows"), [("clean", 172), ("prepare", 120), ("train", 120)])
def test_each_stage_is_done_and_not_skipped(benchmarked, portfolio, stage, rows):
    line, _ = benchmarked(f"{stage} --batch {FIRST} --repeat 1")
    assert (line["of"], line["rows"]) == (stage, rows)
    assert portfolio.must(f"run --batch {FIRST} --batch {SECOND}")["status"] == "skipped"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("clean --batch 2023 --rows 10", 2, "clean reads a whole extract"),
        ("predict --batch 2023 --rows 0", 2, "expected a number of rows"),
        ("predict --batch 1999", 3, "1999"),
    ],
)
def test_what_cannot_be_timed_is_refused_and_leaves_nothing(portfolio, words, code, told):
    before = snapshot(portfolio.base)
    outcome = portfolio.kyros(f"benchmark {words}")
    assert (outcome.code, told in outcome.message) == (code, True), outcome.line
    assert snapshot(portfolio.base) == before and not list(portfolio.base.rglob("benchmark-*"))


def test_the_command_has_an_example_in_its_help(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["benchmark", "--help"])
    assert "kyros benchmark predict --config" in capsys.readouterr().out
