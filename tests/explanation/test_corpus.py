"""Contributions add up for every model that damage leaves readable: the fuzz test's mutants."""

import os

import numpy as np
import pytest

from benchmarks.fuzz_models_judge import WAYS, options_of, rows_of
from benchmarks.fuzz_models_subjects import MODELS
from kyros_spark.errors import CoversMissingError, KyrosError
from kyros_spark.explanation.covers import measured_covers
from kyros_spark.explanation.explainer import Explainer
from kyros_spark.model.importers.recognise import import_model
from tests.explanation.subjects import sums_of_leaves
from tests.scoring.boosters import columns_of

MUTANTS = max(int(os.environ.get("KYROS_FUZZ", "300")) // 10, 30)


@pytest.mark.parametrize("form", MODELS)
def test_contributions_add_up_for_every_mutant_that_is_imported(form):
    data, rng = MODELS[form](), np.random.default_rng(7)
    explained = 0
    for number in range(MUTANTS):
        way = WAYS[form][number % len(WAYS[form])]
        try:
            model = import_model(way(data, rng), "m", "claims", **options_of(form))
            rows = rows_of(model, 6)
        except KyrosError:
            continue
        if model.manifest.kind != "trees" or not rows.size:
            continue
        try:
            explainer = Explainer(model)
        except CoversMissingError:
            explainer = Explainer(measured_covers(model, [columns_of(rows)]))
        with np.errstate(all="ignore"):
            ours = explainer.contributions(columns_of(rows))
            expected = sums_of_leaves(model, rows)
        scale = np.abs(model.arrays["leaf_value"].astype(np.float64)).sum() + np.abs(expected).max()
        sums = ours.base + ours.values.sum(axis=2)
        np.testing.assert_allclose(sums, expected, rtol=0, atol=1e-9 * scale)
        explained += 1
    assert explained >= MUTANTS // 10
