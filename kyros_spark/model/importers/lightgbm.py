"""Import a LightGBM model from its text form (Booster.save_model, model_to_string).

The text means the following, checked against LightGBM 4.7. Values are float64, and those within
1e-35 of zero become zero before a tree sees them. `value <= threshold` goes left. Leaves are summed
in float64, tree by tree from 0. Missing values are described in lightgbm_splits.py. The text holds
the iterations that were saved: up to the best one of early stopping, unless requested otherwise.
"""

from collections.abc import Sequence

import numpy as np

from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.model.importers.imported import Imported
from kyros_spark.model.importers.lightgbm_levels import pandas_levels
from kyros_spark.model.importers.lightgbm_splits import Splits, nodes_of_splits
from kyros_spark.model.importers.lightgbm_trees import Block, splits_of
from kyros_spark.model.manifest import Family, Link, ModelOutput
from kyros_spark.model.trees import trees_from_nodes

OBJECTIVES: dict[str, tuple[Family, Link]] = {
    "regression": ("gaussian", "identity"),
    "regression_l1": ("gaussian", "identity"),
    "huber": ("gaussian", "identity"),
    "fair": ("gaussian", "identity"),
    "quantile": ("gaussian", "identity"),
    "mape": ("gaussian", "identity"),
    "poisson": ("poisson", "log"),
    "gamma": ("gamma", "log"),
    "tweedie": ("tweedie", "log"),
    "binary": ("binomial", "logit"),
    "cross_entropy": ("binomial", "logit"),
    "multiclass": ("multinomial", "softmax"),
    "multiclassova": ("multinomial", "logit"),
}
MAX_CLASSES = 10_000


def import_lightgbm(
    text: str, iterations: int | None = None, categories: Sequence[str] | None = None
) -> Imported:
    """Import a booster.

    iterations  the number of boosting rounds to take, from the first on; by default all in the text
    categories  the features that were pandas categories, where the text leaves a choice

    A round has one tree per class. Averaged output (rf) is the sum divided by the number of rounds,
    as LightGBM predicts it; LightGBM's `raw_score` leaves the sum undivided.

    Raises ModelFormatError for a damaged text, ModelNotSupportedError for what the engine does
    not do: linear trees, objectives not listed here.
    """
    try:
        return _import(text, iterations, categories)
    except (KeyError, IndexError, ValueError, OverflowError) as error:
        raise ModelFormatError(f"LightGBM model: {type(error).__name__} {error}") from error


