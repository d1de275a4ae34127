"""clean and prepare of the demo's extract, written by hand in plain PySpark.

What a careful engineer would write for this one extract, without settings, ledger or profile: read
the CSV, cast, judge the same rules, remove copies, refuse keys with several contents and claims
without a policy, count before writing, write Delta tables; then sum the claims, join them, compute
exposure, targets, split and features, check the exposure, write.
"""

import itertools
import shutil

from pyspark import StorageLevel
from pyspark.sql import Window
from pyspark.sql import functions as F

NUMBERS = {
    "exposure": "double", "driver_age": "int", "licence_years": "int", "bonus_malus": "int",
    "vehicle_age": "int", "vehicle_power": "int", "vehicle_value": "double", "start_date": "date",
}  # fmt: skip
BETWEEN = {
    "exposure": (0.0027, 1), "driver_age": (18, 100), "licence_years": (0, 82),
    "bonus_malus": (50, 350), "vehicle_age": (0, 60), "vehicle_power": (20, 600),
}  # fmt: skip
LEVELS = {"area": ["city", "suburb", "village"], "fuel": ["petrol", "diesel", "electric"]}
BINS = {
    "age": ("driver_age", [21, 25, 30, 40, 50, 60, 70]),
    "bonus": ("bonus_malus", [51, 60, 80, 100, 125]),
    "vehicle": ("vehicle_age", [2, 5, 10, 15]),
}


def clean(spark, source, base):
    """Clean the extract; return the rows written to policies and claims."""
    shutil.rmtree(base, ignore_errors=True)
    read = spark.read.option("header", "true")
    policies = _policies(read.csv(f"{source}/policies")).persist(StorageLevel.DISK_ONLY)
    good = policies.where("reason IS NULL").drop("reason")
    counts = policies.groupBy("reason").count().collect()
    claims = _claims(read.csv(f"{source}/claims"), good).persist(StorageLevel.DISK_ONLY)
    known = claims.where("reason IS NULL").drop("reason")
    counts += claims.groupBy("reason").count().collect()
    for name, frame in (("policies", policies), ("claims", claims)):
        bad = frame.where("reason IS NOT NULL")
        told = bad.select("reason", F.to_json(F.struct(*frame.columns)).alias("record"))
        told.write.format("delta").save(f"{base}/rejects_{name}")
    known.write.format("delta").save(f"{base}/claims")
    good.write.format("delta").save(f"{base}/policies")
    policies.unpersist()
    claims.unpersist()
    return sum(row["count"] for row in counts if row["reason"] is None)


def _policies(raw):
    texts = [name for name in raw.columns if name not in NUMBERS]
    casts = [F.expr(f"try_cast({n} AS {t}) AS {n}") for n, t in NUMBERS.items()]
    typed = raw.select(*texts, *casts).withColumn(
        "vehicle_value", F.expr("nullif(vehicle_value, 0)")
    )
    once = typed.dropDuplicates()
    several = F.count(F.lit(1)).over(Window.partitionBy("policy_id")) > 1
    reason = F.when(
        F.expr("policy_id IS NULL OR client_id IS NULL OR start_date IS NULL"), "missing"
    )
    for name, (low, high) in BETWEEN.items():
        inside = F.coalesce(F.col(name).between(low, high), F.lit(False))
        reason = reason.when(~inside, name)
    for name, known in LEVELS.items():
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


def prepare(spark, base):
    """Prepare what `clean` wrote; return the rows written."""
    shutil.rmtree(f"{base}/prepared", ignore_errors=True)
    policies = spark.read.format("delta").load(f"{base}/policies")
    bad = policies.where("exposure IS NULL OR exposure <= 0 OR exposure > 1").count()
    if bad:
        raise ValueError(f"{bad} exposures out of range")
    capped = F.least("amount", F.lit(50_000.0))
    sums = (
        spark.read.format("delta").load(f"{base}/claims")
        .where("amount > 0").groupBy("policy_id")
        .agg(
            F.count(F.lit(1)).cast("double").alias("claim_count"),
            F.sum(capped).alias("claim_amount"),
            F.sum(F.col("amount") - capped).alias("claim_excess"),
        )
    )  # fmt: skip
    place = F.pmod(F.xxhash64(F.lit("kyros"), "client_id"), F.lit(1_000_000))
    split = F.when(place < 700_000, "train").when(place < 850_000, "valid").otherwise("test")
    rows = policies.join(sums, "policy_id", "left").select(
        "policy_id",
        "exposure",
        *(F.coalesce(n, F.lit(0.0)).alias(n) for n in sums.columns[1:]),
        split.alias("split"),
        *(_bin(column, cuts).alias(name) for name, (column, cuts) in BINS.items()),
        "area", "region", "fuel",
        F.col("vehicle_power").cast("double").alias("power"),
        F.log("vehicle_value").alias("log_value"),
        F.col("driver_age").cast("double").alias("age_years"),
        F.col("bonus_malus").cast("double").alias("bonus_value"),
    )  # fmt: skip
    rows.write.format("delta").save(f"{base}/prepared")
    # What an engineer would look at afterwards: how many rows, and what is missing.
    written = spark.read.format("delta").load(f"{base}/prepared")
    missing = (F.count_if(F.col(name).isNull()).alias(name) for name in written.columns)
    return written.agg(F.count(F.lit(1)).alias("rows"), *missing).first()["rows"]


def _bin(column, cuts):
    label = F.when(F.col(column) < cuts[0], f"<{cuts[0]}")
    for low, high in itertools.pairwise(cuts):
        label = label.when(F.col(column) < high, f"{low}-<{high}")
    return label.when(F.col(column).isNotNull(), f"{cuts[-1]}+")
