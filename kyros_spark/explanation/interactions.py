"""Explain pairs: what two features together add to a raw score beyond both of them alone."""

from collections.abc import Sequence

import numpy as np

from kyros_spark.errors import DataContractError, ModelNotSupportedError
from kyros_spark.explanation.edges import cover_shares, tree_edges
from kyros_spark.explanation.explainer import MAX_TABLE_BYTES, check_covers
from kyros_spark.explanation.tree_explainer import TreeExplainer
from kyros_spark.model.artefact import Model
from kyros_spark.scoring.input_columns import input_columns


def interactions(
    model: Model,
    columns: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    kernel: str = "auto",
    max_table_bytes: int = MAX_TABLE_BYTES,
) -> np.ndarray:
    """Return Shapley interactions on the scale of the link, float64[n, outputs, pairs].

    A pair's value is Shapley's interaction index, the whole of it: twice the entry that XGBoost's
    `pred_interactions` has at each of its two places. The contribution of a feature is its main
    effect plus half of each of its interactions. Linear models have none.

    columns  as `Explainer.contributions` takes them
    pairs    two different features each, as numbers in the manifest's order

    Raises:
        CoversMissingError: a tree model without covers.
        ModelNotSupportedError: a composite, or trees whose tables are too large.
        DataContractError: columns that do not fit the model, or a pair that is none.
    """
    name, count = model.manifest.name, len(model.manifest.features)
    arrays, _, size = input_columns(model.manifest, columns)
    numbers = np.array([tuple(pair) for pair in pairs], np.int64).reshape(-1, 2)
    inside = ((numbers >= 0) & (numbers < count)).all(axis=1)
    is_pair = inside & (numbers[:, 0] != numbers[:, 1])
    if not is_pair.all():
        raise DataContractError(
            f"{name}: expected pairs of two different features, 0 to {count - 1}, found "
            f"{numbers[~is_pair][0].tolist()}"
        )
    values = np.zeros((size, max(len(model.manifest.outputs), 1), len(numbers)))
    if model.manifest.kind == "composite":
        raise ModelNotSupportedError(
            f"model {name} is a composite, which is explained by its parts"
        )
    if model.manifest.kind == "glm" or not len(numbers):
        return values
    check_covers(model)
    edges = tree_edges(model.arrays, cover_shares(model.arrays))
    TreeExplainer(model, edges, kernel, max_table_bytes, pairs=numbers).add(arrays, values)
    return values / model.manifest.divisor
