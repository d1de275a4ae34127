"""Import an XGBoost model from its JSON or UBJSON form (Booster.save_raw, save_model).

The file means the following, checked against XGBoost 3.2 on the CPU. Values and thresholds are
float32, and `value < threshold` goes left. Scores are summed in float32, tree by tree. The sum
starts from the link of base_score or, INSTEAD of it, from the row's base margin when there is one.
"""

import ctypes
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.document_numbers import single_numbers, whole_number
from kyros_spark.model.importers.formats import refuse_other_document
from kyros_spark.model.importers.ubjson import read_ubjson
from kyros_spark.model.importers.xgboost_categories import category_names
from kyros_spark.model.importers.xgboost_facts import check_facts, round_starts, tree_outputs
from kyros_spark.model.importers.xgboost_nodes import xgboost_nodes
from kyros_spark.model.json_text import read_json
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
    """An imported booster: its trees, and the facts that a manifest needs.

    intercept     the float32 value that the sum starts from, on the scale of the link, when a row
                  has no base margin. A model fitted with a base margin (an offset) starts from that
                  margin instead, so its manifest should have intercept 0.
    levels        feature number -> level names in the order of their codes
    outputs       the classes, each with its own intercept; empty for a model of one output
    output_start  int64[outputs + 1]: where each class's trees begin; None for one output
    rounds        how many rounds of boosting are kept, and how many the document has
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
    rounds: tuple[int, int] = (0, 0)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the model file."""
        start = {} if self.output_start is None else {"output_start": self.output_start}
        return self.trees.as_dict() | start


def trees_from_xgboost(raw: bytes | bytearray, iterations: int | None = None) -> XGBoostTrees:
    """Import a booster.

    iterations  the number of boosting rounds to take, from the first on. By default these are the
                rounds up to best_iteration if early stopping recorded it, else all.

    Raises ModelFormatError for a damaged document, ModelNotSupportedError for what the engine
    does not do: linear boosters, several targets, vectors at leaves, unknown objectives.
    """
    document = _parse(bytes(raw))
    try:
        return _import(document, iterations, len(raw))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        detail = str(error)[:200]
        raise ModelFormatError(f"XGBoost model: {type(error).__name__} {detail}") from error


def _parse(raw: bytes) -> Any:
    start = raw[:2]
    if not start.startswith(b"{"):
        raise ModelFormatError("XGBoost model: neither JSON nor UBJSON (the old binary form?)")
    if start[1:] in (b'"', b" ", b"\n", b"\t", b"\r"):
        return read_json(raw, "XGBoost model")
    return read_ubjson(raw)


def _import(document: dict[str, Any], iterations: int | None, file_bytes: int) -> XGBoostTrees:
    refuse_other_document(document.keys())
    learner = document["learner"]
    parameters = learner["learner_model_param"]
    objective = learner["objective"]["name"]
    if objective not in OBJECTIVES:
        raise ModelNotSupportedError(f"XGBoost model: objective {objective!r} is not supported")
    family, link = OBJECTIVES[objective]
    classes = _classes(parameters, link)
    model, weights = _booster(learner["gradient_booster"])
    check_facts(learner, model, weights)
    starts = round_starts(model, max(classes, 1))
    rounds = _rounds(len(starts) - 1, learner.get("attributes", {}), iterations)
    n_trees = int(starts[rounds])
    if n_trees == 0:
        raise ModelFormatError("XGBoost model: no trees; it has not been fitted")
    n_features = whole_number(parameters["num_feature"], "XGBoost model: num_feature")
    trees, output_start = model["trees"][:n_trees], None
    output = tree_outputs(model, max(classes, 1))[:n_trees]
    if classes:
        order, output_start = _by_class(output, classes)
        trees = [trees[index] for index in order]
        weights = None if weights is None else weights[order]
    intercepts = _intercepts(parameters["base_score"], objective, max(classes, 1))
    nodes = xgboost_nodes(trees, weights, learner.get("feature_types", ()), file_bytes)
    return XGBoostTrees(
        trees=trees_from_nodes(nodes, n_features),
        intercept=0.0 if classes else intercepts[0],
        outputs=tuple(ModelOutput(label=str(k), intercept=intercepts[k]) for k in range(classes)),
        output_start=output_start,
        objective=objective,
        family=family,
        link=link,
        version=".".join(str(part) for part in document["version"]),
        feature_names=tuple(learner.get("feature_names", ())),
        levels=category_names(model.get("cats", {})),
        rounds=(rounds, len(starts) - 1),
    )


