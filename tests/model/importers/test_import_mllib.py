"""Spark MLlib models score as MLlib's own transform does, from the folder its save wrote."""

import json
import shutil

import numpy as np
import pytest
from pyspark.ml import Pipeline, classification, regression
from pyspark.ml.feature import OneHotEncoder, VectorAssembler, VectorIndexer
from pyspark.sql import functions as F

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError, UsageError
from kyros_spark.model.artefact import model_to_bytes, read_model
from kyros_spark.model.importers.mllib import FAMILIES, LINKS, TREES
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import adversarial_rows, columns_of

NAMES = ["a", "b", "c"]


def assembler():
    """Made late, as all of MLlib: it needs the JVM."""
    return VectorAssembler(inputCols=NAMES, outputCol="features", handleInvalid="keep")


@pytest.fixture(scope="module")
def frame(spark):
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=400), rng.normal(size=400), rng.integers(0, 3, 400)], axis=1)
    y = rng.poisson(np.exp(x[:, 0] * 0.5)) + 0.1
    rows = [(*map(float, row), float(one), float(one > 1)) for row, one in zip(x, y, strict=True)]
    return spark.createDataFrame(rows, [*NAMES, "label", "is_large"]).cache()


def saved(fitted, path):
    fitted.write().overwrite().save(str(path))
    return path


def rows_for(model, rows=1500):
    if model.manifest.kind == "glm":
        return np.random.default_rng(5).normal(size=(rows, 3))
    with np.errstate(over="ignore"):
        return adversarial_rows(model.arrays, rows)


def by_spark(spark, fitted, rows, probability=False):
    asked = spark.createDataFrame([tuple(map(float, row)) for row in rows], NAMES)
    if not hasattr(fitted, "stages"):
        asked = assembler().transform(asked)
    found = fitted.transform(asked).select("probability" if probability else "prediction")
    values = [row[0] for row in found.collect()]
    return np.array([value[1] for value in values] if probability else values)


def trees_of(kind, **columns):
    """Return the estimator of a kind of trees, by the name of its fitted model."""
    name = kind.replace("RegressionModel", "Regressor").replace("ClassificationModel", "Classifier")
    rounds = {"RandomForest": {"numTrees": 5, "seed": 1}, "GBT": {"maxIter": 4, "seed": 1}}
    options = next((value for start, value in rounds.items() if kind.startswith(start)), {})
    module = regression if kind.endswith("RegressionModel") else classification
    return getattr(module, name)(maxDepth=5, **options, **columns)


@pytest.mark.repeats
@pytest.mark.parametrize("kind", TREES)
def test_each_kind_of_trees_known_responds_as_mllib(spark, frame, tmp_path, kind):
    """A classifier's response is the probability of the second class."""
    classifies = TREES[kind][0] == "binomial"
    estimator = trees_of(kind, labelCol="is_large" if classifies else "label")
    fitted = estimator.fit(assembler().transform(frame))
    model = import_model(saved(fitted, tmp_path / "m"), "m", "y", features=NAMES)
    model = read_model(model_to_bytes(model))
    assert type(fitted).__name__ == kind
    rows = rows_for(model)
    # Read back: a fitted classifier carries its summary, and with it the session, into each task.
    stored = type(fitted).load(str(tmp_path / "m"))
    expected = by_spark(spark, stored, rows, probability=classifies)
    rtol = 0 if kind == "DecisionTreeRegressionModel" else 1e-12
    np.testing.assert_allclose(Scorer(model).response(columns_of(rows)), expected, rtol)


# Of the links known here, those that MLlib fits each family with.
LINKS_OF_FAMILIES = {
    "gaussian": ("identity", "log"),
    "binomial": ("logit",),
    "poisson": ("log", "identity"),
    "gamma": ("log", "identity"),
    "tweedie": ("log", "identity"),
}


@pytest.mark.repeats
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_and_link_known_responds_as_mllib(spark, frame, tmp_path, family):
    assert {link for links in LINKS_OF_FAMILIES.values() for link in links} == set(LINKS)
    for link in LINKS_OF_FAMILIES[family]:
        options = {"family": family, "link": link}
        if family == "tweedie":
            power = 0.0 if link == "log" else 1.0
            options = {"family": family, "variancePower": 1.5, "linkPower": power}
        label = "is_large" if family == "binomial" else "label"
        settings = {"labelCol": label, "regParam": 1.0, "maxIter": 3}
        estimator = regression.GeneralizedLinearRegression(**options, **settings)
        fitted = estimator.fit(assembler().transform(frame))
        model = import_model(saved(fitted, tmp_path / link), "m", "y", features=NAMES)
        assert (model.manifest.family, model.manifest.link) == (FAMILIES[family], LINKS[link])
        rows = rows_for(model, 300)
        expected = by_spark(spark, fitted, rows)
        np.testing.assert_allclose(Scorer(model).response(columns_of(rows)), expected, 1e-12)


