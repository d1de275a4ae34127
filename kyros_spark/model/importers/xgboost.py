"""Import an XGBoost model from its JSON or UBJSON form (Booster.save_raw, save_model).

What XGBoost means by its numbers, checked against version 3.2 on the CPU: values and thresholds
are float32 and `value < threshold` goes left; scores are summed in float32, tree by tree, starting
from the link of base_score, or from the row's base margin INSTEAD when one is given.
"""

import ctypes
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.ubjson import read_ubjson
from kyros_spark.model.importers.xgboost_categories import category_names
from kyros_spark.model.importers.xgboost_nodes import xgboost_nodes
from kyros_spark.model.manifest import Family, Link, ModelOutput
from kyros_spark.model.outputs import output_starts
from kyros_spark.model.trees import TreeArrays, trees_from_nodes

OBJECTIVES: dict[str, tuple[Family, Link]] = {
    "count:poisson": ("poisson", "log"),
    "reg:gamma": ("gamma", "log"),
    "reg:tweedie": ("tweedie", "log"),
    "reg:squarederror": ("gaussian", "identity"),
    "reg:absoluteerror": ("gaussian", "identity"),
    "reg:pseudohubererror": ("gaussian", "identity"),
    "binary:logistic": ("binomial", "logit"),
    "reg:logistic": ("binomial", "logit"),
    "binary:logitraw": ("binomial", "identity"),
    "multi:softprob": ("multinomial", "softmax"),
    "multi:softmax": ("multinomial", "softmax"),
}

MAX_CLASSES = 10_000


@dataclass(frozen=True)
class XGBoostTrees:
    """An imported booster: its trees and what a manifest needs to know about it.

    intercept  float32 value the sum starts from when a row has no base margin of its own; a model
               fitted with a base margin (an offset) starts from that margin instead, so its
               manifest should say intercept 0
    outputs    the classes, each with its own intercept, and their trees side by side from
               output_start on; empty for a model of one output
    """

    trees: TreeArrays
    intercept: float
    objective: str
    family: Family
    link: Link
    version: str
    feature_names: tuple[str, ...]
    levels: dict[int, tuple[str, ...]]
    outputs: tuple[ModelOutput, ...] = ()
    output_start: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the model file."""
        start = {} if self.output_start is None else {"output_start": self.output_start}
        return self.trees.as_dict() | start


def trees_from_xgboost(raw: bytes | bytearray, iterations: int | None = None) -> XGBoostTrees:
    """Import a booster; `iterations` keeps the first so many rounds.

    By default the rounds up to best_iteration, when early stopping recorded one, else all.
    Raises ModelFormatError for a damaged document, ModelNotSupportedError for what the engine
    does not do: linear boosters, several targets, vectors at leaves, unknown objectives.
    """
    document = _parse(bytes(raw))
    try:
        return _import(document, iterations)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelFormatError(f"XGBoost model: {type(error).__name__} {error}") from error


def _parse(raw: bytes) -> Any:
    start = raw[:2]
    if not start.startswith(b"{"):
        raise ModelFormatError("XGBoost model: neither JSON nor UBJSON (the old binary form?)")
    if start[1:] in (b'"', b" ", b"\n", b"\t", b"\r"):
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ModelFormatError(f"XGBoost model: not JSON: {error}") from None
    return read_ubjson(raw)


def _import(document: dict[str, Any], iterations: int | None) -> XGBoostTrees:
    learner = document["learner"]
    parameters = learner["learner_model_param"]
    objective = learner["objective"]["name"]
    if objective not in OBJECTIVES:
        raise ModelNotSupportedError(f"XGBoost model: objective {objective!r} is not supported")
    family, link = OBJECTIVES[objective]
    classes = _classes(parameters, link)
    model, weights = _booster(learner["gradient_booster"])
    kept = _kept_trees(model, learner.get("attributes", {}), iterations, max(classes, 1))
    if kept == 0:
        raise ModelFormatError("XGBoost model: no trees; it has not been fitted")
    n_features = int(parameters["num_feature"])
    trees, output_start = model["trees"][:kept], None
    order, starts = _by_class(model.get("tree_info", [0] * kept)[:kept], max(classes, 1))
    if order.size != kept:
        raise ModelFormatError(f"XGBoost model: tree_info of {order.size} trees, there are {kept}")
    if classes:
        output_start = starts
        trees = [trees[place] for place in order]
        weights = None if weights is None else weights[order]
    intercepts = _intercepts(parameters["base_score"], objective, max(classes, 1))
    return XGBoostTrees(
        trees=trees_from_nodes(xgboost_nodes(trees, weights), n_features),
        intercept=0.0 if classes else intercepts[0],
        outputs=tuple(ModelOutput(label=str(k), intercept=intercepts[k]) for k in range(classes)),
        output_start=output_start,
        objective=objective,
        family=family,
        link=link,
        version=".".join(str(part) for part in document["version"]),
        feature_names=tuple(learner.get("feature_names", ())),
        levels=category_names(model.get("cats", {})),
    )


def _classes(parameters: dict[str, Any], link: Link) -> int:
    """Return the number of classes, 0 for a model of one output."""
    classes, targets = (int(parameters.get(f"num_{k}", 0)) for k in ("class", "target"))
    if targets > 1 or (classes > 1) != (link == "softmax"):
        told = f"{max(classes, targets)} outputs"
        raise ModelNotSupportedError(f"XGBoost model: {told} that are not classes of one target")
    if classes > MAX_CLASSES:
        raise ModelNotSupportedError(f"XGBoost model: {classes} classes, {MAX_CLASSES} are taken")
    return classes if classes > 1 else 0


def _by_class(tree_info: Any, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the trees' order by class, each class keeping its own, and the classes' starts."""
    output = np.asarray(tree_info, np.int64)
    if output.size and (output.min() < 0 or output.max() >= classes):
        raise ModelFormatError(f"XGBoost model: a tree of class {output.max()} of {classes}")
    order = np.argsort(output, kind="stable")
    return order, output_starts(output[order], classes)


