"""Damaged model files are refused by name, or scored as their own library scores them.

The mutants, and what is asked of them, are those of benchmarks/fuzz_models.py, which tries 10,000 of
each format and holds MLlib's against Spark. Here it is KYROS_FUZZ of them, from KYROS_FUZZ_SEED on.
"""

import os

import numpy as np
import pytest

from benchmarks.fuzz_models import FORMATS
from benchmarks.fuzz_models_judge import WAYS, judge, options_of
from benchmarks.fuzz_models_library import LIBRARIES
from benchmarks.fuzz_models_mllib import judge_mllib
from benchmarks.fuzz_models_own import judge_own
from benchmarks.fuzz_models_subjects import MODELS
from kyros_spark.errors import KyrosError
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer

MUTANTS = int(os.environ.get("KYROS_FUZZ", "200"))
SEED = int(os.environ.get("KYROS_FUZZ_SEED", "1"))


def test_every_format_is_mutated_and_has_a_jury():
    assert set(MODELS) == set(WAYS) == set(LIBRARIES)
    assert set(FORMATS) == {*MODELS, "own", "mllib"}


def judged(form, folder):
    if form == "own":
        return judge_own(MUTANTS, SEED)
    if form == "mllib":  # Spark's own answer is asked for by the benchmark
        return judge_mllib(MUTANTS, SEED, folder / "mllib")
    return judge(form, MUTANTS, SEED, folder)


@pytest.mark.repeats
@pytest.mark.parametrize("form", FORMATS)
def test_a_mutant_is_refused_or_scored_as_its_library_scores_it(form, tmp_path):
    result = judged(form, tmp_path)
    assert not result["mis-scored"] and not result["unnamed"]
    assert result["refused"] and result["scored"], "all mutants came to the same end"
    assert form == "mllib" or result["compared"] > MUTANTS // 50, result


ROWS = {
    "text": [np.array(["a"])] * 3,
    "objects": [np.array([None])] * 3,
    "times": [np.zeros(1, "M8[s]")] * 3,
    "complex": [np.zeros(1, complex)] * 3,
    "too few columns": [np.zeros(1)] * 2,
    "too many columns": [np.zeros(1)] * 4,
    "no columns": [],
    "two dimensions": [np.zeros((1, 1))] * 3,
    "different lengths": [np.zeros(1), np.zeros(2), np.zeros(1)],
}


@pytest.mark.parametrize("form", MODELS)
def test_rows_of_any_kind_are_refused_by_name_or_scored(form):
    scorer = Scorer(import_model(MODELS[form](), "m", "claims", **options_of(form)))
    for columns in ROWS.values():
        with pytest.raises(KyrosError):
            scorer.raw(columns)
    assert scorer.raw([np.zeros(0)] * 3).shape == (0,)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-40, 1e308, -1e308])
    for kind in (np.float64, np.float32, np.float16):
        with np.errstate(over="ignore"):
            assert np.isfinite(scorer.raw([odd.astype(kind)] * 3)).all()
    for kind in (np.int8, np.uint64, np.int64, bool):
        assert np.isfinite(scorer.raw([np.ones(5, kind)] * 3)).all()
