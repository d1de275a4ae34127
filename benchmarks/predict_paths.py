"""Score table `prepared` as teams do: the library's own model in a pandas UDF, Delta to Delta."""

import pandas as pd
from pyspark.sql import functions as F

from benchmarks.predict_portfolio import features_of


class NoPath(Exception):
    """The library is not there, or does not take the model."""


def _written(spark, folder, name, score):
    """Write key, exposure and the score of all features; return the table's folder."""
    rows = spark.read.format("delta").load(str(folder / "tables/prepared"))
    features = features_of(rows.columns)
    if any(kind == "string" for column, kind in rows.dtypes if column in features):
        raise NoPath("its own encoding of texts would be measured")
    out = str(folder / "peers" / name)
    scored = rows.select("policy_id", "exposure", score(*features).alias("prediction"))
    scored.write.format("delta").mode("overwrite").save(out)
    return out, {}


def nothing(spark, folder):
    """A pandas UDF that reads all features and does nothing with them."""

    @F.pandas_udf("double")
    def first(*columns: pd.Series) -> pd.Series:
        return columns[0]

    return _written(spark, folder, "nothing", first)


def lightgbm(spark, folder):
    import lightgbm as library

    booster = library.Booster(model_file=str(folder / "boosted.txt"))

    @F.pandas_udf("double")
    def score(*columns: pd.Series) -> pd.Series:
        return pd.Series(booster.predict(pd.concat(columns, axis=1), num_threads=1))

    return _written(spark, folder, "lightgbm", score)


def xgboost(spark, folder):
    import xgboost as library

    data = bytes((folder / "xgboosted.json").read_bytes())
    boosters = {}

    @F.pandas_udf("double")
    def score(*columns: pd.Series) -> pd.Series:
        if "model" not in boosters:
            boosters["model"] = library.Booster({"nthread": 1})
            boosters["model"].load_model(bytearray(data))
        rows = pd.concat(columns, axis=1).to_numpy()
        return pd.Series(boosters["model"].inplace_predict(rows).astype("float64"))

    return _written(spark, folder, "xgboost", score)


def mlflow(spark, folder):
    try:
        import lightgbm as library
        import mlflow.lightgbm
        import mlflow.pyfunc
    except ImportError as error:
        raise NoPath(str(error)) from error
    path = folder / "mlflow"
    if not path.exists():
        booster = library.Booster(model_file=str(folder / "boosted.txt"))
        mlflow.lightgbm.save_model(booster, str(path))
    score = mlflow.pyfunc.spark_udf(spark, str(path), result_type="double", env_manager="local")
    return _written(spark, folder, "mlflow", score)


def onnxruntime(spark, folder):
    try:
        import onnxruntime  # noqa: F401

        from kyros_spark.model.exporters.onnx import export_onnx
    except ImportError as error:
        raise NoPath(str(error)) from error
    from kyros_spark.model.importers.recognise import import_model

    model = import_model(folder / "boosted.txt", name="boosted", target="claims")
    data, _ = export_onnx(model, "benchmark")
    sessions = {}

    @F.pandas_udf("double")
    def score(*columns: pd.Series) -> pd.Series:
        import onnxruntime as runtime

        if "model" not in sessions:
            options = runtime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            sessions["model"] = runtime.InferenceSession(data, options)
        session = sessions["model"]
        kinds = {"tensor(float)": "float32", "tensor(double)": "float64"}
        inputs = session.get_inputs()
        if len(inputs) == 1:
            rows = pd.concat(columns, axis=1).to_numpy(kinds[inputs[0].type])
            given = {inputs[0].name: rows}
        else:
            pairs = zip(inputs, columns, strict=True)
            given = {i.name: c.to_numpy(kinds[i.type]).reshape(-1, 1) for i, c in pairs}
        return pd.Series(session.run(None, given)[0].ravel().astype("float64"))

    return _written(spark, folder, "onnxruntime", score)


PEERS = {
    "UDF that does nothing": nothing, "LightGBM UDF": lightgbm, "MLflow spark_udf": mlflow,
    "ONNX Runtime UDF": onnxruntime, "XGBoost UDF": xgboost,
}  # fmt: skip