def _booster(booster: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray | None]:
    name = booster["name"]
    if name == "gbtree":
        return booster["model"], None
    if name == "dart":
        weights = np.asarray(booster["weight_drop"], np.float32)
        return booster["gbtree"]["model"], weights
    raise ModelNotSupportedError(f"XGBoost model: booster {name!r} is not supported")


def _kept_trees(
    model: dict[str, Any], attributes: dict[str, str], iterations: int | None, outputs: int
) -> int:
    """Number of trees in the rounds asked for; a round may have several parallel trees."""
    n_trees = len(model["trees"])
    if iterations is None and "best_iteration" in attributes:
        iterations = int(attributes["best_iteration"]) + 1
    if iterations is None:
        return n_trees
    parallel = max(int(model["gbtree_model_param"].get("num_parallel_tree", 1)), 1)
    starts = model.get("iteration_indptr", ())  # absent before XGBoost 2
    if len(starts) == 0:
        starts = range(0, n_trees + 1, parallel * outputs)
    if not 0 <= iterations < len(starts):
        found = len(starts) - 1
        raise ModelFormatError(f"XGBoost model: {iterations} rounds asked for, it has {found}")
    return int(starts[iterations])


def _intercepts(text: Any, objective: str, outputs: int) -> list[float]:
    """Read base_score, a vector since 3.1; one value is every class's."""
    value = json.loads(text) if isinstance(text, str) else text
    values = list(value) if isinstance(value, list) else [value] * outputs
    if len(values) != outputs:
        raise ModelNotSupportedError(f"XGBoost model: {len(values)} base scores, {outputs} taken")
    return [_intercept(one, objective) for one in values]


def _intercept(value: Any, objective: str) -> float:
    """Put a base score through the link, in float32 as XGBoost does."""
    score = np.float32(value)
    logistic = objective in ("binary:logistic", "reg:logistic", "binary:logitraw")
    if OBJECTIVES[objective][1] == "log":
        return _logf(score)
    return -_logf(np.float32(1) / score - np.float32(1)) if logistic else float(score)


def _logf(value: np.float32) -> float:
    """Logarithm as the C library's logf rounds it, which is what XGBoost calls.

    Rounding a float64 logarithm instead is off by one bit now and then, and every score with it.
    """
    if not 0 < value < math.inf:
        raise ModelFormatError(f"XGBoost model: base_score gives a logarithm of {value}")
    try:
        logf = ctypes.CDLL(None).logf
    except (OSError, AttributeError):
        return float(np.float32(math.log(value)))
    logf.argtypes, logf.restype = [ctypes.c_float], ctypes.c_float
    return float(logf(value))
