"""Generate a motor portfolio in Spark: deterministic, with the errors that real extracts have.

Every value is a function of the policy's number, the year and a name, through a hash. The portfolio
is therefore the same on every cluster, whatever the partitioning.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

RENEWAL_SHARE = 0.9
_POLICY_COLUMNS = (
    *("policy_id", "client_id", "start_date", "exposure", "driver_age", "licence_years"),
    *("bonus_malus", "area", "region", "fuel", "vehicle_age", "vehicle_power", "vehicle_value"),
)


def policies(spark: SparkSession, year: int, first_year: int, count: int) -> DataFrame:
    """Return the year's policies with their true frequency; nine in ten are renewed each year."""
    offset = round((year - first_year) * count * (1 - RENEWAL_SHARE))
    numbered = spark.range(offset, offset + count).withColumnRenamed("id", "number")
    years_since_first = F.lit(year - first_year)
    first_age = F.floor(18 + 12 * (_u("age1") + _u("age2") + _u("age3") + _u("age4"))).cast("int")
    age = first_age + years_since_first
    drawn = numbered.select(
        "number",
        F.format_string("P%08d", F.col("number")).alias("policy_id"),
        F.format_string("C%08d", F.floor(F.col("number") * 0.9).cast("long")).alias("client_id"),
        F.least(age, F.lit(95)).alias("driver_age"),
        F.greatest(
            F.least(age - 18 - F.floor(6 * _u("licence")).cast("int"), F.lit(70)), F.lit(0)
        ).alias("licence_years"),
        _bonus().alias("bonus_malus"),
        _pick("area", ("city", 0.45), ("suburb", 0.3), ("village", 0.25)).alias("area"),
        F.format_string("R%02d", F.floor(1 + 18 * _u("region") * _u("region2")).cast("int")).alias(
            "region"
        ),
        _pick("fuel", ("petrol", 0.5), ("diesel", 0.42), ("electric", 0.08)).alias("fuel"),
        (F.floor(-6 * F.log(_u("vehicle"))).cast("int") % 40 + years_since_first).alias(
            "vehicle_age"
        ),
        F.floor(50 + 130 * _u("power1") * _u("power2") + 60 * _u("power3"))
        .cast("int")
        .alias("vehicle_power"),
        F.round(F.exp(9.4 + 0.9 * (_u("value1") + _u("value2") - 1)), 0).alias("vehicle_value"),
        _exposure(year).alias("exposure"),
        _start(year).alias("start_date"),
    )
    return drawn.withColumn("_frequency", _frequency())


def claims(drawn: DataFrame, year: int) -> DataFrame:
    """Return the claims of the policies: counts by their frequency, amounts with a heavy tail."""
    mean = F.col("_frequency") * F.col("exposure")
    u, none = _u("count", year), F.exp(-mean)
    count = F.when(u < none, 0).when(u < none * (1 + mean), 1)
    count = count.when(u < none * (1 + mean + mean * mean / 2), 2).otherwise(3)
    exploded = drawn.select(
        "number", "policy_id", "exposure", "vehicle_value", "start_date",
        F.explode(F.sequence(F.lit(1), count)).alias("nth"),
    ).where(count > 0)  # fmt: skip
    size = -0.5 * (F.log(_u("size1", year, "nth")) + F.log(_u("size2", year, "nth")))
    tail = F.when(_u("tail", year, "nth") < 0.004, 25.0).otherwise(1.0)
    amount = F.round(1400 * size * tail * F.pow(F.col("vehicle_value") / 12000, 0.3), 2)
    kind = _u("kind", year, "nth")
    days = F.floor(365 * F.col("exposure") * _u("day", year, "nth")).cast("int")
    return exploded.select(
        F.format_string(f"{year}-%08d-%d", F.col("number"), F.col("nth")).alias("claim_id"),
        "policy_id",
        F.date_add("start_date", days).alias("claim_date"),
        F.when(kind < 0.02, 0.0)
        .when(kind < 0.06, -F.round(amount / 3, 2))
        .otherwise(amount)
        .alias("amount"),
    )


