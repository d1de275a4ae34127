"""Import a model from ONNX: one tree ensemble or linear model, and what skl2onnx writes around it.

The graph is read symbolically: columns of the inputs pass through casts, scalings and reshapes into
one model, whose score may then be shifted and put through an inverse link. An unsupported node is
refused by name, but only when the model's output depends on it.
Scores agree with ONNX Runtime's to the precision of its sums, which is float32 for most files.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.catboost_losses import PRODUCER, catboost_loss
from kyros_spark.model.importers.imported import Imported
from kyros_spark.model.importers.onnx_operators import DOUBLE, INTEGERS, OPERATORS, SINGLE, Value
from kyros_spark.model.importers.onnx_tensors import tensor_array
from kyros_spark.model.importers.onnx_values import Columns, Score, Unknown
from kyros_spark.model.importers.onnx_wire import read_message
from kyros_spark.model.json_text import read_json
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
    for noun in ("initializer", "input", "output"):
        _once(graph.get(noun, ()), f"{noun}s")
    constants = {tensor["name"]: tensor_array(tensor) for tensor in graph.get("initializer", ())}
    inputs = [entry for entry in graph["input"] if entry["name"] not in constants]
    values: dict[str, Value] = {"": None, **constants}
    names = _add_inputs(values, inputs)
    for node in graph["node"]:
        _add_outputs(values, node)
    score = _output([values.get(entry["name"]) for entry in graph["output"]])
    n_features = sum(_width(entry) or 0 for entry in inputs) or score.min_features
    entries = [(entry["key"], entry["value"]) for entry in model.get("metadata_props", ())]
    metadata = dict(entries)
    if len(metadata) != len(entries):
        raise ModelFormatError("ONNX model: two metadata entries of one name")
    if "feature_names" in metadata:
        names = tuple(name.strip() for name in metadata["feature_names"].split(","))
        if len(names) != n_features:
            raise ModelFormatError(
                f"ONNX model: {len(names)} feature_names for inputs of {n_features} columns"
            )
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
    entries = read_json(metadata["kyros_features"], "ONNX model: kyros_features")
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
    attributes = _attributes(node)
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
        if name and name in values:
            raise ModelFormatError(f"ONNX model: {name[:100]} is computed twice")
        is_label = classifies and number == 0
        values[name] = Unknown("a label, not a score") if is_label else result


# An attribute's type -> where its value lies, as onnx.proto numbers and names them
ATTRIBUTE_TYPES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}


def _attributes(node: dict[str, Any]) -> dict[str, Any]:
    """Return a node's attributes by name; a file leaves empty lists out.

    Raises ModelFormatError for a name that occurs twice, or a value that is not of the stated type.
    """
    attributes: dict[str, Any] = {}
    for entry in node.get("attribute", ()):
        name, filled = entry["name"], [k for k in ATTRIBUTE_TYPES.values() if k in entry]
        stated = ATTRIBUTE_TYPES.get(entry.get("type", 0))
        if name in attributes or len(filled) > 1 or (stated and filled and filled != [stated]):
            raise ModelFormatError(
                f"ONNX model: attribute {name[:100]}: expected one value of its type, "
                f"found {filled}"
            )
        value: Any = entry[filled[0]] if filled else ()
        attributes[name] = tensor_array(value) if filled == ["t"] else value
    return attributes


def _once(entries: Iterable[dict[str, Any]], noun: str) -> None:
    """Refuse a name that stands for two things."""
    names = [entry["name"] for entry in entries]
    if len({*names}) != len(names):
        raise ModelFormatError(f"ONNX model: two {noun} of one name")
