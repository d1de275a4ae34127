"""Import a model from ONNX: one tree ensemble or linear model, and what skl2onnx writes around it.

The graph is read symbolically: columns of the inputs pass through casts, scalings and reshapes into
one model, whose score may then be shifted and put through an inverse link. A node that is not known
here is refused by its name, but only when the model's output depends on it.
Scores agree with ONNX Runtime's to the precision of its sums: float32 for most files.
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
# ONNX knows no family, only what is done to the score.
FAMILIES: dict[Link, Family] = {"identity": "gaussian", "log": "poisson", "logit": "binomial"}
MANY: Family = "multinomial"

Value = Any  # Columns, Score, Unknown or a constant array


def import_onnx(data: bytes) -> Imported:
    """Import a regressor, or a classifier: of two classes the second one's probability.

    Raises ModelFormatError for a damaged file, ModelNotSupportedError naming the operator or the
    setting that the engine does not do.
    """
    try:
        return _import(read_message(data))
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelFormatError(f"ONNX model: {type(error).__name__} {error}") from error


def _import(model: dict[str, Any]) -> Imported:
    graph = model["graph"]
    constants = {one["name"]: tensor_array(one) for one in graph.get("initializer", ())}
    inputs = [one for one in graph["input"] if one["name"] not in constants]
    values: dict[str, Value] = {"": None, **constants}
    names = _add_inputs(values, inputs)
    for node in graph["node"]:
        _add_outputs(values, node)
    score = _output([values.get(one["name"]) for one in graph["output"]])
    n_features = sum(_width(one) or 0 for one in inputs) or score.least_features
    noted = {one["key"]: one["value"] for one in model.get("metadata_props", ())}
    if "feature_names" in noted:
        names = tuple(noted["feature_names"].replace(" ", "").split(","))
    return Imported(
        kind=score.kind,
        library=f"onnx ({model.get('producer_name', 'unknown')})",
        version=model.get("producer_version", ""),
        objective=score.operator,
        family=MANY if score.outputs else noted.get("kyros_family", FAMILIES[score.link]),
        link=score.link,
        intercept=score.intercept,
        feature_names=names,
        n_features=n_features,
        arrays=score.arrays(n_features),
        outputs=score.outputs,
        rebalance=score.factor,
        large_loss_load=score.load,
        features=_own_features(noted, n_features),
    )


def _own_features(noted: Mapping[str, str], count: int) -> tuple[Feature, ...]:
    """Return the features that an export of ours notes in the file, levels and all; else none."""
    if "kyros_features" not in noted:
        return ()
    told = json.loads(noted["kyros_features"])
    if not isinstance(told, list) or len(told) != count:
        raise ModelFormatError(f"ONNX model: kyros_features: expected a list of {count}")
    return tuple(Feature.model_validate(one) for one in told)


def _add_inputs(values: dict[str, Value], inputs: list[dict[str, Any]]) -> tuple[str, ...]:
    """Number the inputs' columns; return their names where every input is one column."""
    first = 0
    for one in inputs:
        kind = one["type"]["tensor_type"]["elem_type"]
        if kind not in (SINGLE, DOUBLE, *INTEGERS):
            raise ModelNotSupportedError(f"ONNX model: input {one['name']} of type {kind}")
        width = _width(one)
        if width is None and len(inputs) > 1:
            raise ModelNotSupportedError(f"ONNX model: input {one['name']} has no width")
        values[one["name"]] = Columns.of_input(first, width, single=kind == SINGLE)
        first += width or 0
    return tuple(one["name"] for one in inputs) if first == len(inputs) else ()


def _width(value: dict[str, Any]) -> int | None:
    """Return an input's number of columns; None when the file leaves it open."""
    dims = value["type"]["tensor_type"].get("shape", {}).get("dim", ())
    if len(dims) > 2:
        raise ModelNotSupportedError(f"ONNX model: input {value['name']} has {len(dims)} axes")
    width = dims[1].get("dim_value") if len(dims) == 2 else 1
    if width is not None and not 0 < width <= MAX_FEATURES:
        found = f"{width} columns, the engine takes {MAX_FEATURES}"
        raise ModelNotSupportedError(f"ONNX model: input {value['name']} has {found}")
    return width


def _output(values: list[Value]) -> Score:
    scores = [value for value in values if isinstance(value, Score)]
    if len(scores) == 1:
        return scores[0]
    unknown = sorted({value.why for value in values if isinstance(value, Unknown)})
    told = "; ".join(unknown) if unknown and not scores else f"{len(scores)} scores as outputs"
    raise ModelNotSupportedError(f"ONNX model: {told}")


