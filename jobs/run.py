"""Run the stages in order for one or more batches, skipping what is done.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/run.py --config conf/demo.yaml --batch 2023
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("run")
