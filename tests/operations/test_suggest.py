"""A source nobody has described: a settings file is suggested, and it runs as it is."""

import gzip
import json
import os
from pathlib import Path

import pandas as pd
import pytest
import yaml
from sources_to_suggest import SOURCES

from kyros_spark.cli.main import main
from kyros_spark.config.load import parse_config
from kyros_spark.operations.suggestion.dialect import dialect_of
from kyros_spark.operations.suggestion.guess import guesses
from kyros_spark.operations.suggestion.keys import candidate_keys
from kyros_spark.operations.suggestion.settings_text import settings_text
from kyros_spark.operations.suggestion.suggestion import (
    Seen,
    guess_roles,
    roles_taken,
    suggestion_of,
)

CASES = Path(os.environ.get("KYROS_CASES", Path(__file__).parents[3] / "shared/cases")) / "suggest"
# The shared cases, with the right answers of their README.
RIGHT = {
    "days": {
        "prepare.exposure": "expdays / 365D",
        "sources.policies.columns.paid.missing": None,
        "prepare.targets": {"claims": "nclaims", "claim_cost": "paid"},
    },
    "semi": {"sources.policies.options": {"sep": ";"}, "prepare.targets": {"claims": "claims"}},
    "dates": {
        "sources.policies.columns.begin.format": "dd/MM/yyyy",
        "sources.policies.columns.end.missing": ["NA"],
    },
    "years": {"sources.policies.key": ["IDpol", "Year"]},
}
# Each shared file, and whether its settings end in a model or in a decision that is needed first.
SHARED = {
    "frempl1/extract_with_duplicates.csv.gz": "model",
    "bemtpl97/policies.parquet": "model",
    "euhealth/policies.parquet": "model",
    "pg17/policies_year0.csv.gz": "which file has the claims",
    "pg17/claims_year0.csv.gz": "which file has the policies",
}


