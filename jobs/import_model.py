"""Register a model of another library: XGBoost, LightGBM, ONNX or Spark MLlib.

spark-submit --properties-file conf/spark/local.conf \\
    jobs/import_model.py --config conf/demo.yaml \\
    --model-file model.txt --name challenger --target claim_count --per exposure
"""

from kyros_spark.cli.main import stage_main

if __name__ == "__main__":
    stage_main("import")
