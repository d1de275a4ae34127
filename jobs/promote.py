"""Make a registered model version champion, through the gate.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/promote.py --config conf/demo.yaml frequency_glm@2 --reason "tariff 2026"
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("promote")
