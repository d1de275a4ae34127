"""Check one batch of an extract, and write policies, claims, and rejects with their reasons.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/clean.py --config conf/demo.yaml --batch 2023
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("clean")