def _add_outputs(values: dict[str, Value], node: dict[str, Any]) -> None:
    """Work out a node; one that is not known leaves a value that only the refusal needs."""
    operator, outputs = node["op_type"], node.get("output", [])
    given = [values.get(name) for name in node.get("input", ())]
    attributes = {one["name"]: _attribute(one) for one in node.get("attribute", ())}
    unknown = next((value for value in given if isinstance(value, Unknown)), None)
    if unknown is not None:
        found: Value = unknown
    elif operator in MODELS:
        found = MODELS[operator](attributes, given)
    elif operator == "Constant":
        found = attributes.get("value", Unknown("a Constant of another form"))
    else:
        found = _passed(operator, attributes, given)
    classifies = operator in ("TreeEnsembleClassifier", "LinearClassifier")
    for number, name in enumerate(outputs):
        is_label = classifies and number == 0
        values[name] = Unknown("a label, not a score") if is_label else found


def _attribute(one: dict[str, Any]) -> Any:
    """Return an attribute's value; an empty list is left out of the file altogether."""
    if "t" in one:
        return tensor_array(one["t"])
    return next(
        (one[key] for key in ("ints", "floats", "strings", "f", "i", "s") if key in one), ()
    )


def _passed(operator: str, attributes: Mapping[str, Any], given: list[Value]) -> Value:
    value = given[0] if given else None
    if operator in SAME:
        return value
    if operator == "Cast":
        return _cast(value, int(attributes["to"]))
    if operator == "Gather" and len(given) == 2:
        return _gathered(int(attributes.get("axis", 0)), *given)
    if operator == "Concat" and all(isinstance(one, Columns) for one in given):
        if attributes.get("axis") not in (1, -1):
            return Unknown(f"Concat along axis {attributes.get('axis')}")
        return Columns.joined(given)
    if operator == "Scaler" and isinstance(value, Columns):
        return value.moved(-np.asarray(attributes["offset"])).scaled(attributes["scale"])
    if operator in ARITHMETIC and len(given) == 2:
        return _arithmetic(operator, given)
    if isinstance(value, Score) and operator in ("Exp", "Sigmoid"):
        return value.through("log" if operator == "Exp" else "logit")
    return Unknown(f"operator {operator} is not supported here")


def _gathered(axis: int, value: Value, index: Value) -> Value:
    """Take columns of an input, or look up a table by a column of codes."""
    if isinstance(value, Columns) and isinstance(index, np.ndarray) and axis == 1:
        return value.chosen(index.ravel())
    if isinstance(value, np.ndarray) and isinstance(index, Codes) and axis == 0:
        column = Columns(np.zeros(0, np.int64), False, np.zeros(0), np.ones(0))
        tables = {index.column: value.astype(np.float64).ravel()}
        return Score("Gather", column, 0.0, tables=tables)
    return Unknown("Gather of this form is not supported")


def _cast(value: Value, to: int) -> Value:
    if isinstance(value, Columns) and to in INTEGERS:
        one = value.index is not None and value.index.size == 1 and value.as_they_come
        return Codes(int(value.positions()[0])) if one else Unknown(f"Cast to type {to}")
    if isinstance(value, Columns) and to in (SINGLE, DOUBLE):
        return value.cast(single=to == SINGLE)
    if isinstance(value, Score) and to in (SINGLE, DOUBLE):
        return value
    return value if isinstance(value, np.ndarray) else Unknown(f"Cast to type {to}")


ARITHMETIC: dict[str, Callable[[Any, np.ndarray], Any]] = {
    "Add": lambda value, constant: value.moved(constant),
    "Sub": lambda value, constant: value.moved(-constant),
    "Mul": lambda value, constant: value.scaled(constant),
    "Div": lambda value, constant: value.scaled(1.0 / constant),
}


def _arithmetic(operator: str, given: list[Value]) -> Value:
    """Shift or scale columns or a score by a constant, on whichever side it stands."""
    if operator in ("Add", "Mul") and isinstance(given[0], np.ndarray):
        given = given[::-1]
    value, constant = given
    if operator == "Add" and isinstance(value, Score) and isinstance(constant, Score):
        return value.plus(constant)
    if not isinstance(value, Columns | Score) or not isinstance(constant, np.ndarray):
        return Unknown(f"{operator} of two computed values is not supported")
    return ARITHMETIC[operator](value, constant.astype(np.float64).ravel())