def with_policy_dirt(drawn: DataFrame, year: int) -> DataFrame:
    """Return the policies as an extract delivers them: as text, some of it wrong."""
    u = _u("dirt", year)
    dirty = drawn.select(
        "number",
        *(F.col(name).cast("string").alias(name) for name in _POLICY_COLUMNS),
    ).withColumns(
        {
            "driver_age": F.when(u < 0.0006, "n/a").otherwise(F.col("driver_age")),
            "exposure": F.when(u.between(0.001, 0.002), "0.0")
            .when(u.between(0.002, 0.0025), "1.4")
            .otherwise(F.col("exposure")),
            "area": F.when(u.between(0.003, 0.0034), "CITY?").otherwise(F.col("area")),
            "vehicle_value": F.when(u.between(0.01, 0.03), "0").otherwise(F.col("vehicle_value")),
            "region": F.when(u.between(0.04, 0.043), f"R{year % 100}").otherwise(F.col("region")),
        }
    )  # fmt: skip
    copies = dirty.where(u.between(0.05, 0.053))
    conflicting = dirty.where(u.between(0.06, 0.0603)).withColumn("bonus_malus", F.lit("99"))
    return dirty.unionByName(copies).unionByName(conflicting).drop("number")


def with_claim_dirt(drawn: DataFrame, year: int) -> DataFrame:
    """Return the claims as an extract delivers them: some without a policy, some twice."""
    u = F.pmod(F.xxhash64("claim_id", F.lit(f"dirt{year}")), F.lit(1000))
    unknown = F.when(u < 3, F.lit("P99999999")).otherwise(F.col("policy_id"))
    dirty = drawn.withColumn("policy_id", unknown)
    return dirty.unionByName(dirty.where(u.between(500, 503)))


def _u(name: str, *keys: int | str) -> Column:
    """Return a number in (0, 1), fixed by the policy's number, the name and the further keys."""
    parts = [F.col(part) if part == "nth" else F.lit(part) for part in keys]
    hashed = F.xxhash64(F.col("number"), F.lit(name), *parts)
    return (F.pmod(hashed, F.lit(1 << 40)) + 0.5) / float(1 << 40)


def _pick(name: str, *choices: tuple[str, float]) -> Column:
    u, upto = _u(name), 1.0
    chosen = F.lit(choices[-1][0])
    for (value, _), (_, later_share) in zip(choices[-2::-1], choices[:0:-1], strict=True):
        upto -= later_share
        chosen = F.when(u < upto, value).otherwise(chosen)
    return chosen


def _bonus() -> Column:
    best = F.when(_u("bonus") < 0.5, 50)
    return best.otherwise(F.least(F.floor(50 - 28 * F.log(_u("malus"))).cast("int"), F.lit(230)))


def _exposure(year: int) -> Column:
    part = F.round(0.05 + 0.95 * _u("exposure", year), 3)
    return F.when(_u("whole", year) < 0.7, 1.0).otherwise(part)


def _start(year: int) -> Column:
    late = F.floor(365 * (1 - F.lit(1.0) * _exposure(year))).cast("int")
    return F.date_add(F.to_date(F.lit(f"{year}-01-01")), late)


def _frequency() -> Column:
    age, power = F.col("driver_age"), F.col("vehicle_power")
    young = F.when(age < 25, 0.6).when(age < 30, 0.25).when(age > 70, 0.2).otherwise(0.0)
    area = (
        F.when(F.col("area") == "city", 0.25).when(F.col("area") == "village", -0.2).otherwise(0.0)
    )
    region = 0.3 * F.sin(F.substring("region", 2, 2).cast("int") * 1.7)
    bonus = 0.011 * (F.col("bonus_malus") - 60)
    # A young driver of a strong car is worse than the sum: an effect that only trees can find.
    both = F.when((age < 28) & (power > 120), 0.5).otherwise(0.0)
    return F.exp(-2.7 + young + area + region + bonus + 0.002 * (power - 90) + both)
