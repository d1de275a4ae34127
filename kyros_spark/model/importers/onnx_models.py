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
POST_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")  # opset 5's numbers
MAX_CLASSES = 10_000
LINKS: dict[str, Link] = {"NONE": "identity", "LOGISTIC": "logit"}


def _tree_regressor(attributes: Attributes, given: list[Any]) -> Score:
    columns = _tree_columns("TreeEnsembleRegressor", given)
    _one_output("TreeEnsembleRegressor", int(attributes.get("n_targets", 1)))
    nodes = nodes_of_ensemble(attributes, "target", columns.single)
    score = Score("TreeEnsembleRegressor", columns, _base(attributes), nodes=nodes)
    _no_transform(score.operator, attributes.get("post_transform", "NONE"))
    return _tree_score(score, attributes.get("aggregate_function", "SUM"))


def _tree_ensemble(attributes: Attributes, given: list[Any]) -> Score:
    columns = _tree_columns("TreeEnsemble", given)
    _one_output("TreeEnsemble", int(attributes.get("n_targets", 1)))
    if np.any(attributes.get("leaf_targetids", 0)):
        raise ModelFormatError("ONNX model: TreeEnsemble: a leaf of another target than 0")
    nodes = nodes_of_opset_5(attributes, columns.single)
    aggregate = ("AVERAGE", "SUM", "MIN", "MAX")[int(attributes.get("aggregate_function", 1))]
    _no_transform("TreeEnsemble", POST_TRANSFORMS[int(attributes.get("post_transform", 0))])
    return _tree_score(Score("TreeEnsemble", columns, 0.0, nodes=nodes), aggregate)


def _tree_classifier(attributes: Attributes, given: list[Any]) -> Score:
    """Return the second of two classes' score, or the scores of more.

    The second class's weights may be the only ones, or one of two sets.
    """
    operator = "TreeEnsembleClassifier"
    columns = _tree_columns(operator, given)
    labels = _labels(attributes)
    if len(labels) > 2:
        return _many_classes(attributes, columns, labels)
    _two_classes(operator, attributes)
    classes = np.asarray(attributes["class_ids"])
    both = np.unique(classes).size == 2
    base = np.asarray(attributes.get("base_values_as_tensor", attributes.get("base_values", ())))
    transform = attributes.get("post_transform", "NONE")
    if both and (base.size not in (0, 2) or transform == "SOFTMAX"):
        raise ModelNotSupportedError(f"ONNX model: {operator}: {transform} over two classes' sums")
    chosen = {
        name: np.asarray(values)[classes == 1] if both and name.startswith("class_") else values
        for name, values in attributes.items()
    }
    nodes = nodes_of_ensemble(chosen, "class", columns.single)
    score = Score(operator, columns, float(base[-1]) if base.size else 0.0, nodes=nodes)
    return _transformed(score, transform)


def _many_classes(attributes: Attributes, columns: Columns, labels: list[str]) -> Score:
    operator, count = "TreeEnsembleClassifier", len(labels)
    if count > MAX_CLASSES:
        raise ModelNotSupportedError(f"ONNX model: {operator}: {count} classes, the most is 10000")
    base = np.asarray(attributes.get("base_values_as_tensor", attributes.get("base_values", ())))
    if base.size not in (0, count):
        raise ModelFormatError(f"ONNX model: {operator}: {base.size} base values, {count} classes")
    transform = attributes.get("post_transform", "NONE")
    if transform not in LINKS and transform != "SOFTMAX":
        told = f"post_transform {transform} is not supported"
        raise ModelNotSupportedError(f"ONNX model: {operator}: {told}")
    start = base if base.size else np.zeros(count)
    return Score(
        operator,
        columns,
        0.0,
        link="softmax" if transform == "SOFTMAX" else LINKS[transform],
        nodes=nodes_of_ensemble(attributes, "class", columns.single, count),
        outputs=tuple(
            ModelOutput(label=label, intercept=float(one))
            for label, one in zip(labels, start, strict=True)
        ),
    )


def _no_transform(operator: str, transform: str) -> None:
    """Refuse what ONNX says and ONNX Runtime does not do for a single target."""
    if transform != "NONE":
        raise ModelNotSupportedError(
            f"ONNX model: {operator}: post_transform {transform} is not supported"
        )


