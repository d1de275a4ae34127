"""ONNX models score as ONNX Runtime scores them, or are refused by name."""

import numpy as np
import pytest
from sklearn import ensemble, linear_model, tree
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kyros_spark.errors import ModelNotSupportedError, UsageError
from kyros_spark.model.artefact import model_to_bytes, read_model
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import adversarial_rows, columns_of

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
NAMES = ["a", "b", "c", "d"]


def training():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 4)).astype(np.float32).astype(np.float64)
    return x, rng.poisson(np.exp(x[:, 0] * 0.5 + x[:, 1] * 0.2)) + 0.1


def converted(estimator, dtype=np.float32, opset=None):
    skl2onnx = pytest.importorskip("skl2onnx")
    options = {"target_opset": {"": 17, "ai.onnx.ml": opset}} if opset else {}
    x = training()[0][:1].astype(dtype)
    return skl2onnx.to_onnx(estimator, x, **options).SerializeToString()


def imported(data, **options):
    model = import_model(data, "m", "claims", **{"features": NAMES, **options})
    return read_model(model_to_bytes(model))


def rows_for(model, rows=3000):
    if model.manifest.kind == "glm":
        return np.random.default_rng(5).normal(size=(rows, 4)).astype(np.float32)
    with np.errstate(over="ignore"):
        return adversarial_rows(model.arrays, rows)


