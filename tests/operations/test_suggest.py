"""A source nobody has described: a settings file is suggested, and it runs as it is."""

import json

import pytest
import yaml

from kyros_spark.cli.main import main

SHARED = {
    "frempl1": ("frempl1/extract_with_duplicates.csv.gz", 30_595, 20_594),
    "pg17": ("pg17/policies_year0.csv.gz", 100_000, 100_000),
    "bemtpl97": ("bemtpl97/policies.parquet", 163_212, 163_212),
    "euhealth": ("euhealth/policies.parquet", 176_032, 176_032),
}


def suggested(path, out, capsys):
    assert main(["suggest", "--source", str(path), "--out", str(out)]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["path"] == str(out)
    return line, yaml.safe_load(out.read_text())


def test_types_keys_sentinels_ranges_and_levels_are_guessed(spark, tmp_path, capsys):
    source = tmp_path / "some extract.csv"
    rows = [
        f"P{n:03d},{n % 7},{'' if n % 5 else '2023-01-31'},{0 if n % 9 == 4 else 900 + 17 * n},"
        f"{['a', 'b', 'c'][n % 3]},0{n},{n / 100},BE"
        for n in range(100)
    ]
    header = "policy no.,kids,since,weight,zone,zip,Expo,country"
    source.write_text("\n".join([header, *rows, rows[0]]) + "\n")
    line, found = suggested(source, tmp_path / "new.yaml", capsys)
    policies = found["sources"]["policies"]
    columns = policies["columns"]
    assert line["rows_in"] == 101 and policies["key"] == ["policy_no"]
    types = {name: column["type"] for name, column in columns.items()}
    assert types == {
        "policy_no": "string", "kids": "int", "since": "date", "weight": "int", "zone": "string",
        "zip": "string", "Expo": "double", "country": "string",
    }  # fmt: skip
    assert columns["policy_no"]["from"] == "policy no."
    assert columns["weight"]["missing"] == ["0"] and columns["weight"]["min"] == 900.0
    assert (columns["kids"]["min"], columns["kids"]["max"]) == (0.0, 6.0)
    assert columns["zone"]["allowed"] == ["a", "b", "c"]
    assert columns["zone"]["severity"] == {"required": "warn", "allowed": "warn"}
    assert found["prepare"]["exposure"] == "Expo"
    assert "# country: constant" in (tmp_path / "new.yaml").read_text()
    assert main(["suggest", "--source", str(source), "--out", str(tmp_path / "new.yaml")]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SHARED))
def test_what_is_suggested_for_a_real_portfolio_gets_it_through_clean(
    name, spark, real_data, tmp_path, capsys
):
    path, rows_in, rows_out = SHARED[name]
    folder, file = path.split("/")
    out = tmp_path / f"{name}.yaml"
    suggested(real_data(folder) / file, out, capsys)
    words = ["--config", str(out), "--batch", "1", "--set", f"tables.base={tmp_path / 'tables'}"]
    assert main(["clean", *words]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    told = line["details"]["policies"]
    assert (told["rows_in"], told["rows_out"]) == (rows_in, rows_out)
    assert told["rejected"] == 0