def _import(text: str, iterations: int | None, categories: Sequence[str] | None) -> Imported:
    header, all_blocks = _parse(text)
    objective, family, link, sigmoid = _objective(header)
    classes = _classes(header, objective)
    blocks, rounds = _rounds(all_blocks, classes, iterations)
    n_features = int(header["max_feature_idx"]) + 1
    names = tuple(header["feature_names"].split())
    if len(names) != n_features:
        raise ModelFormatError(f"LightGBM model: {n_features} features, {len(names)} names")
    splits = [splits_of(number, block) for number, block in enumerate(blocks)]
    trees = trees_from_nodes(nodes_of_splits(splits), n_features).as_dict()
    outputs = tuple(ModelOutput(label=str(k)) for k in range(classes) if classes > 1)
    if outputs:
        trees["output_start"] = np.arange(classes + 1) * rounds
    return Imported(
        kind="trees",
        library="lightgbm",
        version=header["version"],
        objective=objective,
        family=family,
        link=link,
        intercept=0.0,
        feature_names=names,
        n_features=n_features,
        arrays=trees,
        levels=pandas_levels(text, header, _thresholds(splits), categories),
        category_rule="truncate",
        divisor=float(rounds) if "average_output" in header else 1.0,
        sigmoid=sigmoid,
        outputs=outputs,
        rounds=(rounds, len(all_blocks) // classes),
    )


def _thresholds(trees: list[Splits]) -> dict[int, np.ndarray]:
    """Return the thresholds of the splits by number, feature by feature."""
    by_number = np.concatenate([tree.decision for tree in trees]) & 1 == 0
    feature = np.concatenate([tree.feature for tree in trees])[by_number]
    threshold = np.concatenate([tree.threshold for tree in trees])[by_number]
    order = np.argsort(feature, kind="stable")
    numbers, starts = np.unique(feature[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(threshold[order], starts[1:]), strict=False))


def _classes(header: Block, objective: str) -> int:
    """Return the number of outputs: one per class, or one."""
    outputs = {int(header["num_class"]), int(header["num_tree_per_iteration"])}
    several = objective.startswith("multiclass")
    if len(outputs) != 1 or (max(outputs) > 1) != several or min(outputs) < 1:
        mismatch = f"{max(outputs)} outputs with objective {objective!r}"
        raise ModelNotSupportedError(f"LightGBM model: {mismatch} is not supported")
    if max(outputs) > MAX_CLASSES:
        raise ModelNotSupportedError(f"LightGBM model: {max(outputs)} classes, {MAX_CLASSES} taken")
    return max(outputs)


def _rounds(blocks: list[Block], classes: int, requested: int | None) -> tuple[list[Block], int]:
    """Return the trees of the requested rounds, class by class, and the number of rounds."""
    rounds = len(blocks) // classes
    if rounds * classes != len(blocks):
        raise ModelFormatError(f"LightGBM model: {len(blocks)} trees of {classes} classes")
    if requested is not None and not 1 <= requested <= rounds:
        raise ModelFormatError(f"LightGBM model: {requested} iterations asked for, it has {rounds}")
    rounds = rounds if requested is None else requested
    if not rounds:
        raise ModelFormatError("LightGBM model: no trees; it has not been fitted")
    selected = blocks[: rounds * classes]
    return [block for k in range(classes) for block in selected[k::classes]], rounds


def _objective(header: Block) -> tuple[str, Family, Link, float]:
    """Return the objective, its family and link, and the logit link's factor on scores."""
    if "objective" not in header:
        raise ModelNotSupportedError("LightGBM model: no objective; a custom one is not supported")
    name, *options = header["objective"].split()
    if name not in OBJECTIVES:
        raise ModelNotSupportedError(f"LightGBM model: objective {name!r} is not supported")
    if "sqrt" in options:
        raise ModelNotSupportedError("LightGBM model: reg_sqrt (a squared output) is not supported")
    factor = 1.0
    for option in options:
        key, _, value = option.partition(":")
        factor = float(value) if key == "sigmoid" else factor
    if not 0 < factor < np.inf:
        raise ModelFormatError(f"LightGBM model: sigmoid: expected above 0, found {factor}")
    return name, *OBJECTIVES[name], factor


def _parse(text: str) -> tuple[Block, list[Block]]:
    """Return the header's entries, and those of every tree."""
    if "\0" in text:  # LightGBM stops reading there
        raise ModelFormatError("LightGBM model: the text holds a zero byte")
    head, end, _ = text.partition("\nend of trees")
    if not head.startswith("tree"):
        raise ModelFormatError("LightGBM model: expected the first line 'tree', found another")
    if not end:
        raise ModelFormatError("LightGBM model: the text ends before the line 'end of trees'")
    first, *trees = head.split("\nTree=")
    header = _keys(first)
    blocks = [_tree_keys(number, part) for number, part in enumerate(trees)]
    sizes = header.get("tree_sizes")  # absent in old texts
    if sizes is not None:
        _check_sizes(sizes.split(), head)
    return header, blocks


def _tree_keys(number: int, part: str) -> Block:
    """Return a tree's entries, up to its first empty line, where LightGBM stops reading.

    Raises ModelFormatError when lines follow it, a line occurs twice or the tree's number is wrong.
    """
    own_number, *lines = part.rstrip().split("\n")
    block = _keys("\n".join(lines))
    if own_number.strip() != str(number) or len(block) != len(lines):
        raise ModelFormatError(
            f"LightGBM model: tree {number}: its number, an empty line or a line twice: damaged"
        )
    return block


def _check_sizes(sizes: list[str], head: str) -> None:
    """Refuse trees that do not lie where the header says, since LightGBM reads them there."""
    _, *blocks = head.split("\nTree=")
    actual_sizes = [len(f"Tree={block}\n".encode()) for block in blocks]
    if [int(size) for size in sizes] != actual_sizes:
        raise ModelFormatError(
            f"LightGBM model: tree_sizes {' '.join(sizes[:3])} ... for {len(actual_sizes)} trees "
            f"of sizes {actual_sizes[:3]} ...; leave the line tree_sizes out of a text edited by "
            "hand"
        )


def _keys(part: str) -> Block:
    pairs = (line.partition("=") for line in part.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs if key.strip()}
