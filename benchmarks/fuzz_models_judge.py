"""Import and score a damaged model, and hold the scores against the model's own library."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.fuzz_models_facts import by_graph_facts, by_json_facts, by_text_facts
from benchmarks.fuzz_models_subjects import MODELS, NAMES
from benchmarks.fuzz_models_ubjson import in_binary
from benchmarks.fuzz_models_ways import (
    by_attributes,
    by_bytes,
    by_lines,
    by_numbers,
    by_structure,
)
from kyros_spark.errors import KyrosError
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import adversarial_rows, columns_of

ROOT = Path(__file__).parents[1]
SECONDS = 20  # of the CPU that a mutant may take to be refused or scored
WAYS = {
    "xgboost-json": [by_bytes, by_numbers, by_structure, by_json_facts],
    "xgboost-ubj": [by_bytes, in_binary(by_structure), in_binary(by_json_facts)],
    "lightgbm": [by_bytes, by_numbers, by_text_facts, by_lines],
    "onnx": [by_bytes, by_attributes, by_attributes, by_graph_facts],
}


@contextlib.contextmanager
def at_most(seconds):
    def late(*_):
        raise AssertionError(f"a mutant took more than {seconds} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def rows_of(model, count=24):
    """Rows at and one ulp beside the model's thresholds; categories, and every odd float."""
    features = len(model.manifest.features)
    if model.manifest.kind != "trees" or not features:
        return np.zeros((count, features))
    with np.errstate(over="ignore"):
        rows = adversarial_rows(model.arrays, count).astype(np.float64)
    rng = np.random.default_rng(2)
    for feature in set(model.arrays.get("set_feature", np.zeros(0, int)).tolist()):
        pool = np.array([np.nan, np.inf, -np.inf, -1, -0.5, 0.5, 31, 32, 1e9, *range(9)])
        rows[:, feature] = pool[rng.integers(0, pool.size, count)]
    return rows


def scored(source, form=None):
    """Import and score a mutant; None when it is refused by name."""
    try:
        with at_most(SECONDS):
            model = import_model(source, "m", "claims", **options_of(form))
            rows = rows_of(model)
            scores = Scorer(model).raw(columns_of(rows)) if rows.shape[1] else None
    except KyrosError:
        return None
    assert scores is None or (scores.shape[0] == rows.shape[0] and scores.dtype == np.float64)
    return rows, scores


def options_of(form):
    """Return how a format without the features' names is imported."""
    return {"features": NAMES} if form in ("onnx", "mllib") else {}


def ask_library(form, folder):
    """Let the library answer for all mutants in the folder."""
    command = [sys.executable, "-m", "benchmarks.fuzz_models_library", form, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True)


def agrees(form, path, scores):
    answer = path.with_suffix(".scores.npy")
    if not answer.exists():
        return True
    theirs = np.load(answer)
    if form != "onnx":
        return np.array_equal(scores, theirs, equal_nan=True)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.allclose(scores.astype("f4"), theirs.astype("f4"), 1e-5, 1e-5, equal_nan=True)


def judge(form, mutants, seed, folder):
    """Try mutants of a format; return how many were refused and scored, and what is wrong.

    folder  where mutants that were scored lie for the library; those that are wrong stay there
    """
    data, rng = MODELS[form](), np.random.default_rng(seed)
    Scorer(import_model(data, "m", "claims", **options_of(form))).raw([np.zeros(1)] * 3)  # compiles
    counts, ours, unnamed = Counter(mutants=mutants), {}, []
    for number in range(mutants):
        mutant = WAYS[form][number % len(WAYS[form])](data, rng)
        path = folder / f"{seed}-{number:06}.model"
        try:
            result = scored(mutant, form)
        except Exception as error:
            path.with_suffix(".unnamed").write_bytes(mutant)
            unnamed.append(f"{path.stem}: {type(error).__name__} {str(error)[:100]}")
            continue
        counts["refused" if result is None else "scored"] += 1
        if result is not None and result[1] is not None:
            path.write_bytes(mutant)
            np.save(path.with_suffix(".rows.npy"), result[0])
            ours[path] = result[1]
    ask_library(form, folder)
    wrong = [path for path, scores in ours.items() if not agrees(form, path, scores)]
    for path in ours:
        for other in (".scores.npy", ".refused"):
            counts[other] += path.with_suffix(other).exists()
    for path in set(ours) - set(wrong):
        for other in (".model", ".rows.npy", ".scores.npy", ".refused"):
            path.with_suffix(other).unlink(missing_ok=True)
    return {
        "mutants": mutants,
        "refused": counts["refused"],
        "scored": counts["scored"],
        "compared": counts[".scores.npy"],
        "refused by the library": counts[".refused"],
        "mis-scored": [path.stem for path in wrong],
        "unnamed": unnamed,
    }


def said(result):
    """Return a result in one line."""
    return json.dumps({k: len(v) if isinstance(v, list) else v for k, v in result.items()})