def test_a_linear_regression_responds_as_mllib(spark, frame, tmp_path):
    fitted = regression.LinearRegression().fit(assembler().transform(frame))
    model = import_model(saved(fitted, tmp_path / "m"), "m", "y", features=NAMES)
    rows = rows_for(model, 300)
    expected = by_spark(spark, fitted, rows)
    np.testing.assert_allclose(Scorer(model).response(columns_of(rows)), expected, rtol=1e-12)


MANY_CLASSES = {
    "tree": lambda: classification.DecisionTreeClassifier(maxDepth=4, labelCol="c"),
    "forest": lambda: classification.RandomForestClassifier(
        numTrees=5, maxDepth=6, seed=1, labelCol="c"
    ),
}


@pytest.mark.parametrize("name", MANY_CLASSES)
def test_three_classes_give_each_ones_probability(spark, frame, tmp_path, name):
    noisy = frame.withColumn("c", F.expr("pmod(c + IF(a > 0.5, 1D, 0D), 3D)"))
    fitted = MANY_CLASSES[name]().fit(assembler().transform(noisy))
    model = import_model(saved(fitted, tmp_path / "m"), "m", "y", features=NAMES)
    rows = rows_for(model)
    asked = spark.createDataFrame([tuple(map(float, row)) for row in rows], NAMES)
    stored = type(fitted).load(str(tmp_path / "m"))
    answers = stored.transform(assembler().transform(asked)).select("probability").collect()
    found = Scorer(model).response(columns_of(rows))
    np.testing.assert_allclose(found, [row[0].toArray() for row in answers], rtol=1e-12)


def test_a_pipelines_assembler_names_the_features(spark, frame, tmp_path):
    fitted = Pipeline(stages=[assembler(), trees_of("RandomForestRegressionModel")]).fit(frame)
    folder = saved(fitted, tmp_path / "m")
    model = import_model(folder, "m", "y")
    assert [one.name for one in model.manifest.features] == NAMES
    rows = rows_for(model)
    expected = by_spark(spark, fitted, rows)
    np.testing.assert_allclose(Scorer(model).response(columns_of(rows)), expected, rtol=1e-12)
    with pytest.raises(UsageError, match="names for its 3 features"):
        import_model(next(folder.glob("stages/1_*")), "m", "y")


def test_splits_by_categories_ask_for_exact_membership(spark, tmp_path):
    """Sets of less and of more than half the categories: what is none of them goes elsewhere."""
    rng = np.random.default_rng(1)
    x = np.stack([rng.integers(0, 9, 900), rng.normal(size=900), rng.integers(0, 4, 900)], axis=1)
    y = np.sin(x[:, 0] * 5) + (x[:, 2] == 1) * x[:, 1]
    rows = [(*map(float, row), float(one)) for row, one in zip(x, y, strict=True)]
    assembled = assembler().transform(spark.createDataFrame(rows, [*NAMES, "label"]))
    indexer = VectorIndexer(inputCol="features", outputCol="indexed", maxCategories=9)
    indexed = indexer.fit(assembled).transform(assembled)
    regressors = (
        regression.DecisionTreeRegressor(featuresCol="indexed", maxDepth=7),
        regression.GBTRegressor(featuresCol="indexed", maxIter=4, maxDepth=5, seed=1),
        regression.DecisionTreeRegressor(featuresCol="indexed", maxDepth=14),
    )
    odd = [np.nan, np.inf, -np.inf, -0.0, -0.5, 0.5, 1 + 1e-12, 8, 9, 100, -1, 1e300, 2.0**24]
    pool = np.concatenate([odd, np.arange(9), np.arange(9), np.arange(4)])
    asked = pool[rng.integers(0, pool.size, (1500, 3))]
    asked[:, 1] = rng.normal(size=1500)
    given = spark.createDataFrame([tuple(map(float, row)) for row in asked], NAMES)
    given = assembler().transform(given).withColumnRenamed("features", "indexed").cache()
    for number, regressor in enumerate(regressors):
        fitted = regressor.fit(indexed)
        model = import_model(saved(fitted, tmp_path / str(number)), "m", "y", features=NAMES)
        assert model.arrays["set_feature"].size
        expected = [row[0] for row in fitted.transform(given).select("prediction").collect()]
        found = Scorer(model).response(columns_of(asked))
        np.testing.assert_allclose(found, expected, rtol=0 if number != 1 else 1e-12)


