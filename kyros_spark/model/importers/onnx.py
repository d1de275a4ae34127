"""Import a model from ONNX: one tree ensemble or linear model, and what skl2onnx writes around it.

The graph is read symbolically: columns of the inputs pass through casts, scalings and reshapes into
one model, whose score may then be shifted and put through an inverse link. An unsupported node is
refused by name, but only when the model's output depends on it.
Scores agree with ONNX Runtime's to the precision of its sums, which is float32 for most files.
"""

import json
from collections.abc import Mapping
from typing import Any

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.catboost_losses import PRODUCER, catboost_loss
from kyros_spark.model.importers.imported import Imported
from kyros_spark.model.importers.onnx_operators import DOUBLE, INTEGERS, OPERATORS, SINGLE, Value
from kyros_spark.model.importers.onnx_values import Columns, Score, Unknown
from kyros_spark.model.importers.onnx_wire import read_message, tensor_array
from kyros_spark.model.manifest import Family, Feature, Link
from kyros_spark.model.trees import MAX_FEATURES

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
# ONNX has no family, only an operation on the score.
FAMILIES: dict[Link, Family] = {"identity": "gaussian", "log": "poisson", "logit": "binomial"}
MANY: Family = "multinomial"


def import_onnx(data: bytes, is_link_given: bool = False) -> Imported:
    """Import a regressor or a classifier; one of two classes gives the second one's probability.

    is_link_given  whether the user says which link it is, in place of what the file says or lacks

    Raises ModelFormatError for a damaged file, ModelNotSupportedError naming the operator or the
    setting that the engine does not do, UsageError for a file that needs a link to be given.
    """
    try:
        return _import(read_message(data), is_link_given)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelFormatError(f"ONNX model: {type(error).__name__} {error}") from error


def _import(model: dict[str, Any], is_link_given: bool) -> Imported:
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
        names = tuple(name.strip() for name in metadata["feature_names"].split(","))
    producer, objective, link = model.get("producer_name", "unknown"), score.operator, score.link
    family = MANY if score.outputs else metadata.get("kyros_family", FAMILIES[link])
    if producer == PRODUCER and (link == "identity" or score.outputs):
        objective, family, link = catboost_loss(metadata, is_link_given)
    return Imported(
        kind=score.kind,
        library=f"onnx ({producer})",
        version=model.get("producer_version", ""),
        objective=objective,
        family=family,
        link=link,
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
    is_known = operator in OPERATORS and node.get("domain", "") in DOMAINS
    if unknown is not None:
        result: Value = unknown
    elif is_known and (inputs or operator == "Constant"):
        result = OPERATORS[operator](attributes, inputs)
    else:
        result = Unknown(f"operator {operator} is not supported here")
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
