"""Read the ONNX operators around a model: those that change columns or a score, or only a shape."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kyros_spark.model.importers.onnx_models import MODELS
from kyros_spark.model.importers.onnx_values import Codes, Columns, Score, Unknown

SINGLE, DOUBLE, INTEGERS = 1, 11, (2, 3, 6, 7)

Value = Any  # Columns, Score, Codes, Unknown or a constant array
Attributes = Mapping[str, Any]
Operator = Callable[[Attributes, list[Value]], Value]


def _constant(attributes: Attributes, inputs: list[Value]) -> Value:
    return attributes.get("value", Unknown("a Constant of another form"))


def _identity(attributes: Attributes, inputs: list[Value]) -> Value:
    return inputs[0]


def _reshape(attributes: Attributes, inputs: list[Value]) -> Value:
    """Keep what stays one row per row: a score, or columns whose width the shape repeats.

    In a shape, 0 repeats the input's own size and -1 stands for what is left.
    """
    value = inputs[0]
    shape = inputs[1] if len(inputs) > 1 else attributes.get("shape")
    if isinstance(value, Score) and not value.outputs:
        return value
    if not isinstance(value, Columns | Score) or not isinstance(shape, np.ndarray):
        return Unknown("Reshape of this form is not supported")
    sizes = tuple(np.ravel(shape).tolist())
    width = len(value.outputs) if isinstance(value, Score) else value.width
    if sizes in ((0, 0), (0, -1)) or (width is not None and sizes in ((-1, width), (0, width))):
        return value
    if sizes == (-1,) and width == 1:
        return value
    return Unknown(f"Reshape of {width or 'unknown'} columns to {list(sizes)} is not supported")


def _flatten(attributes: Attributes, inputs: list[Value]) -> Value:
    axis = int(attributes.get("axis", 1))
    return inputs[0] if axis in (1, -1) else Unknown(f"Flatten along axis {axis} is not supported")


def _one_column(operator: str) -> Operator:
    """Keep the values of an operator that adds or drops an axis of size 1."""

    def keep(attributes: Attributes, inputs: list[Value]) -> Value:
        value = inputs[0]
        if isinstance(value, Columns) and value.width != 1:
            return Unknown(f"{operator} of several columns is not supported")
        return value

    return keep


def _zip_map(attributes: Attributes, inputs: list[Value]) -> Value:
    return inputs[0] if isinstance(inputs[0], Score) else Unknown("ZipMap of columns")


def _normalizer(attributes: Attributes, inputs: list[Value]) -> Value:
    """Keep probabilities that add up to 1: only these does the norm L1 leave as they are."""
    norm, value = attributes.get("norm", "MAX"), inputs[0]
    if isinstance(value, Score) and norm == "L1" and value.adds_up_to_1:
        return value
    of = "columns" if isinstance(value, Columns) else "scores that need not add up to 1"
    return Unknown(f"operator Normalizer (norm {norm}) of {of} is not supported")


def _cast(attributes: Attributes, inputs: list[Value]) -> Value:
    value, to = inputs[0], int(attributes["to"])
    if isinstance(value, Columns) and to in INTEGERS:
        if value.width != 1 or not value.is_unchanged:
            return Unknown(f"Cast to type {to}")
        return Codes(int(value.positions()[0]))
    if isinstance(value, Columns) and to in (SINGLE, DOUBLE):
        return value.cast(single=to == SINGLE)
    if isinstance(value, Score) and to in (SINGLE, DOUBLE):
        return value
    if isinstance(value, np.ndarray) and to in (SINGLE, DOUBLE):
        return value.astype(np.float32 if to == SINGLE else np.float64)
    return Unknown(f"Cast to type {to}")


def _gather(attributes: Attributes, inputs: list[Value]) -> Value:
    """Take columns of an input, or look up a table by a column of codes."""
    axis, (value, index) = int(attributes.get("axis", 0)), inputs
    if isinstance(value, Columns) and isinstance(index, np.ndarray) and axis == 1:
        return value.selected(index.ravel())
    if isinstance(value, np.ndarray) and isinstance(index, Codes) and axis == 0:
        column = Columns(np.zeros(0, np.int64), False, np.zeros(0), np.ones(0))
        tables = {index.column: value.astype(np.float64).ravel()}
        return Score("Gather", column, 0.0, tables=tables)
    return Unknown("Gather of this form is not supported")


def _concat(attributes: Attributes, inputs: list[Value]) -> Value:
    if not all(isinstance(part, Columns) for part in inputs):
        return Unknown("Concat of computed values is not supported")
    if attributes.get("axis") not in (1, -1):
        return Unknown(f"Concat along axis {attributes.get('axis')}")
    return Columns.joined(inputs)


def _scaler(attributes: Attributes, inputs: list[Value]) -> Value:
    if not isinstance(inputs[0], Columns):
        return Unknown("Scaler of computed values is not supported")
    shifted = inputs[0].shifted(-np.asarray(attributes["offset"]))
    return shifted.scaled(attributes["scale"])


def _through(link: Any) -> Operator:
    """Put a score through an inverse link."""

    def respond(attributes: Attributes, inputs: list[Value]) -> Value:
        value = inputs[0]
        return value.through(link) if isinstance(value, Score) else Unknown(f"inverse {link} link")

    return respond


def _arithmetic(operator: str, change: Callable[[Any, np.ndarray], Value]) -> Operator:
    """Shift or scale columns or a score by a constant; of Add and Mul, either operand may be it."""

    def compute(attributes: Attributes, inputs: list[Value]) -> Value:
        commutes = operator in ("Add", "Mul") and isinstance(inputs[0], np.ndarray)
        value, constant = inputs[::-1] if commutes else inputs
        if operator == "Add" and isinstance(value, Score) and isinstance(constant, Score):
            return value.plus(constant)
        if not isinstance(value, Columns | Score) or not isinstance(constant, np.ndarray):
            return Unknown(f"{operator} of two computed values is not supported")
        if operator == "Div" and constant.dtype.kind in "iu":
            return Unknown("Div of whole numbers, which drops the remainder, is not supported")
        if constant.size > 1 and constant.size != constant.shape[-1]:
            return Unknown(f"{operator} with a constant per row is not supported")
        return change(value, constant.astype(np.float64).ravel())

    return compute


OPERATORS: dict[str, Operator] = {
    **MODELS,
    "Constant": _constant,
    "Identity": _identity,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _one_column("Squeeze"),
    "Unsqueeze": _one_column("Unsqueeze"),
    "ZipMap": _zip_map,
    "Normalizer": _normalizer,
    "Cast": _cast,
    "Gather": _gather,
    "Concat": _concat,
    "Scaler": _scaler,
    "Exp": _through("log"),
    "Sigmoid": _through("logit"),
    "Add": _arithmetic("Add", lambda value, constant: value.shifted(constant)),
    "Sub": _arithmetic("Sub", lambda value, constant: value.shifted(-constant)),
    "Mul": _arithmetic("Mul", lambda value, constant: value.scaled(constant)),
    "Div": _arithmetic("Div", lambda value, constant: value.scaled(1.0 / constant)),
}