def test_what_is_not_supported_is_refused_by_its_name(frame, tmp_path):
    assembled = assembler().transform(frame)
    encoder = OneHotEncoder(inputCols=["c"], outputCols=["d"])
    ensured = VectorAssembler(inputCols=["a", "d"], outputCol="features")
    refused = {
        "family gamma with link inverse": regression.GeneralizedLinearRegression(
            family="gamma"
        ).fit(assembled),
        "IsotonicRegressionModel": regression.IsotonicRegression().fit(assembled),
        "pipeline stage 0, OneHotEncoderModel": Pipeline(
            stages=[encoder, ensured, trees_of("DecisionTreeRegressionModel")]
        ).fit(frame),
    }
    for number, (said, fitted) in enumerate(refused.items()):
        with pytest.raises(ModelNotSupportedError, match=said):
            import_model(saved(fitted, tmp_path / str(number)), "m", "y", features=NAMES)


def pipeline_of(path, stages):
    """Write the metadata of a saved pipeline, as Spark does, of (class, parameters) stages."""
    folders = [path, *(path / f"stages/{k}_{name}" for k, (name, _) in enumerate(stages))]
    described = [("org.apache.spark.ml.PipelineModel", {}), *stages]
    for folder, (name, parameters) in zip(folders, described, strict=True):
        (folder / "metadata").mkdir(parents=True)
        content = {"class": f"org.apache.spark.ml.{name}", "paramMap": parameters}
        content |= {"sparkVersion": "4.1.4", "defaultParamMap": {"featuresCol": "features"}}
        (folder / "metadata/part-00000").write_text(json.dumps(content))
    return path


ASSEMBLER = ("VectorAssembler", {"inputCols": ["a", "b"], "outputCol": "features"})
MODEL = ("RandomForestRegressionModel", {})
PIPELINES = {
    "stage 0, StringIndexerModel": [("StringIndexerModel", {}), ASSEMBLER, MODEL],
    "stage 0, Bucketizer": [("Bucketizer", {}), ASSEMBLER, MODEL],
    "stage 1, StandardScalerModel": [ASSEMBLER, ("StandardScalerModel", {}), MODEL],
    "stage 1, VectorAssembler": [ASSEMBLER, ASSEMBLER, MODEL],
    "stage 1, GBTRegressionModel": [ASSEMBLER, ("GBTRegressionModel", {}), MODEL],
    "model: IndexToString": [ASSEMBLER, ("IndexToString", {})],
    "assembles column x, .*reads features": [
        ("VectorAssembler", {"inputCols": ["a"], "outputCol": "x"}),
        MODEL,
    ],
}


@pytest.mark.parametrize("said", PIPELINES)
def test_a_pipeline_names_the_stage_that_is_in_the_way(tmp_path, said):
    folder = pipeline_of(tmp_path / "m", PIPELINES[said])
    with pytest.raises(ModelNotSupportedError, match=said):
        import_model(folder, "m", "y")


def test_a_damaged_folder_is_refused(frame, tmp_path):
    fitted = trees_of("GBTRegressionModel").fit(assembler().transform(frame))
    whole = saved(fitted, tmp_path / "whole")
    rng = np.random.default_rng(3)
    damaged = tmp_path / "damaged"
    for part in [path for path in whole.rglob("part-*") if path.suffix in (".txt", ".parquet")]:
        for share in (0.0, 0.5, 0.95):
            shutil.rmtree(damaged, ignore_errors=True)
            shutil.copytree(whole, damaged)
            content = part.read_bytes()
            other = damaged / part.relative_to(whole)
            other.write_bytes(content[: int(len(content) * share)])
            with pytest.raises((ModelFormatError, ModelNotSupportedError)):
                import_model(damaged, "m", "y", features=NAMES)
        for _ in range(40):
            content = bytearray(part.read_bytes())
            content[rng.integers(0, len(content))] = rng.integers(0, 256)
            other.write_bytes(content)
            try:
                model = import_model(damaged, "m", "y", features=NAMES)
            except (ModelFormatError, ModelNotSupportedError, UsageError):
                continue
            Scorer(model).raw([np.zeros(4)] * 3)


def test_the_column_names_of_spark_3_are_read_too(frame, tmp_path):
    import pyarrow.parquet

    fitted = trees_of("GBTRegressionModel").fit(assembler().transform(frame))
    folder = saved(fitted, tmp_path / "m")
    before = import_model(folder, "m", "y", features=NAMES)
    (part,) = (folder / "treesMetadata").glob("part-*.parquet")
    table = pyarrow.parquet.read_table(part).rename_columns(["treeID", "metadata", "weights"])
    pyarrow.parquet.write_table(table, part)
    after = import_model(folder, "m", "y", features=NAMES)
    np.testing.assert_array_equal(before.arrays["leaf_value"], after.arrays["leaf_value"])
    (text,) = (folder / "metadata").glob("part-*")
    assert json.loads(text.read_text())["sparkVersion"] == before.manifest.source.version
