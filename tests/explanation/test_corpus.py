"""Contributions add up for every model that damage leaves readable: the fuzz test's mutants."""

import contextlib
import os

import numpy as np
import pytest

from benchmarks.fuzz_models_judge import WAYS, options_of, rows_of
from benchmarks.fuzz_models_mllib import damaged
from benchmarks.fuzz_models_own import by_arrays
from benchmarks.fuzz_models_subjects import MODELS, own_model
from kyros_spark.errors import CoversMissingError, KyrosError
from kyros_spark.explanation.covers import measured_covers
from kyros_spark.explanation.explainer import Explainer
from kyros_spark.model.artefact import model_to_bytes, read_model
from kyros_spark.model.importers.recognise import import_model
from tests.explanation.subjects import sums_of_leaves
from tests.scoring.boosters import columns_of

MUTANTS = max(int(os.environ.get("KYROS_FUZZ", "300")) // 10, 30)


@pytest.fixture
def mutants(tmp_path):
    """Return what yields the models of a format that damage leaves readable."""

    def readable(form, rng):
        data = MODELS[form]() if form in MODELS else None
        whole = read_model(own_model())
        for number in range(MUTANTS):
            with contextlib.suppress(KyrosError):
                if form == "own":
                    yield read_model(model_to_bytes(by_arrays(whole, rng)))
                elif form == "mllib":
                    if damaged(number, rng, tmp_path / "mllib"):
                        yield imported(tmp_path / "mllib", form)
                else:
                    yield imported(WAYS[form][number % len(WAYS[form])](data, rng), form)

    return readable


def imported(source, form):
    return import_model(source, "m", "claims", **options_of(form))


@pytest.mark.parametrize("form", [*MODELS, "own", "mllib"])
def test_contributions_add_up_for_every_mutant_that_is_imported(form, mutants):
    explained = 0
    for model in mutants(form, np.random.default_rng(7)):
        rows = rows_of(model, 6)
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
    assert explained >= (1 if form in ("own", "mllib") else MUTANTS // 10)
