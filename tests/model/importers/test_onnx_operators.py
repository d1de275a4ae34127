"""Each ONNX operator known computes what ONNX Runtime does; what it does otherwise is refused."""

import numpy as np
import pytest

from kyros_spark.errors import KyrosError, ModelNotSupportedError
from kyros_spark.model.importers.onnx_models import POST_TRANSFORMS
from kyros_spark.model.importers.onnx_nodes import MODES, MORE
from kyros_spark.model.importers.onnx_operators import OPERATORS
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
ML, INT64 = "ai.onnx.ml", 7
ROWS = np.array([[3, 4], [-1, 2], [0.5, -2], [2, 1], [1, 1]], np.float32)
WHOLE = np.array([[3, 4], [-1, 2], [0, -2], [2, 1], [1, 1]], np.float32)


def node(operator, inputs, outputs="y", domain="", **attributes):
    inputs, outputs = inputs.split(), outputs.split()
    return onnx.helper.make_node(operator, inputs, outputs, domain=domain, **attributes)


def linear(source="x", target="y", coefficients=(0.1, 0.2), **attributes):
    values = {"coefficients": coefficients, "intercepts": [0.3], **attributes}
    return node("LinearRegressor", source, target, ML, **values)


def classifying(target="y", **attributes):
    values = {"coefficients": [-0.1, -0.2, 0.1, 0.2], "intercepts": [-0.3, 0.3], **attributes}
    return node("LinearClassifier", "x", f"l {target}", ML, classlabels_ints=[0, 1], **values)


def graph(*nodes, kind=1, width=2, **constants):
    """Return a file of these nodes; a constant of whole numbers is int64, any other float32."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    arrays = {name: np.array(value) for name, value in constants.items()}
    tensors = [
        numpy_helper.from_array(a.astype("i8" if a.dtype.kind == "i" else "f4"), name)
        for name, a in arrays.items()
    ]
    x = helper.make_tensor_value_info("x", kind, [None, width])
    outputs = [onnx.ValueInfoProto(name="y")]
    version = 5 if any(each.op_type == "TreeEnsemble" for each in nodes) else 3
    opsets = [helper.make_opsetid(ML, version), helper.make_opsetid("", 20)]
    made = helper.make_graph(nodes, "g", [x], outputs, tensors)
    return helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString()


def by_runtime(data, rows):
    """Return ONNX Runtime's answer: a number per row, a probability, or one per class of many."""
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    whole = "int64" in session.get_inputs()[0].type
    answers = session.run(None, {"x": rows.astype(np.int64) if whole else rows})[-1]
    if isinstance(answers, list):
        answers = np.array([list(row.values()) for row in answers])
    answers = answers.reshape(len(rows), -1)
    return answers[:, -1] if answers.shape[1] < 3 else answers


def imported(data):
    return import_model(data, "m", "claims", features=["a", "b"])


def assert_same(data, rows=ROWS):
    columns = [np.ascontiguousarray(column) for column in rows.T]
    found = Scorer(imported(data)).response(columns)
    np.testing.assert_allclose(found, by_runtime(data, rows), 2e-6, 1e-6)


