"""Join claims to policies, and compute exposure, targets, split and features of one batch.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/prepare.py --config conf/demo.yaml --batch 2023
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("prepare")
