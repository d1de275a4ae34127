"""Score rows on the cluster named in the arguments; one JSON line tells what came of it."""

import json
import sys

import numpy as np
from boosters import adversarial_rows, boost, model_of
from pyspark.sql import SparkSession

from kyros_spark.model.artefact import model_to_bytes
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.scorer import Scorer
from kyros_spark.scoring.udf import ScoringModel, predictions

ROWS, PARTITIONS = 20_000, 8
KERNELS = ("auto", "avx512vbmi")


def main(master):
    spark = (
        SparkSession.builder.master(master)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.executor.cores", "1")
        .config("spark.executor.memory", "600m")
        .config("spark.scheduler.minRegisteredResourcesRatio", "1.0")
        .config("spark.scheduler.maxRegisteredResourcesWaitingTime", "120s")
        .config("spark.task.maxFailures", "1")  # else the other host would do a refused task
        .getOrCreate()
    )
    model = model_of(boost(rounds=60))
    rows = adversarial_rows(model.arrays, ROWS)
    names = [feature.name for feature in model.manifest.features]
    told = [[int(n), *(float(value) for value in row)] for n, row in enumerate(rows)]
    frame = spark.createDataFrame(told, f"n long, {', '.join(f'{name} float' for name in names)}")
    frame = frame.repartition(PARTITIONS, "n")
    own = Scorer(model, "portable").response([np.ascontiguousarray(c) for c in rows.T])
    served = [ScoringModel("boosted", model, model_to_bytes(model))]
    return {kernel: scored(spark, frame, served, kernel, own) for kernel in KERNELS}


def scored(spark, frame, served, kernel, own):
    report = HostReport(spark)
    score = predictions(spark, served, kernel=kernel, report=report)
    try:
        found = frame.select("n", score.boosted.alias("score")).orderBy("n").toPandas()
    except Exception as error:
        return {"error": str(error)}
    same = np.array_equal(found["score"].to_numpy(), own, equal_nan=True)
    return {"rows": len(found), "same": bool(same), "hosts": report.hosts()}


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(main(*sys.argv[1:])) + "\n")
