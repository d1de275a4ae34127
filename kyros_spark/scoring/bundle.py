"""Lay several tree models into one of several outputs: their rows are then quantised once.

A feature's cuts become the union of the models' cuts, which asks every model's questions exactly;
each model's trees stay in their order, so its sums keep every bit. Models can share a bundle when
they compare, sum and read categories alike.
"""

from collections.abc import Sequence

import numpy as np

from kyros_spark.model.artefact import Model
from kyros_spark.model.category_sets import CategorySets, distinct_sets
from kyros_spark.model.check import check_arrays
from kyros_spark.model.manifest import Feature, Manifest, ModelOutput, Source
from kyros_spark.model.trees import distinct_cuts

Arrays = dict[str, np.ndarray]
PLAIN = {
    "cut_value", "cut_start", "tree_start", "split_cut", "split_missing_left", "split_left",
    "split_right", "leaf_value",
}  # fmt: skip
SETS = {"set_feature", "set_start", "set_bits", "set_other_right"}


def groups(models: Sequence[Model]) -> list[list[int]]:
    """Return the models' numbers, those together that can share a bundle."""
    found: dict[object, list[int]] = {}
    for number, model in enumerate(models):
        found.setdefault(_kind(number, model), []).append(number)
    return list(found.values())


def bundle(models: Sequence[Model], arguments: Sequence[Sequence[int]]) -> Model:
    """Return one model whose outputs are those of the models, in order.

    models     two or more of one of `groups`
    arguments  of each model, the column that each of its features reads; models that read the same
               column share its quantisation
    """
    columns = sorted({place for places in arguments for place in places})
    where = {place: number for number, place in enumerate(columns)}
    reads = [np.array([where[p] for p in places], np.int64) for places in arguments]
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
        features=tuple(Feature(name=f"column {place}") for place in columns),
    )
    check_arrays(manifest, arrays)
    return Model(manifest, arrays)


def _kind(number: int, model: Model) -> object:
    known = PLAIN | SETS | {"output_start"}
    if model.manifest.kind != "trees" or not set(model.arrays) <= known:
        return number
    manifest, arrays = model.manifest, model.arrays
    compares = (arrays["cut_value"].dtype.name, arrays["leaf_value"].dtype.name)
    rule = manifest.category_rule if "set_feature" in arrays else ""
    return (*compares, manifest.divisor, rule)


def _intercepts(model: Model) -> list[float]:
    return [output.intercept for output in model.manifest.outputs] or [model.manifest.intercept]


def _merged(models: list[Arrays], reads: list[np.ndarray], n_columns: int) -> Arrays:
    cuts, starts, places = _union_of_cuts(models, reads, n_columns)
    sets, numbers = _union_of_sets(models, reads)
    splits = []
    for model, place, number in zip(models, places, numbers, strict=True):
        split = model["split_cut"].astype(np.int64)
        by_set = split >= model["cut_value"].size
        split[~by_set] = place[split[~by_set]]
        split[by_set] = cuts.size + number
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
    """Return the union of the cuts by column, and of each model's cuts the place in it."""
    column = np.concatenate(
        [np.repeat(read, np.diff(m["cut_start"])) for m, read in zip(models, reads, strict=True)]
    )
    value = np.concatenate([model["cut_value"] for model in models])
    cuts, starts, place = distinct_cuts(column, value, n_columns)
    sizes = np.cumsum([model["cut_value"].size for model in models])[:-1]
    return cuts, starts, np.split(place, sizes)


def _union_of_sets(
    models: list[Arrays], reads: list[np.ndarray]
) -> tuple[Arrays, list[np.ndarray]]:
    """Return the union of the category sets, and of each model's splits by set the number in it."""
    numbers = [m["split_cut"][m["split_cut"] >= m["cut_value"].size] for m in models]
    own = [n.astype(np.int64) - m["cut_value"].size for n, m in zip(numbers, models, strict=True)]
    having = [model for model in models if "set_feature" in model]
    if not having:
        return {}, own
    sets = CategorySets(
        start=_chained([model["set_start"] for model in having]),
        bits=np.concatenate([model["set_bits"] for model in having]),
        other_right=np.concatenate([model["set_other_right"] for model in having]),
    )
    asked, columns, before = [], [], 0
    for model, read, number in zip(models, reads, own, strict=True):
        asked.append(number + before)
        if "set_feature" in model:
            columns.append(read[model["set_feature"][number]])
            before += model["set_feature"].size
    arrays, found = distinct_sets(sets, np.concatenate(columns), np.concatenate(asked))
    return arrays, np.split(found, np.cumsum([number.size for number in own])[:-1])


def _chained(starts: list[np.ndarray]) -> np.ndarray:
    """Lay ascending offsets, each list from 0 on, end to end."""
    ends = np.cumsum([0, *(int(start[-1]) for start in starts)])
    parts = [start[:-1] + end for start, end in zip(starts, ends, strict=False)]
    return np.concatenate([*parts, ends[-1:]]).astype(np.int64)


def _trees(model: Arrays) -> int:
    return model["tree_start"].size - 1