def stumps(operator, classes=1, ids=(), weights=(0.3, 0.6), mode="BRANCH_LEQ", **attributes):
    """Return a stump on the first input; its leaves weigh for the classes `ids`."""
    prefix = "target" if operator.endswith("Regressor") else "class"
    ids = ids or [0] * len(weights)
    values = {
        "nodes_treeids": [0] * 3,
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0] * 3,
        "nodes_modes": [mode, "LEAF", "LEAF"],
        "nodes_values": [1.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        f"{prefix}_treeids": [0] * len(weights),
        f"{prefix}_nodeids": [1] * (len(weights) // 2) + [2] * (len(weights) // 2),
        f"{prefix}_ids": ids,
        f"{prefix}_weights": weights,
    }
    values |= {"n_targets": 1} if prefix == "target" else {"classlabels_int64s": range(classes)}
    outputs = "y" if prefix == "target" else "l y"
    return node(operator, "x", outputs, ML, **values, **attributes)


def opset_5(mode=0, transform=0):
    tensor = onnx.helper.make_tensor
    return node(
        "TreeEnsemble", "x", "y", ML,
        tree_roots=[0], nodes_featureids=[0], n_targets=1, aggregate_function=1,
        nodes_modes=tensor("m", onnx.TensorProto.UINT8, [1], [mode]),
        nodes_splits=tensor("s", 1, [1], [1.0]), post_transform=transform,
        nodes_truenodeids=[0], nodes_trueleafs=[1], nodes_falsenodeids=[1], nodes_falseleafs=[1],
        leaf_targetids=[0, 0], leaf_weights=tensor("w", 1, [2], [0.3, 0.6]),
    )  # fmt: skip


SUMS = [0, 1, 2] * 2
CASES = {
    "TreeEnsembleRegressor": lambda: [graph(stumps("TreeEnsembleRegressor", base_values=[0.2]))],
    "TreeEnsembleClassifier": lambda: [
        graph(stumps("TreeEnsembleClassifier", 2, base_values=[0.2])),
        graph(stumps("TreeEnsembleClassifier", 2, [1, 1])),
        graph(stumps("TreeEnsembleClassifier", 2, [0, 1, 0, 1], (0.7, 0.3, 0.4, 0.6))),
        graph(stumps("TreeEnsembleClassifier", 3, SUMS, (0.7, 0.3, 0, 0.4, 0.6, 0.1))),
    ],
    "TreeEnsemble": lambda: [graph(opset_5())],
    "LinearRegressor": lambda: [graph(linear())],
    "LinearClassifier": lambda: [graph(classifying(post_transform="LOGISTIC"))],
    "MatMul": lambda: [graph(node("MatMul", "x w"), w=[[0.1], [0.2]])],
    "Gemm": lambda: [
        graph(node("Gemm", "x w"), w=[[0.1], [0.2]]),
        graph(node("Gemm", "x w b", alpha=2.0, beta=3.0, transB=1), w=[[0.1, 0.2]], b=[0.5]),
    ],
    "Constant": lambda: [
        graph(
            node("Constant", "", "w", value=onnx.helper.make_tensor("w", 1, [2, 1], [0.1, 0.2])),
            node("MatMul", "x w"),
        )
    ],
    "Identity": lambda: [graph(node("Identity", "x", "z"), linear("z"))],
    "Reshape": lambda: [
        graph(node("Reshape", "x s", "z"), linear("z"), s=[-1, 2]),
        graph(node("Reshape", "x s", "z"), linear("z"), s=[0, -1]),
        graph(linear("x", "z"), node("Reshape", "z s"), s=[-1]),
    ],
    "Flatten": lambda: [graph(node("Flatten", "x", "z", axis=1), linear("z"))],
    "Squeeze": lambda: [graph(linear("x", "z"), node("Squeeze", "z a"), a=[1])],
    "Unsqueeze": lambda: [
        graph(
            node("Gather", "x i", "z", axis=1),
            node("Unsqueeze", "z a", "u"),
            linear("u", coefficients=[0.1]),
            i=1,
            a=[1],
        )
    ],
    "ZipMap": lambda: [
        graph(
            classifying("p", post_transform="LOGISTIC"),
            node("ZipMap", "p", "y", ML, classlabels_int64s=[0, 1]),
        )
    ],
    "Normalizer": lambda: [
        graph(
            classifying("p", post_transform="LOGISTIC"), node("Normalizer", "p", "y", ML, norm="L1")
        )
    ],
    "Cast": lambda: [
        graph(node("Cast", "x", "d", to=11), node("Cast", "d", "z", to=1), linear("z")),
        graph(node("Cast", "x", "z", to=1), linear("z"), kind=INT64),
        graph(linear("x", "z"), node("Cast", "z", to=1)),
    ],
    "Gather": lambda: [graph(node("Gather", "x i", "z", axis=1), linear("z"), i=[-1, 0])],
    "Concat": lambda: [
        graph(
            node("Gather", "x i", "a", axis=1),
            node("Gather", "x j", "b", axis=1),
            node("Concat", "a b", "z", axis=1),
            linear("z"),
            i=[1],
            j=[0],
        )
    ],
    "Scaler": lambda: [
        graph(node("Scaler", "x", "z", ML, offset=[1.0, 2.0], scale=[2.0, 3.0]), linear("z"))
    ],
    "Exp": lambda: [graph(linear("x", "z"), node("Exp", "z"))],
    "Sigmoid": lambda: [graph(linear("x", "z"), node("Sigmoid", "z"))],
    **{
        operator: lambda operator=operator, positive=positive: [
            graph(node(operator, "x k", "z"), linear("z"), k=[2.0, 4.0]),
            graph(linear("x", "z"), node(operator, "z k"), k=[-0.5]),
            graph(linear("x", "e"), node("Exp", "e", "z"), node(operator, "z k"), k=[positive]),
        ]
        for operator, positive in (("Add", 2.0), ("Sub", -2.0), ("Mul", 2.0), ("Div", 2.0))
    },
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_each_operator_known_computes_what_onnx_runtime_does(operator):
    for data in CASES[operator]():
        assert_same(data, WHOLE if operator == "Cast" else ROWS)


def normalised(norm, *before):
    return graph(*before, node("Normalizer", "p", "y", ML, norm=norm))


REFUSED = {
    "norm L2.* of columns": lambda: graph(node("Normalizer", "x", "z", ML, norm="L2"), linear("z")),
    "norm MAX.* of columns": lambda: graph(
        node("Normalizer", "x", "z", ML, norm="MAX"), linear("z")
    ),
    "norm L2.* of scores": lambda: normalised("L2", classifying("p", post_transform="LOGISTIC")),
    "norm L1.* of scores": lambda: normalised("L1", classifying("p")),
    r"Reshape of 2 columns to \[2, -1\]": lambda: graph(
        node("Reshape", "x s", "z"), linear("z"), s=[2, -1]
    ),
    "Flatten along axis 0": lambda: graph(node("Flatten", "x", "z", axis=0), linear("z")),
    "drops the remainder": lambda: graph(
        node("Div", "x k", "d"), node("Cast", "d", "z", to=1), linear("z"), kind=INT64, k=[2, 2]
    ),
    "Mul with a constant per row": lambda: graph(
        node("Mul", "x k", "z"), linear("z"), k=[[2.0]] * 5
    ),
    "Sub of two computed": lambda: graph(node("Sub", "k x", "z"), linear("z"), k=[2.0, 4.0]),
    "MatMul with several outputs": lambda: graph(
        node("MatMul", "x w"), width=None, w=[[1.0, 2.0], [3.0, 4.0]]
    ),
    "Scaler is not supported": lambda: graph(
        node("Scaler", "x", "z", "my.own", offset=[0.0], scale=[1.0]), linear("z")
    ),
    "1 base values for two classes": lambda: graph(
        stumps("TreeEnsembleClassifier", 2, [1, 1], base_values=[0.2])
    ),
    "2 base values for two classes": lambda: graph(
        stumps("TreeEnsembleClassifier", 2, base_values=[0.2, 0.3])
    ),
}


@pytest.mark.parametrize("said", REFUSED)
def test_forms_of_operators_that_do_something_else_are_refused(said):
    with pytest.raises(ModelNotSupportedError, match=said):
        imported(REFUSED[said]())


TRANSFORMED = {
    "LinearRegressor": lambda transform: linear(post_transform=transform),
    "LinearClassifier": lambda transform: classifying(post_transform=transform),
    "TreeEnsembleRegressor": lambda transform: stumps(
        "TreeEnsembleRegressor", post_transform=transform
    ),
    "TreeEnsembleClassifier": lambda transform: stumps(
        "TreeEnsembleClassifier", 2, [1, 1], post_transform=transform
    ),
    "both of two classes": lambda transform: stumps(
        "TreeEnsembleClassifier", 2, [0, 1, 0, 1], (0.7, 0.1, -0.4, 0.6), post_transform=transform
    ),
    "three classes": lambda transform: stumps(
        "TreeEnsembleClassifier", 3, SUMS, (0.7, 0.1, 0, 0.4, 0.6, 1), post_transform=transform
    ),
    "TreeEnsemble": lambda transform: opset_5(0, POST_TRANSFORMS.index(transform)),
}
RESPONDS = {"LinearClassifier", "TreeEnsembleClassifier", "both of two classes", "three classes"}


@pytest.mark.parametrize("transform", POST_TRANSFORMS)
@pytest.mark.parametrize("model", TRANSFORMED)
def test_each_transform_known_is_onnx_runtimes_or_refused(model, transform):
    data = graph(TRANSFORMED[model](transform))
    taken = ("NONE", "LOGISTIC") if model in RESPONDS else ("NONE",)
    if transform in taken or (model, transform) == ("three classes", "SOFTMAX"):
        assert_same(data)
    else:
        with pytest.raises(KyrosError, match=f"{transform} (is not supported|over two)"):
            imported(data)


@pytest.mark.parametrize("mode", MODES)
def test_each_branch_mode_known_is_onnx_runtimes_or_refused(mode):
    number = MODES.index(mode)
    for data in (graph(opset_5(number)), graph(stumps("TreeEnsembleRegressor", mode=mode))):
        if number <= MORE:
            assert_same(data)
        else:
            with pytest.raises(ModelNotSupportedError, match=mode):
                imported(data)
