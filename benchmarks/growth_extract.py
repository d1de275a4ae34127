"""Write a wide extract of the demo's portfolio: with columns beside those that settings name."""

import sys
from pathlib import Path

from pyspark.sql import functions as F

from kyros_spark.config import load_config
from kyros_spark.demo import portfolio
from kyros_spark.session import get_session


def main(settings, year, first, count, padding):
    config = load_config(settings)
    spark = get_session(config.spark)
    drawn = portfolio.policies(spark, year, first, count)
    text = [
        F.repeat(F.md5(F.concat_ws("-", F.lit(n), "policy_id")), 3).alias(f"note_{n:02d}")
        for n in range(padding)
    ]
    source = Path(config.sources.policies.path.replace("{batch}", str(year))).parent
    policies = portfolio.with_policy_dirt(drawn, year).select("*", *text)
    claims = portfolio.with_claim_dirt(portfolio.claims(drawn, year), year)
    for name, rows in (("policies", policies), ("claims", claims)):
        rows.write.mode("overwrite").option("header", "true").csv(str(source / name))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:6]))
