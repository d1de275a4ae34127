"""Several models in one pass over a table give what each gives alone."""

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from kyros_spark.model.artefact import model_to_bytes
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.scorer import Scorer
from kyros_spark.scoring.udf import ScoringModel, predictions
from tests.scoring.boosters import adversarial_rows, boost, model_of
from tests.scoring.test_bundle import grown

ROWS = 3000


def test_models_of_every_kind_share_a_pass(spark, tmp_path):
    models = {
        "deep": model_of(boost(rounds=30)),
        "classes": grown(tmp_path, 2, objective="multiclass", num_class=3),
        "flat": model_of(boost(rounds=20, max_depth=2, seed=5)),
        "logistic": model_of(boost(rounds=10, objective="binary:logistic")),
        "sets": grown(tmp_path, 1),
    }
    rows = adversarial_rows(models["deep"].arrays, ROWS).astype(np.float64)
    rows[:, 4] = np.random.default_rng(0).choice([np.nan, 0.5, *range(45)], ROWS)
    names = [f"f{k}" for k in range(6)]
    table = pd.DataFrame(rows, columns=names).assign(n=range(ROWS))
    frame = spark.createDataFrame(table).repartition(3, "n")
    report = HostReport(spark)
    served = [ScoringModel(name, model, model_to_bytes(model)) for name, model in models.items()]
    score = predictions(spark, served, report=report)
    found = frame.select("n", score.alias("s")).select("n", "s.*").orderBy("n").toPandas()
    columns = [np.ascontiguousarray(column) for column in rows.T]
    for name, model in models.items():
        expected = Scorer(model).response(columns).reshape(ROWS, -1)
        labels = [f"{name}.{one.label}" for one in model.manifest.outputs] or [name]
        np.testing.assert_array_equal(found[labels].to_numpy(), expected)
    assert list(found) == ["n", *(name for one in served for name in one.outputs)]
    assert {model for host in report.hosts() for model in host["models"]} == set(models)


def test_a_table_of_no_rows(spark):
    model = model_of(boost(rounds=3))
    served = [ScoringModel("m", model, model_to_bytes(model))]
    columns = [F.lit(None).cast("double").alias(f"f{k}") for k in range(6)]
    none = spark.range(0).select(*columns)
    assert none.select(predictions(spark, served).alias("s")).count() == 0
