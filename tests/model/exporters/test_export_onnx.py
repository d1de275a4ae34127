"""An exported file predicts what the model does: in ONNX Runtime, and imported again."""

import json
import sys

import numpy as np
import pytest

from kyros_spark.errors import GateError, ModelFormatError, ModelNotSupportedError, PlatformError
from kyros_spark.model.artefact import Model
from kyros_spark.model.exporters.onnx import export_onnx
from kyros_spark.model.glm import glm_model
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.model.manifest import Feature, Manifest, ModelOutput, Part, Source
from kyros_spark.operations.onnx_parity import parity, rows_to_compare
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import boost, columns_of, model_of

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
SOURCE = Source(library="kyros-spark", version="test")


def changed(model, arrays=None, **manifest):
    return Model(model.manifest.model_copy(update=manifest), arrays or model.arrays)


def of_xgboost(**told):
    return model_of(boost(rounds=30), rebalance=1.25, large_loss_load=3.5, per="exposure", **told)


def of_lightgbm():
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(1)
    x = np.round(rng.normal(size=(3000, 5)), 1)  # values on the thresholds, where <= and < part
    x[rng.random(x.shape) < 0.1] = np.nan
    y = rng.poisson(np.exp(np.nan_to_num(x[:, 0]) * 0.5))
    told = {"objective": "poisson", "verbose": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(told, lightgbm.Dataset(x, y), 20)
    names = list("abcde")
    return import_model(booster.model_to_string().encode(), "m", "claim_count", features=names)


def of_a_glm():
    manifest = Manifest(
        name="severity", kind="glm", source=SOURCE, family="gamma", link="log",
        target="claim_amount", per="claim_count", intercept=6.5, rebalance=0.98,
        large_loss_load=12.0,
        features=(
            Feature(name="area", kind="levels", levels=("city", "village", "(missing)"),
                    missing="(missing)", definition_hash="h1"),
            Feature(name="power", impute=90.0),
            Feature(name="fuel", kind="levels", levels=("petrol",)),
            Feature(name="value", impute=1.5),
        ),
    )  # fmt: skip
    tables = {"area": [0.0, -0.3, 0.1], "fuel": [0.0]}
    return glm_model(manifest, tables, {"power": 0.001, "value": -0.2})


def of_levels_alone():
    features = (Feature(name="area", kind="levels", levels=("a", "b")),)
    manifest = Manifest(
        name="m", kind="glm", source=SOURCE, family="gaussian", link="identity", target="y",
        intercept=-1.0, features=features,
    )  # fmt: skip
    return glm_model(manifest, {"area": [0.0, 2.0]}, {})


def of_bare_leaves():
    """A float64 model of three trees, of which the first and the last are one leaf."""
    manifest = Manifest(
        name="m", kind="trees", source=SOURCE, family="gaussian", link="identity", target="y",
        intercept=0.5, features=(Feature(name="a"),),
    )  # fmt: skip
    arrays = {
        "cut_value": np.array([1.5]), "cut_start": np.array([0, 1]),
        "tree_start": np.array([0, 0, 1, 1]), "split_cut": np.array([0], np.int32),
        "split_missing_left": np.array([1], np.uint8), "split_left": np.array([-2], np.int32),
        "split_right": np.array([-1], np.int32), "leaf_value": np.array([1.0, 2.0, 3.0, 4.0]),
    }  # fmt: skip
    return Model(manifest, arrays)


MODELS = {
    "xgboost": of_xgboost,
    "xgboost, logistic": lambda: model_of(boost(rounds=10, objective="binary:logistic")),
    "xgboost, a mean of trees": lambda: changed(of_xgboost(), divisor=4.0),
    "lightgbm, float64 and at most": of_lightgbm,
    "glm of levels and numbers": of_a_glm,
    "glm of levels alone": of_levels_alone,
    "bare leaves": of_bare_leaves,
}


@pytest.fixture(scope="module", params=MODELS, ids=list(MODELS))
def exported(request):
    model = MODELS[request.param]()
    return model, *export_onnx(model, "0")


def test_onnx_runtime_predicts_what_the_model_does(exported):
    model, data, _ = exported
    rows = rows_to_compare(model)
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    single = "float" in session.get_inputs()[0].type
    given = rows.astype(np.float32 if single else np.float64)
    found = session.run(None, {"features": given})[0]
    assert found.shape == (len(rows), 1) and np.unique(found).size > 1
    rtol = 2e-6 if single else 1e-13  # float32 trees are added in another order
    np.testing.assert_allclose(found[:, 0], Scorer(model).response(columns_of(given)), rtol=rtol)
    np.testing.assert_allclose(session.run(None, {"features": given[:1]})[0], found[:1], rtol=rtol)


def test_the_import_of_the_file_is_the_model_again(exported):
    model, data, _ = exported
    again = import_model(data, model.manifest.name, model.manifest.target, model.manifest.per)
    assert again.manifest.features == model.manifest.features
    assert (again.manifest.family, again.manifest.link) == (
        model.manifest.family,
        model.manifest.link,
    )
    told = parity(model, data)
    assert told["imported_relative"] <= 1e-15 or model.manifest.divisor != 1
    assert told["runtime_relative"] < 5e-6
    assert told["rows"] == 10_000 and told["onnxruntime"] == runtime.__version__


def test_only_the_rows_axis_is_open_and_the_operator_sets_are_told(exported):
    _, data, opsets = exported
    read = onnx.load_from_string(data)
    onnx.checker.check_model(read, full_check=True)
    axes = [one.type.tensor_type.shape.dim for one in (*read.graph.input, *read.graph.output)]
    assert [[dim.dim_param for dim in one] for one in axes] == [["rows", ""], ["rows", ""]]
    stored = {one.domain or "ai.onnx": one.version for one in read.opset_import}
    assert stored == opsets and opsets["ai.onnx"] == 17
    noted = {one.key: one.value for one in read.metadata_props}
    assert len(json.loads(noted["kyros_features"])) == axes[0][1].dim_value


def test_a_file_that_predicts_otherwise_is_not_written():
    model = of_xgboost()
    leaves = model.arrays["leaf_value"].copy()
    leaves[5] += 1
    data, _ = export_onnx(changed(model, {**model.arrays, "leaf_value": leaves}), "0")
    with pytest.raises(GateError, match="found runtime_relative .*; no file was written"):
        parity(model, data)


def of_categories():
    arrays = {**of_bare_leaves().arrays, "set_feature": np.zeros(1, np.int32)}
    return Model(of_bare_leaves().manifest, arrays)


PARTS = (Part(name="frequency", version=3, sha256="0" * 64),)
REFUSED = {
    "categories": (of_categories, "splits by categories"),
    "classes": (
        lambda: changed(of_xgboost(), outputs=(ModelOutput(label="0"), ModelOutput(label="1"))),
        "2 outputs",
    ),
    "a composite": (
        lambda: changed(of_xgboost(), kind="composite", parts=PARTS),
        "export its parts, frequency@3",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_onnx_cannot_say_is_refused_by_name(case):
    make, said = REFUSED[case]
    with pytest.raises(ModelNotSupportedError, match=said):
        export_onnx(make(), "0")


@pytest.mark.parametrize(("missing", "call"), [("onnx", export_onnx), ("onnxruntime", parity)])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(missing, call, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(PlatformError, match=r"pip install 'kyros-spark\[onnx\]'"):
        call(of_bare_leaves(), b"" if call is parity else "0")


@pytest.mark.parametrize("told", ["{", "[]", '[{"name": ""}]', '"all of them"'])
def test_noted_features_that_are_none_are_refused(told):
    read = onnx.load_from_string(export_onnx(of_bare_leaves(), "0")[0])
    for one in read.metadata_props:
        if one.key == "kyros_features":
            one.value = told
    with pytest.raises(ModelFormatError):
        import_model(read.SerializeToString(), "m", "y")
