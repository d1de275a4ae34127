"""Say what each price of a prepared batch is made of, feature by feature.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/monitor.py --config conf/demo.yaml --batch 2023
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("monitor")
