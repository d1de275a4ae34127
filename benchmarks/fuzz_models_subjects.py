"""The real models that fuzz_models damages, one of each format, small enough for 10,000 mutants."""

import re

import numpy as np
import pyarrow
import pyarrow.parquet
import xgboost

from kyros_spark.model.artefact import model_to_bytes
from kyros_spark.model.importers.recognise import import_model

NAMES = ["a", "b", "c"]


def training(categories):
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, 6, 600), rng.normal(size=600), rng.normal(size=600)], axis=1)
    y = rng.poisson(np.exp(np.sin(x[:, 0] * 3) + 0.5 * x[:, 1])).astype(float)
    if categories:
        x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


def xgboost_model(form):
    x, y = training(categories=True)
    matrix = xgboost.DMatrix(x, y, feature_names=NAMES, feature_types=["c", "q", "q"])
    settings = {"objective": "count:poisson", "max_depth": 3, "nthread": 1, "max_cat_to_onehot": 1}
    return bytes(xgboost.train(settings, matrix, 3).save_raw(form))


def lightgbm_model():
    import lightgbm

    x, y = training(categories=True)
    data = lightgbm.Dataset(x, y, feature_name=NAMES, categorical_feature=[0])
    settings = {"objective": "poisson", "verbose": -1, "num_leaves": 6, "min_data_per_group": 5}
    settings |= {"num_threads": 1, "max_cat_to_onehot": 1}
    text = lightgbm.train(settings, data, 3).model_to_string()
    return re.sub(r"\nparameters:\n.*end of parameters\n", "\n", text, flags=re.DOTALL).encode()


def onnx_model():
    import skl2onnx
    from sklearn.ensemble import RandomForestRegressor

    x, y = training(categories=False)
    fitted = RandomForestRegressor(3, max_depth=3, random_state=0).fit(x, y)
    return skl2onnx.to_onnx(fitted, x[:1].astype(np.float32)).SerializeToString()


def own_model():
    return model_to_bytes(import_model(xgboost_model("json"), "m", "claims"))


MODELS = {
    "xgboost-json": lambda: xgboost_model("json"),
    "xgboost-ubj": lambda: xgboost_model("ubj"),
    "lightgbm": lightgbm_model,
    "onnx": onnx_model,
}

# MLlib's form of a forest of two trees, each with a threshold and a set of categories.
MLLIB_TREE = [
    (0, 1, 2, 0, [1.0, 3.0], 5), (1, 3, 4, 1, [0.25], -1), (2, -1, -1, -1, [], -1),
    (3, -1, -1, -1, [], -1), (4, -1, -1, -1, [], -1),
]  # fmt: skip
_PARAMETERS = {
    "featuresCol": "features", "labelCol": "label", "predictionCol": "prediction",
    "impurity": "variance", "maxDepth": 5, "maxBins": 32,
}  # fmt: skip
MLLIB_TREE_FACTS = {
    "class": "org.apache.spark.ml.regression.DecisionTreeRegressionModel", "timestamp": 1,
    "sparkVersion": "4.1.0", "uid": "dtr_1", "paramMap": {}, "numFeatures": 3,
    "defaultParamMap": _PARAMETERS,
}  # fmt: skip
MLLIB_FACTS = MLLIB_TREE_FACTS | {
    "class": "org.apache.spark.ml.regression.RandomForestRegressionModel", "uid": "rfr_1",
    "numTrees": 2, "paramMap": {"numTrees": 2}, "defaultParamMap": _PARAMETERS | {"numTrees": 20},
}  # fmt: skip


def mllib_rows():
    """Return the rows of data/, as JSON can hold them."""
    return [
        {"treeID": tree, "nodeData": {
            "id": number, "prediction": float(number + 10 * tree), "impurity": 0.0,
            "impurityStats": [1.0, 2.0, 3.0], "rawCount": 3, "gain": 0.0,
            "leftChild": left, "rightChild": right,
            "split": {"featureIndex": feature, "leftCategoriesOrThreshold": listed,
                      "numCategories": count},
        }}
        for tree in (0, 1)
        for number, left, right, feature, listed, count in MLLIB_TREE
    ]  # fmt: skip


# The types that Spark writes; Arrow's own guess has other integers, which Spark does not read.
_SPLIT = pyarrow.struct({
    "featureIndex": pyarrow.int32(), "leftCategoriesOrThreshold": pyarrow.list_(pyarrow.float64()),
    "numCategories": pyarrow.int32(),
})  # fmt: skip
_NODE = pyarrow.struct({
    "id": pyarrow.int32(), "prediction": pyarrow.float64(), "impurity": pyarrow.float64(),
    "impurityStats": pyarrow.list_(pyarrow.float64()), "rawCount": pyarrow.int64(),
    "gain": pyarrow.float64(), "leftChild": pyarrow.int32(), "rightChild": pyarrow.int32(),
    "split": _SPLIT,
})  # fmt: skip
_DATA = pyarrow.schema({"treeID": pyarrow.int32(), "nodeData": _NODE})
_TREES = pyarrow.schema(
    {"_1": pyarrow.int32(), "_2": pyarrow.string(), "_3": pyarrow.float64()}
)  # fmt: skip


def write_mllib(folder, facts, rows, trees):
    """Write a folder in MLlib's form; raises Arrow's errors for rows that are no table."""
    for part in ("metadata", "data", "treesMetadata"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "metadata" / "part-00000").write_bytes(facts)
    for name, content, schema in (("data", rows, _DATA), ("treesMetadata", trees, _TREES)):
        table = pyarrow.Table.from_pylist(content, schema=schema)
        pyarrow.parquet.write_table(table, folder / name / "part-00000.parquet")
