"""Train the settings' models on their training batches, and register them.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/train.py --config conf/demo.yaml --batch 2023
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("train")
