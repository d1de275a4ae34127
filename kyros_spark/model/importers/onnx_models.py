"""Read the ONNX operators that are models: tree ensembles and linear predictors."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.onnx_trees import nodes_of_ensemble, nodes_of_opset_5
from kyros_spark.model.importers.onnx_values import Columns, Score, Unknown, linear_score
from kyros_spark.model.manifest import Link, ModelOutput

Attributes = Mapping[str, Any]
POST_TRANSFORMS = (
    "NONE",
    "SOFTMAX",
    "LOGISTIC",
    "SOFTMAX_ZERO",
    "PROBIT",
)  # numbered as in opset 5
MAX_CLASSES = 10_000
LINKS: dict[str, Link] = {"NONE": "identity", "LOGISTIC": "logit"}


def _tree_regressor(attributes: Attributes, inputs: list[Any]) -> Score:
    columns = _tree_columns("TreeEnsembleRegressor", inputs)
    _require_one_output("TreeEnsembleRegressor", int(attributes.get("n_targets", 1)))
    if np.any(attributes.get("target_ids", 0)):
        raise ModelFormatError("ONNX model: TreeEnsembleRegressor: a leaf of another target than 0")
    nodes = nodes_of_ensemble(attributes, "target", columns.single)
    score = Score("TreeEnsembleRegressor", columns, _base(attributes), nodes=nodes)
    _refuse_transform(score.operator, attributes.get("post_transform", "NONE"))
    return _aggregated(score, attributes.get("aggregate_function", "SUM"))


def _tree_ensemble(attributes: Attributes, inputs: list[Any]) -> Score:
    columns = _tree_columns("TreeEnsemble", inputs)
    _require_one_output("TreeEnsemble", int(attributes.get("n_targets", 1)))
    if np.any(attributes.get("leaf_targetids", 0)):
        raise ModelFormatError("ONNX model: TreeEnsemble: a leaf of another target than 0")
    nodes = nodes_of_opset_5(attributes, columns.single)
    aggregate = ("AVERAGE", "SUM", "MIN", "MAX")[int(attributes.get("aggregate_function", 1))]
    _refuse_transform("TreeEnsemble", POST_TRANSFORMS[int(attributes.get("post_transform", 0))])
    return _aggregated(Score("TreeEnsemble", columns, 0.0, nodes=nodes), aggregate)


def _tree_classifier(attributes: Attributes, inputs: list[Any]) -> Score:
    """Return the score of the second of two classes, or the scores of three and more.

    For two classes, the file may hold weights of the second class alone, or of both.
    """
    operator = "TreeEnsembleClassifier"
    columns = _tree_columns(operator, inputs)
    labels = _labels(attributes)
    if len(labels) > 2:
        return _many_classes(attributes, columns, labels)
    _require_two_classes(operator, attributes)
    classes = np.asarray(attributes["class_ids"])
    if not set(np.unique(classes).tolist()) <= {0, 1}:
        raise ModelFormatError(f"ONNX model: {operator}: a weight of another class than 0 and 1")
    has_both = np.unique(classes).size == 2
    base = np.asarray(attributes.get("base_values_as_tensor", attributes.get("base_values", ())))
    transform = attributes.get("post_transform", "NONE")
    if has_both and transform == "SOFTMAX":
        raise ModelNotSupportedError(f"ONNX model: {operator}: {transform} over two classes' sums")
    if base.size > 1 or (base.size and classes.any()):
        # ONNX Runtime adds one to the weights of class 0 only, and two to the wrong class.
        raise ModelNotSupportedError(
            f"ONNX model: {operator}: {base.size} base values for two classes are not supported"
        )
    second_class = {
        name: np.asarray(values)[classes == 1] if has_both and name.startswith("class_") else values
        for name, values in attributes.items()
    }
    nodes = nodes_of_ensemble(second_class, "class", columns.single)
    score = Score(operator, columns, float(base[-1]) if base.size else 0.0, nodes=nodes)
    return _with_link(score, transform)


def _many_classes(attributes: Attributes, columns: Columns, labels: list[str]) -> Score:
    operator, count = "TreeEnsembleClassifier", len(labels)
    if count > MAX_CLASSES:
        raise ModelNotSupportedError(f"ONNX model: {operator}: {count} classes, the most is 10000")
    base = np.asarray(attributes.get("base_values_as_tensor", attributes.get("base_values", ())))
    if base.size not in (0, count):
        raise ModelFormatError(f"ONNX model: {operator}: {base.size} base values, {count} classes")
    transform = attributes.get("post_transform", "NONE")
    if transform not in LINKS and transform != "SOFTMAX":
        problem = f"post_transform {transform} is not supported"
        raise ModelNotSupportedError(f"ONNX model: {operator}: {problem}")
    intercepts = base if base.size else np.zeros(count)
    return Score(
        operator,
        columns,
        0.0,
        link="softmax" if transform == "SOFTMAX" else LINKS[transform],
        nodes=nodes_of_ensemble(attributes, "class", columns.single, count),
        outputs=tuple(
            ModelOutput(label=label, intercept=float(intercept))
            for label, intercept in zip(labels, intercepts, strict=True)
        ),
    )


def _refuse_transform(operator: str, transform: str) -> None:
    """Refuse a transform: ONNX specifies it for a single target, and ONNX Runtime ignores it."""
    if transform != "NONE":
        raise ModelNotSupportedError(
            f"ONNX model: {operator}: post_transform {transform} is not supported"
        )


def _aggregated(score: Score, aggregate: str) -> Score:
    if aggregate not in ("SUM", "AVERAGE"):
        raise ModelNotSupportedError(f"ONNX model: {score.operator}: aggregate {aggregate}")
    assert score.nodes is not None
    if aggregate == "AVERAGE":
        mean = score.nodes.value / np.float64(score.nodes.tree_start.size - 1)
        score = replace(score, nodes=replace(score.nodes, value=mean))
    return score


def _with_link(score: Score, transform: str) -> Score:
    if transform not in LINKS:
        problem = f"post_transform {transform} is not supported"
        raise ModelNotSupportedError(f"ONNX model: {score.operator}: {problem}")
    return replace(score, link=LINKS[transform])


def _linear_regressor(attributes: Attributes, inputs: list[Any]) -> Score | Unknown:
    if not isinstance(inputs[0], Columns):
        return Unknown("LinearRegressor of computed values")
    _require_one_output("LinearRegressor", int(attributes.get("targets", 1)))
    intercept = _only_number("LinearRegressor", "intercepts", attributes.get("intercepts", 0.0))
    _refuse_transform("LinearRegressor", attributes.get("post_transform", "NONE"))
    return linear_score("LinearRegressor", inputs[0], attributes["coefficients"], intercept)


def _linear_classifier(attributes: Attributes, inputs: list[Any]) -> Score | Unknown:
    """Return the second class's score, of which skl2onnx writes the first class's as negative."""
    if not isinstance(inputs[0], Columns):
        return Unknown("LinearClassifier of computed values")
    _require_two_classes("LinearClassifier", attributes)
    slopes = np.asarray(attributes["coefficients"]).reshape(2, -1)
    intercepts = np.asarray(attributes.get("intercepts", (0.0, 0.0)))
    if not np.array_equal(slopes[0], -slopes[1]) or intercepts[0] != -intercepts[1]:
        raise ModelNotSupportedError("ONNX model: LinearClassifier of two unrelated scores")
    score = linear_score("LinearClassifier", inputs[0], slopes[1], float(intercepts[1]))
    return _with_link(score, attributes.get("post_transform", "NONE"))


def _mat_mul(attributes: Attributes, inputs: list[Any]) -> Score | Unknown:
    return _product("MatMul", inputs[0], inputs[1])


def _gemm(attributes: Attributes, inputs: list[Any]) -> Score | Unknown:
    if attributes.get("transA"):
        return Unknown("Gemm with transA")
    score = _product("Gemm", inputs[0], inputs[1])
    if isinstance(score, Unknown):
        return score
    score = score.scaled(np.array([attributes.get("alpha", 1.0)]))
    if len(inputs) > 2 and inputs[2] is not None:
        constant = np.asarray(inputs[2], np.float64).ravel()
        score = score.shifted(constant * attributes.get("beta", 1.0))
    return score


def _product(operator: str, columns: Any, matrix: Any) -> Score | Unknown:
    if not isinstance(columns, Columns) or not isinstance(matrix, np.ndarray):
        return Unknown(f"{operator} of computed values")
    several = matrix.ndim == 2 and 1 not in matrix.shape
    if several or (columns.index is not None and matrix.size != columns.index.size):
        return Unknown(f"{operator} with several outputs")
    return linear_score(operator, columns, matrix, 0.0)


def _tree_columns(operator: str, inputs: list[Any]) -> Columns:
    if not isinstance(inputs[0], Columns) or not inputs[0].is_unchanged:
        raise ModelNotSupportedError(f"ONNX model: {operator} of computed values")
    return inputs[0]


def _require_one_output(operator: str, outputs: int) -> None:
    if outputs != 1:
        raise ModelNotSupportedError(f"ONNX model: {operator}: {outputs} outputs, one is taken")


def _labels(attributes: Attributes) -> list[str]:
    names = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
    labels = next((attributes[name] for name in names if name in attributes), ())
    return [str(label) for label in labels]


def _require_two_classes(operator: str, attributes: Attributes) -> None:
    labels = _labels(attributes)
    if len(labels) != 2:
        raise ModelNotSupportedError(f"ONNX model: {operator}: {len(labels)} classes, two taken")


def _base(attributes: Attributes) -> float:
    base = np.asarray(attributes.get("base_values_as_tensor", attributes.get("base_values", 0.0)))
    return _only_number("a tree ensemble", "base_values", base)


def _only_number(operator: str, name: str, values: Any) -> float:
    numbers = np.ravel(values)
    if numbers.size > 1:
        raise ModelFormatError(f"ONNX model: {operator}: {numbers.size} {name}, one output")
    return float(numbers[0]) if numbers.size else 0.0


MODELS: dict[str, Callable[[Attributes, list[Any]], Score | Unknown]] = {
    "TreeEnsembleRegressor": _tree_regressor,
    "TreeEnsembleClassifier": _tree_classifier,
    "TreeEnsemble": _tree_ensemble,
    "LinearRegressor": _linear_regressor,
    "LinearClassifier": _linear_classifier,
    "MatMul": _mat_mul,
    "Gemm": _gemm,
}
