"""Judge the stored predictions of one batch: metrics, factors, lift, and a report.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/evaluate.py --config conf/demo.yaml --batch 2023
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("evaluate")
