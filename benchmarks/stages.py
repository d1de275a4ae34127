"""clean beside the same work written by hand in plain PySpark, on a generated portfolio.

The plain job reads the same CSV, casts, judges the same rules, removes copies, refuses keys with
several contents and claims without a policy, counts before it writes, and writes Delta tables:
what a careful engineer would write for this one extract, without settings, ledger or profile.
"""

import resource
import shutil
import sys
import time
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import Window
from pyspark.sql import functions as F

import kyros_spark
from kyros_spark.config import SparkSettings, load_config
from kyros_spark.demo.story import generate
from kyros_spark.environment import peak_memory
from kyros_spark.session import get_session

FOLDER = Path("build/bench/stages")
POLICIES = {False: 20_000_000, True: 500_000}


def main(short=False, policies=None):
    count = policies or POLICIES[short]
    config = load_config("conf/demo.yaml", [
        f"tables.base={FOLDER}/tables", "batches=['2023']",
        f"sources.policies.path={FOLDER}/source/{{batch}}/policies",
        f"sources.claims.path={FOLDER}/source/{{batch}}/claims",
    ])  # fmt: skip
    spark = get_session(SparkSettings(driver_memory="3500m"))
    generate(spark, config, count)
    plain(spark, f"{FOLDER}/plain-warm")  # both sides then run on a warm JVM
    shutil.rmtree(f"{FOLDER}/tables", ignore_errors=True)
    kyros_spark.clean(spark, config, batch="2023")
    shutil.rmtree(f"{FOLDER}/tables", ignore_errors=True)
    run = kyros_spark.clean(spark, config, batch="2023")
    start = time.perf_counter()
    rows = plain(spark, f"{FOLDER}/plain")
    seconds = time.perf_counter() - start
    prepared = kyros_spark.prepare(spark, config, batch="2023")
    driver, _ = peak_memory()
    lines = [
        f"{count:,} policies, {run.rows_out:,} rows out ({rows:,} by the plain job)",
        f"clean    {run.seconds:8.1f} s  {run.phases}",
        f"plain    {seconds:8.1f} s  clean takes {run.seconds / seconds:.2f}x its time",
        f"prepare  {prepared.seconds:8.1f} s  {prepared.phases}",
        f"peak     {driver:8.0f} MiB of driver and JVM; Python "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def plain(spark, base):
    """Clean the demo's extract by hand; return the rows written to policies and claims."""
    shutil.rmtree(base, ignore_errors=True)
    read = spark.read.option("header", "true")
    policies = _policies(read.csv(f"{FOLDER}/source/2023/policies")).persist(StorageLevel.DISK_ONLY)
    good = policies.where("reason IS NULL").drop("reason")
    counts = policies.groupBy("reason").count().collect()
    claims = _claims(read.csv(f"{FOLDER}/source/2023/claims"), good).persist(StorageLevel.DISK_ONLY)
    known = claims.where("reason IS NULL").drop("reason")
    claims.groupBy("reason").count().collect()
    for name, frame in (("policies", policies), ("claims", claims)):
        bad = frame.where("reason IS NOT NULL")
        told = bad.select("reason", F.to_json(F.struct(*frame.columns)).alias("record"))
        told.write.format("delta").save(f"{base}/rejects_{name}")
    known.write.format("delta").save(f"{base}/claims")
    good.write.format("delta").save(f"{base}/policies")
    policies.unpersist()
    claims.unpersist()
    assert counts
    return sum(
        spark.read.format("delta").load(f"{base}/{n}").count() for n in ("policies", "claims")
    )


def _policies(raw):
    number = {
        "exposure": "double", "driver_age": "int", "licence_years": "int", "bonus_malus": "int",
        "vehicle_age": "int", "vehicle_power": "int", "vehicle_value": "double",
        "start_date": "date",
    }  # fmt: skip
    texts = [name for name in raw.columns if name not in number]
    casts = [F.expr(f"try_cast({n} AS {t}) AS {n}") for n, t in number.items()]
    typed = raw.select(*texts, *casts).withColumn(
        "vehicle_value", F.expr("nullif(vehicle_value, 0)")
    )
    once = typed.dropDuplicates()
    several = F.count(F.lit(1)).over(Window.partitionBy("policy_id")) > 1
    between = {
        "exposure": (0.0027, 1), "driver_age": (18, 100), "licence_years": (0, 82),
        "bonus_malus": (50, 350), "vehicle_age": (0, 60), "vehicle_power": (20, 600),
    }  # fmt: skip
    levels = {
        "area": ["city", "suburb", "village"], "fuel": ["petrol", "diesel", "electric"],
    }  # fmt: skip
    reason = F.when(
        F.expr("policy_id IS NULL OR client_id IS NULL OR start_date IS NULL"), "missing"
    )
    for name, (low, high) in between.items():
        inside = F.coalesce(F.col(name).between(low, high), F.lit(False))
        reason = reason.when(~inside, name)
    for name, known in levels.items():
        reason = reason.when(~F.coalesce(F.col(name).isin(known), F.lit(False)), name)
    reason = reason.when(F.col("region").isNull(), "region")
    reason = reason.when(F.col("vehicle_value") < 100, "vehicle_value").when(several, "several")
    return once.withColumn("reason", reason)


def _claims(raw, policies):
    typed = raw.selectExpr(
        "claim_id", "policy_id", "try_cast(claim_date AS date) claim_date",
        "try_cast(amount AS double) amount",
    ).dropDuplicates()  # fmt: skip
    several = F.count(F.lit(1)).over(Window.partitionBy("claim_id")) > 1
    known = policies.select("policy_id", F.lit(True).alias("known"))
    reason = (
        F.when(F.expr("claim_id IS NULL OR claim_date IS NULL OR amount IS NULL"), "missing")
        .when(~F.col("amount").between(-50000, 5000000), "amount")
        .when(F.col("known").isNull(), "reference")
        .when(several, "several")
    )
    return typed.join(known, "policy_id", "left").withColumn("reason", reason).drop("known")