def _tree_score(score: Score, aggregate: str) -> Score:
    if aggregate not in ("SUM", "AVERAGE"):
        raise ModelNotSupportedError(f"ONNX model: {score.operator}: aggregate {aggregate}")
    assert score.nodes is not None
    if aggregate == "AVERAGE":
        mean = score.nodes.value / np.float64(score.nodes.tree_start.size - 1)
        score = replace(score, nodes=replace(score.nodes, value=mean))
    return score


def _transformed(score: Score, transform: str) -> Score:
    if transform not in LINKS:
        told = f"post_transform {transform} is not supported"
        raise ModelNotSupportedError(f"ONNX model: {score.operator}: {told}")
    return replace(score, link=LINKS[transform])


def _linear_regressor(attributes: Attributes, given: list[Any]) -> Score | Unknown:
    if not isinstance(given[0], Columns):
        return Unknown("LinearRegressor of computed values")
    _one_output("LinearRegressor", int(attributes.get("targets", 1)))
    intercept = float(np.sum(attributes.get("intercepts", 0.0)))
    score = linear_score("LinearRegressor", given[0], attributes["coefficients"], intercept)
    return _transformed(score, attributes.get("post_transform", "NONE"))


def _linear_classifier(attributes: Attributes, given: list[Any]) -> Score | Unknown:
    """Return the second class's score; skl2onnx writes the first class's as its negative."""
    if not isinstance(given[0], Columns):
        return Unknown("LinearClassifier of computed values")
    _two_classes("LinearClassifier", attributes)
    slopes = np.asarray(attributes["coefficients"]).reshape(2, -1)
    intercepts = np.asarray(attributes.get("intercepts", (0.0, 0.0)))
    if not np.array_equal(slopes[0], -slopes[1]) or intercepts[0] != -intercepts[1]:
        raise ModelNotSupportedError("ONNX model: LinearClassifier of two unrelated scores")
    score = linear_score("LinearClassifier", given[0], slopes[1], float(intercepts[1]))
    return _transformed(score, attributes.get("post_transform", "NONE"))


def _mat_mul(attributes: Attributes, given: list[Any]) -> Score | Unknown:
    return _product("MatMul", given[0], given[1])


def _gemm(attributes: Attributes, given: list[Any]) -> Score | Unknown:
    if attributes.get("transA"):
        return Unknown("Gemm with transA")
    score = _product("Gemm", given[0], given[1])
    if isinstance(score, Unknown):
        return score
    score = score.scaled(np.array([attributes.get("alpha", 1.0)]))
    if len(given) > 2 and given[2] is not None:
        score = score.moved(np.asarray(given[2], np.float64).ravel() * attributes.get("beta", 1.0))
    return score


def _product(operator: str, columns: Any, matrix: Any) -> Score | Unknown:
    if not isinstance(columns, Columns) or not isinstance(matrix, np.ndarray):
        return Unknown(f"{operator} of computed values")
    if columns.index is not None and matrix.size != columns.index.size:
        return Unknown(f"{operator} with several outputs")
    return linear_score(operator, columns, matrix, 0.0)


def _tree_columns(operator: str, given: list[Any]) -> Columns:
    if not isinstance(given[0], Columns) or not given[0].as_they_come:
        raise ModelNotSupportedError(f"ONNX model: {operator} of computed values")
    return given[0]


def _one_output(operator: str, outputs: int) -> None:
    if outputs != 1:
        raise ModelNotSupportedError(f"ONNX model: {operator}: {outputs} outputs, one is taken")


def _labels(attributes: Attributes) -> list[str]:
    names = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
    return [
        str(one) for one in next((attributes[name] for name in names if name in attributes), ())
    ]


def _two_classes(operator: str, attributes: Attributes) -> None:
    labels = _labels(attributes)
    if len(labels) != 2:
        raise ModelNotSupportedError(f"ONNX model: {operator}: {len(labels)} classes, two taken")


def _base(attributes: Attributes) -> float:
    base = np.asarray(attributes.get("base_values_as_tensor", attributes.get("base_values", 0.0)))
    return float(base.sum())


MODELS: dict[str, Callable[[Attributes, list[Any]], Score | Unknown]] = {
    "TreeEnsembleRegressor": _tree_regressor,
    "TreeEnsembleClassifier": _tree_classifier,
    "TreeEnsemble": _tree_ensemble,
    "LinearRegressor": _linear_regressor,
    "LinearClassifier": _linear_classifier,
    "MatMul": _mat_mul,
    "Gemm": _gemm,
}
