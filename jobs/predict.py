"""Apply registered models to one prepared batch, all in one pass.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/predict.py --config conf/demo.yaml --batch 2023
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("predict")