def by_runtime(data, rows):
    """Return ONNX Runtime's own answer: a regressor's number or the second class's probability."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    model = onnx.load_from_string(data)
    for node in model.graph.node:  # skl2onnx declares a double output, which ONNX Runtime refuses
        if (
            node.op_type.startswith("TreeEnsemble")
            and node.output[-1] == model.graph.output[-1].name
        ):
            model.graph.output[-1].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    data = model.SerializeToString()
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    kind = np.float32 if "float" in session.get_inputs()[0].type else np.float64
    with np.errstate(over="ignore"):
        given = rows.astype(kind)
    found = session.run(None, {session.get_inputs()[0].name: given})[-1]
    if isinstance(found, list):
        return np.array([row[1] for row in found])
    return found[:, -1]


def assert_same(data, rtol=2e-6, **options):
    model = imported(data, **options)
    rows = rows_for(model)
    expected = by_runtime(data, rows)
    np.testing.assert_allclose(Scorer(model).response(columns_of(rows)), expected, rtol, 1e-6)


REGRESSORS = [
    ensemble.RandomForestRegressor(20, max_depth=6, random_state=0),
    ensemble.ExtraTreesRegressor(20, max_depth=6, random_state=0),
    ensemble.GradientBoostingRegressor(n_estimators=30, random_state=0),
    ensemble.HistGradientBoostingRegressor(max_iter=30),
    linear_model.LinearRegression(),
    linear_model.Ridge(),
    linear_model.PoissonRegressor(),
    linear_model.GammaRegressor(),
    linear_model.TweedieRegressor(power=1.5, link="log"),
    make_pipeline(StandardScaler(), linear_model.PoissonRegressor()),
]
CLASSIFIERS = [
    ensemble.RandomForestClassifier(20, max_depth=6, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=30, random_state=0),
    ensemble.HistGradientBoostingClassifier(max_iter=30),
    linear_model.LogisticRegression(),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda one: str(one)[:24])
def test_what_skl2onnx_writes_for_regressors(estimator, dtype):
    x, y = training()
    assert_same(converted(estimator.fit(x, y), dtype))


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda one: str(one)[:24])
def test_what_skl2onnx_writes_for_classifiers_gives_the_second_class(estimator):
    x, y = training()
    assert_same(converted(estimator.fit(x, y > 1)))


MANY_CLASSES = [
    tree.DecisionTreeClassifier(max_depth=5),
    ensemble.RandomForestClassifier(20, max_depth=6, random_state=0),
    ensemble.ExtraTreesClassifier(10, max_depth=12, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0),
    ensemble.HistGradientBoostingClassifier(max_iter=20),
]


@pytest.mark.parametrize("labels", ["numbers", "text"])
@pytest.mark.parametrize("opset", [1, 3])
@pytest.mark.parametrize("estimator", MANY_CLASSES, ids=lambda one: str(one)[:24])
def test_what_skl2onnx_writes_for_three_classes_gives_each_ones_probability(
    estimator, opset, labels
):
    x, y = training()
    names = np.array(["low", "mid", "top"] if labels == "text" else [0, 10, 20])
    data = converted(estimator.fit(x, names[np.minimum(y // 1, 2).astype(int)]), opset=opset)
    model = imported(data)
    assert [one.label for one in model.manifest.outputs] == [str(name) for name in names]
    rows = rows_for(model)
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    answers = session.run(None, {session.get_inputs()[0].name: rows.astype(np.float32)})[-1]
    if isinstance(answers, list):
        answers = np.array([[row[name] for name in names.tolist()] for row in answers])
    np.testing.assert_allclose(Scorer(model).response(columns_of(rows)), answers, 3e-6, 1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_missing_values_follow_histgradientboosting_also_where_only_they_are_set_apart(dtype):
    x, y = training()
    rng = np.random.default_rng(1)
    x[rng.random(x.shape) < 0.3] = np.nan
    y = y + 3 * np.isnan(x[:, 2])
    estimator = ensemble.HistGradientBoostingRegressor(max_iter=30).fit(x, y)
    assert any(np.isinf(tree[0].nodes["num_threshold"]).any() for tree in estimator._predictors)
    assert_same(converted(estimator, dtype))


@pytest.mark.parametrize("opset", [1, 3])
def test_thresholds_of_both_opset_forms(opset):
    x, y = training()
    estimator = ensemble.RandomForestRegressor(10, max_depth=8, random_state=0).fit(x, y)
    assert_same(converted(estimator, np.float64, opset))
    assert_same(converted(estimator, np.float32, opset))


def test_a_log_link_that_skl2onnx_leaves_out_is_given_by_hand():
    x, y = training()
    estimator = ensemble.HistGradientBoostingRegressor(max_iter=30, loss="poisson").fit(x, y)
    model = imported(converted(estimator, np.float64), link="log", family="poisson")
    found = Scorer(model).response(columns_of(x))
    np.testing.assert_allclose(found, estimator.predict(x), rtol=1e-5)


def test_inputs_of_one_column_each_name_the_features():
    skl2onnx = pytest.importorskip("skl2onnx")
    x, y = training()
    estimator = ensemble.RandomForestRegressor(5, max_depth=4, random_state=0).fit(x, y)
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.compose import ColumnTransformer

    keep = ColumnTransformer([("keep", "passthrough", [2, 0, 3, 1])])
    pipe = make_pipeline(keep, ensemble.RandomForestRegressor(5, max_depth=4, random_state=0))
    data = skl2onnx.to_onnx(
        pipe.fit(x, y), initial_types=[(name, FloatTensorType([None, 1])) for name in NAMES]
    ).SerializeToString()
    model = import_model(data, "m", "claims")
    assert [one.name for one in model.manifest.features] == NAMES
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    rows = rows_for(model, 500)
    given = {name: rows[:, [k]] for k, name in enumerate(NAMES)}
    expected = session.run(None, given)[0][:, 0]
    np.testing.assert_allclose(Scorer(model).raw(columns_of(rows)), expected, rtol=1e-6)
    with pytest.raises(UsageError, match="names for its 4 features"):
        import_model(converted(estimator), "m", "claims")


def test_names_may_be_noted_in_the_files_metadata():
    x, y = training()
    noted = onnx.load_from_string(converted(linear_model.LinearRegression().fit(x, y)))
    onnx.helper.set_model_props(noted, {"feature_names": "a, b, c, d"})
    model = import_model(noted.SerializeToString(), "m", "claims")
    assert [one.name for one in model.manifest.features] == NAMES


def test_what_is_not_supported_is_refused_by_its_name():
    x, y = training()
    several = np.stack([y, y + 1], axis=1)
    from sklearn import cluster, neural_network

    refused = {
        "2 outputs": ensemble.RandomForestRegressor(2, max_depth=2).fit(x, several),
        "several outputs": neural_network.MLPRegressor(hidden_layer_sizes=(3,), max_iter=5).fit(
            x, y
        ),
        "ArrayFeatureExtractor|ReduceSumSquare|label|scores": cluster.KMeans(2).fit(x),
    }
    for said, estimator in refused.items():
        with pytest.raises(ModelNotSupportedError, match=said):
            imported(converted(estimator))
