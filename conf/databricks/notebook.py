# Databricks notebook source
# MAGIC %md
# MAGIC # From an extract to predictions, on the session that is already there
# MAGIC Install the wheel first: `%pip install /Volumes/main/pricing/kyros/kyros_spark-0.1.0-py3-none-any.whl`

# COMMAND ----------

dbutils.widgets.text("config", "/Volumes/main/pricing/kyros/settings.yaml")
dbutils.widgets.text(
    "tables", "{catalog: main.pricing, artefacts: /Volumes/main/pricing/kyros/models}"
)
dbutils.widgets.text("batch", "2026-10")

# COMMAND ----------

import kyros_spark as ks

config = ks.load_config(dbutils.widgets.get("config"), ["tables=" + dbutils.widgets.get("tables")])
batch = dbutils.widgets.get("batch")

# COMMAND ----------

runs = [
    ks.clean(spark, config, batch),
    ks.prepare(spark, config, batch),
    ks.train(spark, config),
    ks.predict(spark, config, batch),
    ks.monitor(spark, config, batch),
]

# COMMAND ----------

told = [(run.stage, run.batch, run.status, run.rows_out, run.seconds) for run in runs]
display(
    spark.createDataFrame(
        told, "stage string, batch string, status string, rows long, seconds double"
    )
)
