"""Import a model from ONNX: one tree ensemble or linear model, and what skl2onnx writes around it.

The graph is read symbolically: columns of the inputs pass through casts, scalings and reshapes into
one model, whose score may then be shifted and put through an inverse link. An unsupported node is
refused by name, but only when the model's output depends on it.
Scores agree with ONNX Runtime's to the precision of its sums, which is float32 for most files.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.imported import Imported
from kyros_spark.model.importers.onnx_models import MODELS
from kyros_spark.model.importers.onnx_values import Codes, Columns, Score, Unknown
from kyros_spark.model.importers.onnx_wire import read_message, tensor_array
from kyros_spark.model.manifest import Family, Feature, Link
from kyros_spark.model.trees import MAX_FEATURES

SINGLE, DOUBLE, INTEGERS = 1, 11, (2, 3, 6, 7)
SAME = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "ZipMap", "Normalizer")
# ONNX has no family, only an operation on the score.
FAMILIES: dict[Link, Family] = {"identity": "gaussian", "log": "poisson", "logit": "binomial"}
MANY: Family = "multinomial"

Value = Any  # Columns, Score, Unknown or a constant array


def import_onnx(data: bytes) -> Imported:
    """Import a regressor or a classifier; one of two classes gives the second one's probability.

    Raises ModelFormatError for a damaged file, ModelNotSupportedError naming the operator or the
    setting that the engine does not do.
    """
    try:
        return _import(read_message(data))
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelFormatError(f"ONNX model: {type(error).__name__} {error}") from error


def _import(model: dict[str, Any]) -> Imported:
    graph = model["graph"]
    constants = {tensor["name"]: tensor_array(tensor) for tensor in graph.get("initializer", ())}
    inputs = [entry for entry in graph["input"] if entry["name"] not in constants]
    values: dict[str, Value] = {"": None, **constants}
    names = _add_inputs(values, inputs)
    for node in graph["node"]:
        _add_outputs(values, node)
    score = _output([values.get(entry["name"]) for entry in graph["output"]])
    n_features = sum(_width(entry) or 0 for entry in inputs) or score.min_features
    metadata = {entry["key"]: entry["value"] for entry in model.get("metadata_props", ())}
    if "feature_names" in metadata:
        names = tuple(metadata["feature_names"].replace(" ", "").split(","))
    return Imported(
        kind=score.kind,
        library=f"onnx ({model.get('producer_name', 'unknown')})",
        version=model.get("producer_version", ""),
        objective=score.operator,
        family=MANY if score.outputs else metadata.get("kyros_family", FAMILIES[score.link]),
        link=score.link,
        intercept=score.intercept,
        feature_names=names,
        n_features=n_features,
        arrays=score.arrays(n_features),
        outputs=score.outputs,
        rebalance=score.factor,
        large_loss_load=score.load,
        features=_exported_features(metadata, n_features),
    )


def _exported_features(metadata: Mapping[str, str], count: int) -> tuple[Feature, ...]:
    """Return the features, with their levels, that our own export notes in a file; else none."""
    if "kyros_features" not in metadata:
        return ()
    entries = json.loads(metadata["kyros_features"])
    if not isinstance(entries, list) or len(entries) != count:
        raise ModelFormatError(f"ONNX model: kyros_features: expected a list of {count}")
    return tuple(Feature.model_validate(entry) for entry in entries)


def _add_inputs(values: dict[str, Value], inputs: list[dict[str, Any]]) -> tuple[str, ...]:
    """Number the inputs' columns, and return the inputs' names if every input is one column."""
    first = 0
    for entry in inputs:
        kind = entry["type"]["tensor_type"]["elem_type"]
        if kind not in (SINGLE, DOUBLE, *INTEGERS):
            raise ModelNotSupportedError(f"ONNX model: input {entry['name']} of type {kind}")
        width = _width(entry)
        if width is None and len(inputs) > 1:
            raise ModelNotSupportedError(f"ONNX model: input {entry['name']} has no width")
        values[entry["name"]] = Columns.of_input(first, width, single=kind == SINGLE)
        first += width or 0
    return tuple(entry["name"] for entry in inputs) if first == len(inputs) else ()


def _width(value: dict[str, Any]) -> int | None:
    """Return an input's number of columns, None when the file does not state it."""
    dims = value["type"]["tensor_type"].get("shape", {}).get("dim", ())
    if len(dims) > 2:
        raise ModelNotSupportedError(f"ONNX model: input {value['name']} has {len(dims)} axes")
    width = dims[1].get("dim_value") if len(dims) == 2 else 1
    if width is not None and not 0 < width <= MAX_FEATURES:
        excess = f"{width} columns, the engine takes {MAX_FEATURES}"
        raise ModelNotSupportedError(f"ONNX model: input {value['name']} has {excess}")
    return width


