"""Compare one batch with the training batches and the batch before, and judge it by rules.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/monitor.py --config conf/demo.yaml --batch 2023
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("monitor")
