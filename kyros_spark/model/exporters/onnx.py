"""Write a model as ONNX: one input of all features, the sum, the inverse link, rebalance and load.

The input has one column per feature and holds what the engine's scorer takes: numbers (NaN where
missing) and level codes. Trees keep the precision that they compare and sum in: float32 trees
become a TreeEnsembleRegressor, float64 trees a TreeEnsemble of ai.onnx.ml 5, the first version that
compares in float64. The features and their levels are in the file's metadata.
Source: ONNX operator specifications.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from kyros_spark.errors import ModelNotSupportedError, PlatformError
from kyros_spark.model.artefact import Model
from kyros_spark.model.exporters.onnx_trees import tree_attributes, tree_attributes_of_opset_5
from kyros_spark.model.manifest import Manifest

OPSET, IR_VERSION = 17, 8  # of ai.onnx and of the file; ONNX Runtime 1.14 and later reads both
INPUT, OUTPUT = "features", "prediction"
_INVERSE = {"identity": None, "log": "Exp", "logit": "Sigmoid"}


def export_onnx(model: Model, version: str) -> tuple[bytes, dict[str, int]]:
    """Return the bytes of the ONNX file, and the operator sets that it needs with their versions.

    version  this package's version, noted as the file's producer

    Raises PlatformError without the onnx package, ModelNotSupportedError for what ONNX or its
    runtime does not do: several outputs, splits by categories, composites.
    """
    try:
        from onnx import helper
    except ImportError as error:
        raise PlatformError(
            f"export needs onnx and onnxruntime ({error}); pip install 'kyros-spark[onnx]'"
        ) from error
    manifest = model.manifest
    _check(manifest, model.arrays)
    graph = _Graph()
    if manifest.kind == "trees":
        score, sets = _trees(graph, model)
    else:
        score, sets = _tables(graph, model), {}
    _respond(graph, manifest, score)
    single = graph.single
    width = len(manifest.features)
    opsets = {"": OPSET, **sets}
    onnx_model = helper.make_model(
        helper.make_graph(
            [helper.make_node(*args, **attributes) for args, attributes in graph.nodes],
            manifest.name,
            [helper.make_tensor_value_info(INPUT, 1 if single else 11, ["rows", width])],
            [helper.make_tensor_value_info(OUTPUT, 11, ["rows", 1])],
            graph.constants,
        ),
        producer_name="kyros-spark",
        producer_version=version,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid(domain, number) for domain, number in opsets.items()],
    )
    helper.set_model_props(onnx_model, _metadata(manifest))
    return onnx_model.SerializeToString(), {domain or "ai.onnx": n for domain, n in opsets.items()}


class _Graph:
    """The graph's nodes and constants, in the order of their computation.

    single  whether the input is float32; it is float64 otherwise
    """

    def __init__(self) -> None:
        self.nodes: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.constants: list[Any] = []
        self.single = False

    def constant(self, values: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(((operator, list(inputs), [output]), attributes))
        return output

    def apply(self, operator: str, value: str, operand: float, neutral: float) -> str:
        """Apply an operator with a constant, unless that is neutral and changes nothing."""
        if operand == neutral:
            return value
        return self.add(operator, value, self.constant(np.array([operand])))


def _check(manifest: Manifest, arrays: dict[str, np.ndarray]) -> None:
    reason = ""
    if manifest.kind == "composite":
        parts = ", ".join(f"{part.name}@{part.version}" for part in manifest.parts)
        reason = f"a composite: export its parts, {parts}"
    elif manifest.outputs:
        reason = f"{len(manifest.outputs)} outputs, where the export writes one"
    elif manifest.by:
        reason = (
            f"segments by {', '.join(manifest.by)}, each with coefficients of its own; export a "
            "model without `by`"
        )
    elif "set_feature" in arrays:
        reason = "splits by categories, which ONNX Runtime's trees compare as numbers"
    if reason:
        raise ModelNotSupportedError(f"export: model {manifest.name} is or has {reason}")


def _trees(graph: _Graph, model: Model) -> tuple[str, dict[str, int]]:
    arrays, intercept = model.arrays, model.manifest.intercept
    graph.single = arrays["cut_value"].dtype == np.float32
    if graph.single and arrays["leaf_value"].dtype == np.float32:
        attributes = tree_attributes(arrays, intercept)
        score = graph.add("TreeEnsembleRegressor", INPUT, domain="ai.onnx.ml", **attributes)
        return graph.add("Cast", score, to=11), {"ai.onnx.ml": 3}
    graph.single = False
    attributes = tree_attributes_of_opset_5(arrays)
    score = graph.add("TreeEnsemble", INPUT, domain="ai.onnx.ml", **attributes)
    return graph.apply("Add", score, intercept, 0.0), {"ai.onnx.ml": 5}


def _tables(graph: _Graph, model: Model) -> str:
    """Sum the levels features' coefficients, looked up by code, and the product with the slopes."""
    features, values = model.manifest.features, model.arrays["table_value"]
    starts = model.arrays["table_start"]
    terms = []
    numbers = [n for n, feature in enumerate(features) if feature.kind == "numeric"]
    for number, feature in enumerate(features):
        if feature.kind == "levels":
            index = graph.constant(np.array([number], np.int64))
            column = graph.add("Gather", INPUT, index, axis=1)
            table = graph.constant(np.array(values[starts[number] : starts[number + 1]]))
            terms.append(graph.add("Gather", table, graph.add("Cast", column, to=7), axis=0))
    if numbers or not terms:
        index = graph.constant(np.array(numbers, np.int64))
        slopes = graph.constant(values[starts[numbers]].reshape(-1, 1))
        terms.append(graph.add("MatMul", graph.add("Gather", INPUT, index, axis=1), slopes))
    score = terms[0]
    for term in terms[1:]:
        score = graph.add("Add", score, term)
    return graph.apply("Add", score, model.manifest.intercept, 0.0)


def _respond(graph: _Graph, manifest: Manifest, score: str) -> None:
    score = graph.apply("Div", score, manifest.divisor, 1.0)
    score = graph.apply("Mul", score, manifest.sigmoid, 1.0)
    inverse = _INVERSE[manifest.link]
    response = graph.add(inverse, score) if inverse else score
    response = graph.apply("Mul", response, manifest.rebalance, 1.0)
    response = graph.apply("Add", response, manifest.large_loss_load, 0.0)
    graph.add("Identity", response, output=OUTPUT)


def _metadata(manifest: Manifest) -> dict[str, str]:
    features = [feature.model_dump(mode="json") for feature in manifest.features]
    return {
        "feature_names": ",".join(feature.name for feature in manifest.features),
        "kyros_features": json.dumps(features),
        "kyros_family": manifest.family,
    }