def suggested_from(path):
    """Return the suggestion for a CSV file, all of whose rows are looked at, without Spark."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as file:
        dialect = dialect_of(file.read().splitlines()[:1000])
    sample = pd.read_csv(
        path,
        sep=dialect.delimiter,
        header=0 if dialect.has_header else None,
        dtype=str,
        keep_default_na=False,
        na_values=[""],
    )
    sample = sample.astype(object).where(sample.notna(), None)
    sample.columns = [c if dialect.has_header else f"_c{c}" for c in sample.columns]
    columns = guesses(sample, {})
    guess_roles(columns)
    key = next(candidate_keys(columns, roles_taken(columns), sample), [])
    seen = Seen(len(sample), len(sample), int(sample.duplicated().sum()))
    return suggestion_of(columns, key, seen, dialect)


def at(settings, path):
    """Return what stands at a path of the settings, None if there is nothing."""
    for name in path.split("."):
        settings = settings.get(name) if isinstance(settings, dict) else None
    return settings


def check(text, right):
    """Hold a suggested file against the right answers; it must load, too."""
    parse_config(text)
    settings = yaml.safe_load(text)
    assert {path: at(settings, path) for path in right} == right
    assert text.rstrip().splitlines()[-1].startswith("# "), "decisions stand at the end"
    return settings


@pytest.mark.parametrize("name", list(SOURCES))
def test_each_kind_of_file_is_understood(name, tmp_path):
    source = SOURCES[name]
    path = source.write(tmp_path)
    suggestion = suggested_from(path)
    settings = check(settings_text(suggestion, str(path), "csv"), source.right)
    assert not set(source.no_features) & set(settings["prepare"]["features"])
    assert source.undecided in suggestion.undecided
    assert bool(source.undecided) == bool(suggestion.undecided) == ("train" not in settings)


@pytest.mark.parametrize("name", list(RIGHT))
def test_each_shared_case_is_understood(name):
    path = CASES / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"no {path}: set KYROS_CASES")
    assert {file.stem for file in CASES.iterdir()} == set(RIGHT)
    check(settings_text(suggested_from(path), str(path), "csv"), RIGHT[name])


def test_every_guess_stands_under_its_evidence_and_again_among_the_decisions(tmp_path):
    path = SOURCES["words_for_missing"].write(tmp_path)
    suggestion = suggested_from(path)
    text = settings_text(suggestion, str(path), "csv")
    lines = text.splitlines()
    for column in suggestion.columns:
        place = next(
            n for n, line in enumerate(lines) if line.startswith(f"      {column.name}: {{")
        )
        assert lines[place - 1].startswith("      # "), column.name
    assert "0 in 16 rows (4.00%), all others from 900" in text
    assert "missing in 45 of 400 rows ('NA' in 15, '.' in 15)" in text  # and 15 have nothing
    decided = text[text.index("# Please decide:") :]
    for word in ("sources.policies.key", "prepare.exposure", "prepare.targets", "prepare.split",
                 "columns.weight.missing"):  # fmt: skip
        assert word in decided, word
    assert "all 400 rows, for everything" in text


@pytest.mark.parametrize(
    ("column", "values", "type_", "decides"),
    [
        ("a", ["1,500", "2,750", "12,000"], "string", "thousands"),
        ("b", ["0,500", "1,500", "2,750"], "double", ""),
        ("zip", ["01500", "02100", "99000"], "string", ""),
        ("dep", ["75", "2A", "2B"], "string", ""),
        ("birth_date", ["19800131", "19991231", "20010101"], "date", "yyyyMMdd"),
        ("amount", ["19800131", "19991231", "20010101"], "int", ""),
        ("day", ["01/02/2023", "03/04/2023", "05/06/2023"], "date", "guess"),
        ("at", ["2023-01-31 10:30:00", "2023-02-01 00:00:00"], "timestamp", ""),
        ("n", ["1", "2.5", "1e3", "-.5"], "double", ""),
        ("n", ["1", "2", "99999999999"], "long", ""),
        ("n", [*map(str, range(200)), "unknown"], "int", "unknown"),
        ("n", ["1", "2", "two", "three"], "string", ""),
    ],
)  # fmt: skip
def test_the_narrowest_type_that_keeps_every_value_is_taken(column, values, type_, decides):
    (guess,) = guesses(pd.DataFrame({column: values}, dtype=object), {})
    assert guess.type == type_
    assert decides in guess.decision and bool(decides) == bool(guess.decision)


def run(words, capsys):
    code = main(words)
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def goes_through(source, folder, capsys):
    """Suggest for a source and run what is suggested, without an edit, as far as it goes.

    Returns the result lines of suggest, clean and evaluate; the last is that of train where a
    decision is needed first.
    """
    out = folder / "suggested.yaml"
    code, line = run(["suggest", "--source", str(source), "--out", str(out)], capsys)
    assert code == 0, line
    words = ["--config", str(out), "--set", f"tables.base={folder / 'tables'}"]
    code, cleaned = run(["clean", *words, "--batch", "1"], capsys)
    assert code == 0, cleaned
    code, prepared = run(["prepare", *words, "--batch", "1"], capsys)
    assert code == 0, prepared
    if line["undecided"]:
        code, last = run(["train", *words], capsys)
        assert code != 0 and "train" in last["error"]["message"]
        return line, cleaned, last
    code, predicted = run(["run", *words, "--stages", "train,predict"], capsys)
    assert code == 0, predicted
    code, last = run(["evaluate", *words, "--batch", "1"], capsys)
    assert code == 0, last
    return line, cleaned, last


@pytest.mark.slow
@pytest.mark.parametrize("name", ["semicolon_and_decimal_comma", "no_header"])
def test_a_suggested_file_runs_without_an_edit(name, spark, tmp_path, capsys):
    source = SOURCES[name]
    line, cleaned, _ = goes_through(source.write(tmp_path), tmp_path, capsys)
    assert source.undecided in line["undecided"]
    assert line["rows_in"] == line["rows_sampled"] == len(source.rows)
    told = cleaned["details"]["policies"]
    assert (told["rows_in"], told["rows_out"], told["rejected"]) == (len(source.rows),) * 2 + (0,)
    assert not told.get("warned"), "the data pass the bounds that they gave"
    if name == "semicolon_and_decimal_comma":
        total = spark.read.format("delta").load(str(tmp_path / "tables" / "policies"))
        exposure = total.agg({"exposure": "sum"}).first()[0]
        assert exposure == pytest.approx(sum(float(r[2].replace(",", ".")) for r in source.rows))
    assert (
        main(["suggest", "--source", str(tmp_path), "--out", str(tmp_path / "suggested.yaml")]) == 2
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RIGHT))
def test_a_shared_case_runs_without_an_edit(name, spark, tmp_path, capsys):
    path = CASES / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"no {path}: set KYROS_CASES")
    line, cleaned, _ = goes_through(path, tmp_path, capsys)
    assert bool(line["undecided"]) == (name == "dates")
    assert cleaned["details"]["policies"]["rejected"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("file", list(SHARED))
def test_a_real_portfolio_runs_without_an_edit(file, spark, real_data, tmp_path, capsys):
    folder, name = file.split("/")
    line, cleaned, _ = goes_through(real_data(folder) / name, tmp_path, capsys)
    told = cleaned["details"]["policies"]
    assert told["rows_out"] == told["rows_in"] == line["rows_in"]
    if SHARED[file] == "model":
        assert line["undecided"] == ""
    else:
        assert SHARED[file] in line["undecided"]
