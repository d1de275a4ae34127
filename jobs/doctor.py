"""Check the cluster that runs this job, and say what to mend.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/doctor.py --config conf/demo.yaml
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("doctor")
