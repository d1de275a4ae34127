"""The real portfolio's dirt, decided by conf/pg17.yaml: nothing is lost and nothing made up."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import functions as F

from kyros_spark.cli.main import main

CONFIG = Path(__file__).parents[3] / "conf" / "pg17.yaml"


@pytest.fixture(scope="module")
def cleaned(spark, real_data, tmp_path_factory):
    data, base = real_data("pg17"), tmp_path_factory.mktemp("pg17")
    words = [
        f"tables.base={base}",
        f"sources.policies.path={data}/policies_year{{batch}}.csv.gz",
        f"sources.claims.path={data}/claims_year{{batch}}.csv.gz",
    ]
    sets = [word for text in words for word in ("--set", text)]
    assert main(["clean", "--config", str(CONFIG), "--batch", "0", *sets]) == 0
    return base


@pytest.mark.slow
def test_every_record_of_year_0_is_accounted_for(cleaned, spark):
    row = spark.read.format("delta").load(f"{cleaned}/runs").where("stage = 'clean'").first()
    assert row["rows_in"] == row["rows_out"] + row["rows_duplicate"] + row["rows_rejected"]
    told = json.loads(row["details"])
    assert told["policies"]["rows_in"] == told["policies"]["rows_out"] == 100_000
    assert spark.read.format("delta").load(f"{cleaned}/policies").count() == 100_000


def test_dirt_is_kept_as_the_settings_decide(cleaned, spark):
    policies = spark.read.format("delta").load(f"{cleaned}/policies")
    claims = spark.read.format("delta").load(f"{cleaned}/claims")
    department = F.substring("pol_insee_code", 1, 2)
    assert policies.where(department.isin("2A", "2B")).count() > 0
    # No second driver: no age and no sex of one, rather than an age of 0.
    alone = policies.where("drv_drv2 = 'No'")
    assert alone.where("drv_age2 IS NOT NULL OR drv_sex2 IS NOT NULL").count() == 0
    assert policies.where("vh_weight = 0 OR vh_value = 0 OR vh_cyl = 0").count() == 0
    # As counted in the published file: recoveries, zeros, the commonest convention amount.
    assert claims.where("claim_amount < 0").count() == 1263
    assert claims.where("claim_amount = 0").count() == 589
    assert claims.where("claim_amount = 1236").count() == 843


def test_what_was_claimed_reconciles_with_the_published_file(cleaned, spark, real_data):
    published = pd.read_csv(real_data("pg17") / "claims_year0.csv.gz")["claim_amount"]
    row = spark.read.format("delta").load(f"{cleaned}/runs").where("stage = 'clean'").first()
    told = json.loads(row["details"])["claims"]
    amounts = told["amounts"]["claim_amount"]
    assert float(amounts["in"]) == float(amounts["out"]) == round(published.sum(), 2)
    assert told["warned"] == {
        "negative:claim_amount": int((published < 0).sum()),
        "zero:claim_amount": int((published == 0).sum()),
        "convention:claim_amount": int((published == 1236).sum()),
        "without_amount:claim_amount": int((published == 0).sum()),
    }