def _output(values: list[Value]) -> Score:
    scores = [value for value in values if isinstance(value, Score)]
    if len(scores) == 1:
        return scores[0]
    unknown = sorted({value.reason for value in values if isinstance(value, Unknown)})
    reason = "; ".join(unknown) if unknown and not scores else f"{len(scores)} scores as outputs"
    raise ModelNotSupportedError(f"ONNX model: {reason}")


def _add_outputs(values: dict[str, Value], node: dict[str, Any]) -> None:
    """Compute a node's outputs; those of an unsupported node are Unknown and carry the reason."""
    operator, outputs = node["op_type"], node.get("output", [])
    inputs = [values.get(name) for name in node.get("input", ())]
    attributes = {entry["name"]: _attribute(entry) for entry in node.get("attribute", ())}
    unknown = next((value for value in inputs if isinstance(value, Unknown)), None)
    if unknown is not None:
        result: Value = unknown
    elif operator in MODELS:
        result = MODELS[operator](attributes, inputs)
    elif operator == "Constant":
        result = attributes.get("value", Unknown("a Constant of another form"))
    else:
        result = _pass_through(operator, attributes, inputs)
    classifies = operator in ("TreeEnsembleClassifier", "LinearClassifier")
    for number, name in enumerate(outputs):
        is_label = classifies and number == 0
        values[name] = Unknown("a label, not a score") if is_label else result


def _attribute(attribute: dict[str, Any]) -> Any:
    """Return an attribute's value; a file leaves empty lists out."""
    if "t" in attribute:
        return tensor_array(attribute["t"])
    keys = ("ints", "floats", "strings", "f", "i", "s")
    return next((attribute[key] for key in keys if key in attribute), ())


def _pass_through(operator: str, attributes: Mapping[str, Any], inputs: list[Value]) -> Value:
    value = inputs[0] if inputs else None
    if operator in SAME:
        return value
    if operator == "Cast":
        return _cast(value, int(attributes["to"]))
    if operator == "Gather" and len(inputs) == 2:
        return _gathered(int(attributes.get("axis", 0)), *inputs)
    if operator == "Concat" and all(isinstance(part, Columns) for part in inputs):
        if attributes.get("axis") not in (1, -1):
            return Unknown(f"Concat along axis {attributes.get('axis')}")
        return Columns.joined(inputs)
    if operator == "Scaler" and isinstance(value, Columns):
        return value.shifted(-np.asarray(attributes["offset"])).scaled(attributes["scale"])
    if operator in ARITHMETIC and len(inputs) == 2:
        return _arithmetic(operator, inputs)
    if isinstance(value, Score) and operator in ("Exp", "Sigmoid"):
        return value.through("log" if operator == "Exp" else "logit")
    return Unknown(f"operator {operator} is not supported here")


def _gathered(axis: int, value: Value, index: Value) -> Value:
    """Take columns of an input, or look up a table by a column of codes."""
    if isinstance(value, Columns) and isinstance(index, np.ndarray) and axis == 1:
        return value.selected(index.ravel())
    if isinstance(value, np.ndarray) and isinstance(index, Codes) and axis == 0:
        column = Columns(np.zeros(0, np.int64), False, np.zeros(0), np.ones(0))
        tables = {index.column: value.astype(np.float64).ravel()}
        return Score("Gather", column, 0.0, tables=tables)
    return Unknown("Gather of this form is not supported")


def _cast(value: Value, to: int) -> Value:
    if isinstance(value, Columns) and to in INTEGERS:
        if value.index is None or value.index.size != 1 or not value.is_unchanged:
            return Unknown(f"Cast to type {to}")
        return Codes(int(value.positions()[0]))
    if isinstance(value, Columns) and to in (SINGLE, DOUBLE):
        return value.cast(single=to == SINGLE)
    if isinstance(value, Score) and to in (SINGLE, DOUBLE):
        return value
    return value if isinstance(value, np.ndarray) else Unknown(f"Cast to type {to}")


ARITHMETIC: dict[str, Callable[[Any, np.ndarray], Any]] = {
    "Add": lambda value, constant: value.shifted(constant),
    "Sub": lambda value, constant: value.shifted(-constant),
    "Mul": lambda value, constant: value.scaled(constant),
    "Div": lambda value, constant: value.scaled(1.0 / constant),
}


def _arithmetic(operator: str, operands: list[Value]) -> Value:
    """Shift or scale columns or a score by a constant; either operand may be the constant."""
    if operator in ("Add", "Mul") and isinstance(operands[0], np.ndarray):
        operands = operands[::-1]
    value, constant = operands
    if operator == "Add" and isinstance(value, Score) and isinstance(constant, Score):
        return value.plus(constant)
    if not isinstance(value, Columns | Score) or not isinstance(constant, np.ndarray):
        return Unknown(f"{operator} of two computed values is not supported")
    return ARITHMETIC[operator](value, constant.astype(np.float64).ravel())
