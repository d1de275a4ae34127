"""Merge several tree models into one with several outputs, so that rows are quantised once.

A feature's cuts become the union of the models' cuts, so every model's comparisons stay exact.
Each model's trees keep their order, so its sums keep every bit. Models can share a bundle if they
compare, sum and read categories alike.
"""

from collections.abc import Sequence

import numpy as np

from kyros_spark.model.artefact import Model
from kyros_spark.model.category_sets import CategorySets, distinct_sets
from kyros_spark.model.check import check_arrays
from kyros_spark.model.covers import COVER_ARRAYS
from kyros_spark.model.manifest import Feature, Manifest, ModelOutput, Source
from kyros_spark.model.trees import distinct_cuts

Arrays = dict[str, np.ndarray]
PLAIN_ARRAYS = {
    "cut_value", "cut_start", "tree_start", "split_cut", "split_missing_left", "split_left",
    "split_right", "leaf_value",
}  # fmt: skip
SET_ARRAYS = {"set_feature", "set_start", "set_bits", "set_other_right"}


def groups(models: Sequence[Model]) -> list[list[int]]:
    """Return the models' numbers, grouped by which models can share a bundle."""
    members: dict[object, list[int]] = {}
    for number, model in enumerate(models):
        members.setdefault(_bundle_key(number, model), []).append(number)
    return list(members.values())


def bundle(models: Sequence[Model], arguments: Sequence[Sequence[int]]) -> Model:
    """Return one model whose outputs are those of the models, in order.

    models     two or more models of one group of `groups`
    arguments  for each model, the number of the column that each of its features reads; models that
               read the same column share its quantisation
    """
    columns = sorted({column for read in arguments for column in read})
    index = {column: number for number, column in enumerate(columns)}
    reads = [np.array([index[column] for column in read], np.int64) for read in arguments]
    arrays = _merged([model.arrays for model in models], reads, len(columns))
    outputs = [
        ModelOutput(label=f"{number}.{k}", intercept=intercept)
        for number, model in enumerate(models)
        for k, intercept in enumerate(_intercepts(model))
    ]
    first = models[0].manifest
    manifest = Manifest(
        name="bundle",
        kind="trees",
        source=Source(library="kyros-spark", version="bundle"),
        family="gaussian",
        link="identity",
        target="several",
        intercept=0.0,
        divisor=first.divisor,
        outputs=tuple(outputs),
        category_rule=first.category_rule,
        features=tuple(Feature(name=f"column {column}") for column in columns),
    )
    check_arrays(manifest, arrays)
    return Model(manifest, arrays)


def _bundle_key(number: int, model: Model) -> object:
    supported = PLAIN_ARRAYS | SET_ARRAYS | {"output_start", *COVER_ARRAYS}
    if model.manifest.kind != "trees" or not set(model.arrays) <= supported:
        return number
    manifest, arrays = model.manifest, model.arrays
    compares = (arrays["cut_value"].dtype.name, arrays["leaf_value"].dtype.name)
    rule = manifest.category_rule if "set_feature" in arrays else ""
    return (*compares, manifest.divisor, rule)


def _intercepts(model: Model) -> list[float]:
    return [output.intercept for output in model.manifest.outputs] or [model.manifest.intercept]


def _merged(models: list[Arrays], reads: list[np.ndarray], n_columns: int) -> Arrays:
    cuts, starts, positions = _union_of_cuts(models, reads, n_columns)
    sets, set_numbers = _union_of_sets(models, reads)
    splits = []
    for model, position, set_number in zip(models, positions, set_numbers, strict=True):
        split = model["split_cut"].astype(np.int64)
        by_set = split >= model["cut_value"].size
        split[~by_set] = position[split[~by_set]]
        split[by_set] = cuts.size + set_number
        splits.append(split.astype(np.int32))
    joined = {
        name: np.concatenate([model[name] for model in models])
        for name in ("split_missing_left", "split_left", "split_right", "leaf_value")
    }
    borders = [model.get("output_start", np.array([0, _trees(model)])) for model in models]
    return {
        "cut_value": cuts,
        "cut_start": starts,
        "tree_start": _chained([model["tree_start"] for model in models]),
        "split_cut": np.concatenate(splits),
        **joined,
        **sets,
        "output_start": _chained(borders),
    }


def _union_of_cuts(
    models: list[Arrays], reads: list[np.ndarray], n_columns: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return the union of the cuts and its starts by column, and each model's cuts' positions."""
    column = np.concatenate(
        [np.repeat(read, np.diff(m["cut_start"])) for m, read in zip(models, reads, strict=True)]
    )
    value = np.concatenate([model["cut_value"] for model in models])
    cuts, starts, position = distinct_cuts(column, value, n_columns)
    sizes = np.cumsum([model["cut_value"].size for model in models])[:-1]
    return cuts, starts, np.split(position, sizes)


def _union_of_sets(
    models: list[Arrays], reads: list[np.ndarray]
) -> tuple[Arrays, list[np.ndarray]]:
    """Return the union of the category sets, and the set numbers of each model's splits by set."""
    splits = [m["split_cut"][m["split_cut"] >= m["cut_value"].size] for m in models]
    numbers = [
        split.astype(np.int64) - m["cut_value"].size
        for split, m in zip(splits, models, strict=True)
    ]
    with_sets = [model for model in models if "set_feature" in model]
    if not with_sets:
        return {}, numbers
    sets = CategorySets(
        start=_chained([model["set_start"] for model in with_sets]),
        bits=np.concatenate([model["set_bits"] for model in with_sets]),
        other_right=np.concatenate([model["set_other_right"] for model in with_sets]),
    )
    stacked, columns, before = [], [], 0
    for model, read, number in zip(models, reads, numbers, strict=True):
        stacked.append(number + before)
        if "set_feature" in model:
            columns.append(read[model["set_feature"][number]])
            before += model["set_feature"].size
    arrays, merged = distinct_sets(sets, np.concatenate(columns), np.concatenate(stacked))
    return arrays, np.split(merged, np.cumsum([number.size for number in numbers])[:-1])


def _chained(starts: list[np.ndarray]) -> np.ndarray:
    """Lay lists of ascending offsets end to end; each list starts at 0."""
    ends = np.cumsum([0, *(int(start[-1]) for start in starts)])
    parts = [start[:-1] + end for start, end in zip(starts, ends, strict=False)]
    return np.concatenate([*parts, ends[-1:]]).astype(np.int64)


def _trees(model: Arrays) -> int:
    return model["tree_start"].size - 1
