"""A host whose compiler fails, or never ends, scores all the same, and to the same bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kyros_spark.errors import KernelNotAvailableError
from kyros_spark.kernels.compile import CompileError
from kyros_spark.kernels.cpu import KERNELS, best_kernel
from kyros_spark.model.artefact import model_to_bytes
from kyros_spark.scoring import kernel_calls
from kyros_spark.scoring.numpy_scorer import categories
from kyros_spark.scoring.scorer import Scorer
from tests import naive
from tests.scoring.boosters import adversarial_rows, boost, columns_of, margins, model_of
from tests.scoring.test_bundle import grown

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
import numpy as np
from kyros_spark.model.artefact import read_model
from kyros_spark.scoring.scorer import Scorer
scorer = Scorer(read_model(open(sys.argv[1], "rb").read()), sys.argv[3])
rows = np.load(sys.argv[2])
scores = scorer.raw([np.ascontiguousarray(column) for column in rows.T])
again = scorer.raw([np.ascontiguousarray(column) for column in rows.T])
sys.stdout.write(json.dumps([scorer.kernel, scores.tolist(), again.tolist()]))
"""


def test_numpy_scores_are_xgboosts_own():
    booster = boost(rounds=30, max_depth=8)
    model = model_of(booster)
    rows = adversarial_rows(model.arrays, 9000)
    found = Scorer(model, "numpy").raw(columns_of(rows))
    np.testing.assert_array_equal(found, margins(booster, rows).astype(np.float64))


@pytest.mark.parametrize("parameters", [{}, {"objective": "multiclass", "num_class": 3}])
def test_numpy_scores_are_the_kernels_with_categories_and_classes(parameters, tmp_path):
    model = grown(tmp_path, 1, **parameters)
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=9000) for _ in range(6)]
    columns[4] = rng.choice([np.nan, -0.5, -1.0, 0.5, 1e9, np.inf, *range(45)], 9000)
    found = Scorer(model, "numpy").raw(columns)
    np.testing.assert_array_equal(found, Scorer(model).raw(columns))


@pytest.mark.parametrize("rule", ["truncate", "floor", "whole"])
def test_categories_are_the_naive_twins(rule):
    arrays = {
        "set_start": np.array([0, 1]),
        "set_bits": np.array([0b10101010], np.uint8),
        "set_other_right": np.array([0], np.uint8),
    }
    values = np.array([-1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 1.9, 3.0, 7.0, 7.5, 8.0, 1e9, 1e300])
    found = [0 <= c < 8 and bool(0b10101010 >> c & 1) for c in categories(values, rule)]
    assert found == [naive.goes_right(arrays, 0, value, rule) for value in values]


def scored(tmp_path, limit, kernel="auto"):
    """Score in a new process that may compile for so many seconds and has no cache."""
    booster = boost(rounds=20)
    model = model_of(booster)
    rows = adversarial_rows(model.arrays, 2000)
    (tmp_path / "m").write_bytes(model_to_bytes(model))
    np.save(tmp_path / "rows.npy", rows)
    own = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "KYROS"))}
    own |= {"PYTHONPATH": str(ROOT), "KYROS_KERNEL_CACHE": "", "KYROS_COMPILE_SECONDS": limit}
    words = [sys.executable, "-c", SCRIPT, str(tmp_path / "m"), str(tmp_path / "rows.npy"), kernel]
    done = subprocess.run(words, env=own, capture_output=True, text=True, timeout=120, check=False)
    return done, margins(booster, rows).astype(np.float64)


def test_a_compiler_past_its_limit_is_left_behind(tmp_path):
    done, expected = scored(tmp_path, "0.001")
    kernel, scores, again = json.loads(done.stdout)
    assert kernel == "numpy"
    np.testing.assert_array_equal(scores, expected)
    np.testing.assert_array_equal(again, expected)
    assert "not compiled within 0.001 s; scoring with" in done.stderr


def test_a_limit_that_is_no_number_is_told_and_the_default_taken(tmp_path):
    done, expected = scored(tmp_path, "soon")
    kernel, scores, _ = json.loads(done.stdout)
    assert kernel == best_kernel()
    np.testing.assert_array_equal(scores, expected)
    assert "KYROS_COMPILE_SECONDS: expected seconds above 0, found 'soon'" in done.stderr


def test_a_forced_kernel_that_does_not_compile_is_an_error(tmp_path):
    done, _ = scored(tmp_path, "0.001", "portable")
    assert done.returncode != 0
    assert "KernelNotAvailableError: kernel portable, host" in done.stderr


@pytest.mark.skipif(best_kernel() != KERNELS[0], reason="the portable kernel is this host's best")
def test_a_compiler_that_fails_for_one_kernel_leaves_the_next(monkeypatch):
    def fail(*_):
        raise CompileError("kernel add_leaf_bytes: LLVM ERROR")

    monkeypatch.setattr(kernel_calls, "_add_bytes", fail)
    booster = boost(rounds=20)
    model = model_of(booster)
    rows = adversarial_rows(model.arrays, 2000)
    scorer = Scorer(model)
    scores = scorer.raw(columns_of(rows))
    assert scorer.kernel == "portable"
    np.testing.assert_array_equal(scores, margins(booster, rows).astype(np.float64))
    with pytest.raises(KernelNotAvailableError, match="kernel avx512vbmi, host"):
        Scorer(model, "avx512vbmi").raw(columns_of(rows))
