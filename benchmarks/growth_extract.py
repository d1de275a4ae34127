"""Write an extract of the demo's portfolio, wider than its settings name columns, or skewed."""

import sys
from pathlib import Path

from pyspark.sql import functions as F

from kyros_spark.config import load_config
from kyros_spark.demo import portfolio
from kyros_spark.spark.session import get_session


def main(settings, year, first, count, padding, skewed):
    config = load_config(settings)
    spark = get_session(config.spark)
    drawn = portfolio.policies(spark, year, first, count)
    policies = portfolio.with_policy_dirt(drawn, year)
    claims = portfolio.with_claim_dirt(portfolio.claims(drawn, year), year)
    if skewed:
        policies, claims = _skewed(spark, policies, claims, skewed)
    text = [
        F.repeat(F.md5(F.concat_ws("-", F.lit(n), "policy_id")), 5).alias(f"note_{n:02d}")
        for n in range(padding)
    ]
    source = Path(config.sources.policies.path.replace("{batch}", str(year))).parent
    for name, rows in (("policies", policies.select("*", *text)), ("claims", claims)):
        rows.write.mode("overwrite").option("header", "true").csv(str(source / name))


def _skewed(spark, policies, claims, rows):
    """Add so many copies of one policy, and a tenth as many claims of it."""
    plain = "exposure = '1.0' AND area = 'city' AND driver_age = '40' AND vehicle_value != '0'"
    one = policies.where(plain).limit(1).first().asDict()
    values = [F.lit(one[name]).alias(name) for name in policies.columns]
    copies = spark.range(rows).select(*values)
    more = spark.range(rows // 10).select(
        F.format_string("S-%08d", "id").alias("claim_id"),
        F.lit(one["policy_id"]).alias("policy_id"),
        F.lit(one["start_date"]).cast("date").alias("claim_date"),
        F.lit(250.0).alias("amount"),
    )
    return policies.unionByName(copies), claims.unionByName(more)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:7]))
