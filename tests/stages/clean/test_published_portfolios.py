"""Real portfolios against what pandas makes of the same files: nothing is lost, every cent is told."""

import json
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from kyros_spark.cli.main import main

CONF = Path(__file__).parents[3] / "conf"


def cents(values):
    return sum((Decimal(repr(float(v))).quantize(Decimal("1e-6")) for v in values), Decimal(0))


def clean(spark, name, batch, path, base, capsys=None):
    words = ["--set", f"tables.base={base}", "--set", f"sources.policies.path={path}"]
    assert main(["clean", "--config", str(CONF / f"{name}.yaml"), "--batch", batch, *words]) == 0
    row = spark.read.format("delta").load(f"{base}/runs").first()
    return json.loads(row["details"])["policies"]


@pytest.fixture(scope="module")
def frempl1(spark, real_data, tmp_path_factory):
    base = tmp_path_factory.mktemp("frempl1")
    path = real_data("frempl1") / "extract_with_duplicates.csv.gz"
    return clean(spark, "frempl1", "2004", path, base), pd.read_csv(path, dtype=str), base


@pytest.mark.slow
def test_a_third_of_the_first_extract_is_copies(frempl1, spark):
    told, raw, base = frempl1
    once = raw.drop_duplicates()
    assert (told["rows_in"], told["rows_out"]) == (len(raw), len(once)) == (30_595, 20_594)
    assert told["duplicates"] == 10_001 and told["rejected"] == 0
    assert spark.read.format("delta").load(f"{base}/policies").count() == 20_594


def test_its_amounts_reconcile_to_the_cent(frempl1):
    told, raw, _ = frempl1
    once = raw.drop_duplicates()
    paid = {name: Decimal(value) for name, value in told["amounts"]["paid"].items()}
    cent = Decimal("0.01")
    assert paid["in"].quantize(cent) == cents(raw["ClaimAmount"]).quantize(cent)
    assert paid["out"].quantize(cent) == cents(once["ClaimAmount"]).quantize(cent)
    assert paid["in"] == paid["out"] + paid["duplicates"], "in full, with the digits below cents"
    assert paid["rejected"] == paid["excess"] == paid["changed"] == 0


def test_its_dirt_is_counted_by_the_rules_that_decide_it(frempl1, spark):
    told, raw, base = frempl1
    once = raw.drop_duplicates()
    negative = (once["ClaimAmount"].astype(float) < 0).sum()
    early = (once["LicAge"].astype(int) / 12 > once["DrivAge"].astype(int) - 16).sum()
    assert told["warned"]["negative:paid"] == negative == 196
    assert told["warned"]["without_count:paid"] == 196
    assert told["warned"].get("licence_at_sixteen:(row)", 0) == early
    spelled = (once["VehEnergy"] == "eletric").sum()
    assert told["repaired"] == {"respelled:energy": spelled} and spelled > 0
    fuels = spark.read.format("delta").load(f"{base}/policies").select("energy").distinct()
    assert {row[0] for row in fuels.collect()} == {"regular", "diesel", "electric", "GPL"}


@pytest.mark.slow
def test_eight_perils_reconcile_to_the_cent(spark, real_data, tmp_path):
    path = real_data("euhealth") / "policies.parquet"
    told, raw = clean(spark, "euhealth", "all", path, tmp_path), pd.read_parquet(path)
    assert told["rows_in"] == told["rows_out"] == len(raw) == 176_032
    perils = [name.removeprefix("amt_") for name in raw if name.startswith("amt_")]
    assert len(perils) == len(told["amounts"]) == 8
    for peril in perils:
        amount, count = raw[f"amt_{peril}"], raw[f"num_{peril}"]
        cap = 10_000 if peril in ("hospitalizations", "operations") else float("inf")
        part = {k: Decimal(v) for k, v in told["amounts"][f"amt_{peril}"].items()}
        assert abs(part["in"] - cents(amount)) <= Decimal("0.01")
        assert abs(part["out"] - cents(amount.clip(upper=cap))) <= Decimal("0.01")
        assert abs(part["excess"] - cents((amount - cap).clip(lower=0))) <= Decimal("0.01")
        nothing = int(((count > 0) & (amount == 0)).sum())
        assert told["warned"].get(f"without_amount:amt_{peril}", 0) == nothing
    assert told["warned"]["without_amount:amt_dentistry"] == 52