def _classes(parameters: dict[str, Any], link: Link) -> int:
    """Return the number of classes; 0 means a model of one output."""
    classes, targets = (
        whole_number(parameters.get(f"num_{k}", 0), f"XGBoost model: num_{k}")
        for k in ("class", "target")
    )
    if targets > 1 or (classes > 1) != (link == "softmax"):
        mismatch = f"{max(classes, targets)} outputs"
        raise ModelNotSupportedError(
            f"XGBoost model: {mismatch} that are not classes of one target"
        )
    if classes > MAX_CLASSES:
        raise ModelNotSupportedError(f"XGBoost model: {classes} classes, {MAX_CLASSES} are taken")
    return classes if classes > 1 else 0


def _by_class(output: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the trees sorted by class, in their order within a class, and where each class begins.

    Both are int64: tree numbers [trees], and starts [classes + 1].
    """
    order = np.argsort(output, kind="stable")
    return order, output_starts(output[order], classes)


def _booster(booster: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray | None]:
    name = booster["name"]
    if name == "gbtree":
        if "model" not in booster:
            raise ModelFormatError(
                "XGBoost model: settings without trees (save_config?); save it with save_model"
            )
        return booster["model"], None
    if name == "dart":
        weights = single_numbers(booster["weight_drop"], "XGBoost model: weight_drop")
        return booster["gbtree"]["model"], weights
    raise ModelNotSupportedError(f"XGBoost model: booster {name!r} is not supported")


def _rounds(count: int, attributes: dict[str, str], iterations: int | None) -> int:
    """Return the number of rounds to take: those requested, those up to the best one, or all."""
    if iterations is None:
        best = attributes.get("best_iteration", count - 1)
        iterations = whole_number(best, "XGBoost model: best_iteration") + 1
    if not 0 <= iterations <= count:
        raise ModelFormatError(f"XGBoost model: {iterations} rounds asked for, it has {count}")
    return iterations


def _intercepts(text: Any, objective: str, outputs: int) -> list[float]:
    """Read base_score, a vector since version 3.1; a single value applies to all classes."""
    value = json.loads(text) if isinstance(text, str) else text
    values = list(value) if isinstance(value, list) else [value] * outputs
    if len(values) != outputs:
        raise ModelNotSupportedError(f"XGBoost model: {len(values)} base scores, {outputs} taken")
    return [_intercept(score, objective) for score in values]


def _intercept(value: Any, objective: str) -> float:
    """Apply the link to a base score, in float32 as XGBoost does.

    With the links identity and softmax, a base score is the margin itself. That holds for
    binary:logitraw, too (checked against 2.1 to 3.2), where 0 and negative ones are sound.
    """
    score, link = np.float32(value), OBJECTIVES[objective][1]
    if link == "log":
        return _logf(score)
    return -_logf(np.float32(1) / score - np.float32(1)) if link == "logit" else float(score)


def _logf(value: np.float32) -> float:
    """Return the logarithm as rounded by the C library's logf, which XGBoost calls.

    A rounded float64 logarithm is sometimes off by one bit, and then so is every score.
    """
    if not 0 < value < math.inf:
        raise ModelFormatError(f"XGBoost model: base_score gives a logarithm of {value}")
    try:
        logf = ctypes.CDLL(None).logf
    except (OSError, AttributeError):
        return float(np.float32(math.log(value)))
    logf.argtypes, logf.restype = [ctypes.c_float], ctypes.c_float
    return float(logf(value))
