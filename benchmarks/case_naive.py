"""The case study's job as teams write it: one script, one big job, the library's own model.

All columns are kept; the types are guessed; each model is pickled with the function that calls it
and unpickled by each task; rows are scored through plain pandas UDFs; the output is overwritten at
the end. Spark's settings are its defaults, but for ANSI errors.
"""

import json
import os
import sys

import lightgbm
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from kyros_spark.spark.runtime import delta_jars
from kyros_spark.spark.session import DELTA

FEATURES = [
    "age_years", "bonus_value", "licence", "vehicle", "power", "log_value",
    "area_code", "fuel_code",
]  # fmt: skip


def main(source, out, memory, models):
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[*]").config("spark.driver.memory", memory)
    builder = builder.config("spark.jars", ",".join(map(str, delta_jars())))
    # As Spark 3 did, for which most such jobs were written: a text that is no number is none.
    for key, value in {**DELTA, "spark.sql.ansi.enabled": "false"}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    rows = featured(spark, source)
    for name, path in models.items():
        rows = rows.withColumn(name, scoring(path)(*FEATURES))
    rows.write.format("delta").mode("overwrite").save(out)


def featured(spark, source):
    """Return the extract's good rows with all their columns, claims and features."""
    read = spark.read.option("header", "true").option("inferSchema", "true")
    policies = read.csv(f"{source}/policies").dropDuplicates()
    policies = policies.where(
        "policy_id IS NOT NULL AND client_id IS NOT NULL AND exposure BETWEEN 0.0027 AND 1 "
        "AND driver_age BETWEEN 18 AND 100 AND bonus_malus BETWEEN 50 AND 350 "
        "AND vehicle_age BETWEEN 0 AND 60 AND vehicle_power BETWEEN 20 AND 600 "
        "AND area IN ('city', 'suburb', 'village') AND fuel IN ('petrol', 'diesel', 'electric')"
    )
    claims = read.csv(f"{source}/claims").dropDuplicates().where("amount > 0")
    sums = claims.groupBy("policy_id").agg(
        F.count("*").alias("claim_count"), F.sum("amount").alias("claim_amount")
    )
    rows = policies.join(sums, "policy_id", "left").fillna(0.0, ["claim_count", "claim_amount"])
    return rows.selectExpr(
        "*", "double(driver_age) age_years", "double(bonus_malus) bonus_value",
        "double(licence_years) licence", "double(vehicle_age) vehicle",
        "double(vehicle_power) power", "ln(nullif(vehicle_value, 0)) log_value",
        "double(array_position(array('city', 'suburb', 'village'), area)) area_code",
        "double(array_position(array('petrol', 'diesel', 'electric'), fuel)) fuel_code",
    )  # fmt: skip


def scoring(path):
    """Return a pandas UDF that carries the model of a file."""
    booster = lightgbm.Booster(model_file=path)

    @F.pandas_udf("double")
    def score(*columns: pd.Series) -> pd.Series:
        return pd.Series(booster.predict(pd.concat(columns, axis=1)))

    return score


if __name__ == "__main__":
    main(*sys.argv[1:4], json.loads(sys.argv[4]))
