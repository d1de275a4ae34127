"""Damage our own model file: its bytes, its header, and the arrays behind a hash computed anew."""

import json

import numpy as np

from benchmarks.fuzz_models_judge import SECONDS, at_most, rows_of
from benchmarks.fuzz_models_subjects import own_model
from benchmarks.fuzz_models_ways import by_bytes, by_structure
from kyros_spark.errors import KyrosError
from kyros_spark.model.artefact import Model, model_to_bytes, read_model
from kyros_spark.scoring.scorer import Scorer
from tests import naive
from tests.scoring.boosters import columns_of


def by_header(data, rng):
    """Change the header, which says where each array lies, of what type and shape."""
    length = int.from_bytes(data[:8], "little")
    text = by_structure(data[8 : 8 + length], rng)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def by_manifest(data, rng):
    """Change the manifest, and let the header's hash be that of before."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    changed = by_structure(header["__metadata__"]["manifest"].encode(), rng)
    header["__metadata__"]["manifest"] = changed.decode()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def by_arrays(whole, rng):
    """Return the model with entries of its arrays changed, removed or doubled."""
    arrays = {name: array.copy() for name, array in whole.arrays.items()}
    for _ in range(rng.integers(1, 3)):
        name = sorted(arrays)[rng.integers(0, len(arrays))]
        array, kind = arrays[name], rng.integers(0, 4)
        if not array.size:
            continue
        at = int(rng.integers(0, array.size))
        if kind == 0:
            array[at] = array[rng.integers(0, array.size)]
        elif kind == 1:
            array.view(np.uint8)[rng.integers(0, array.nbytes)] = rng.integers(0, 256)
        elif kind == 2:
            arrays[name] = np.delete(array, at)
        else:
            arrays[name] = np.insert(array, at, array[at])
    return Model(whole.manifest, arrays)


def judge_own(mutants, seed):
    """Try mutants of our own format: files are refused, changed arrays score as the twin does."""
    data, rng = own_model(), np.random.default_rng(seed)
    whole, wrong, unnamed = read_model(data), [], []
    Scorer(whole).raw([np.zeros(1)] * 3)  # which compiles the kernels
    refused = compared = 0
    for number in range(mutants):
        try:
            with at_most(SECONDS):
                if number % 2:
                    mutant = (by_bytes, by_header, by_manifest)[number % 3](data, rng)
                    is_right = model_to_bytes(read_model(mutant)) == data  # spaces may differ
                else:
                    mutant = model_to_bytes(by_arrays(whole, rng))
                    is_right = _scores_as_the_twin(read_model(mutant))
        except KyrosError:
            refused += 1
        except Exception as error:
            unnamed.append(f"{seed}-{number}: {type(error).__name__} {str(error)[:100]}")
        else:
            compared += 1
            if not is_right:
                wrong.append(f"{seed}-{number}")
    return {
        "mutants": mutants,
        "refused": refused,
        "scored": compared,
        "compared": compared,
        "refused by the library": 0,
        "mis-scored": wrong,
        "unnamed": unnamed,
    }


def _scores_as_the_twin(model):
    rows = rows_of(model, 6)
    start = np.full(6, model.manifest.intercept)
    with np.errstate(over="ignore"):
        twin = naive.tree_scores(model.arrays, rows, start, model.manifest.category_rule)
    return np.array_equal(Scorer(model).raw(columns_of(rows)), twin)
