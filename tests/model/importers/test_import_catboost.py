"""A CatBoost model's ONNX predicts what CatBoost does, whose files leave the inverse link out."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from kyros_spark.errors import UsageError
from kyros_spark.model.importers.catboost_losses import LOSSES
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer

STORED = json.loads((Path(__file__).parents[1] / "stored/catboost-onnx.json").read_text())
ROWS = [np.ascontiguousarray(column) for column in np.array(STORED["rows"], np.float32).T]


def imported(loss, metadata=b"params", **options):
    data = base64.b64decode(STORED["models"][loss]["onnx"])
    assert b"params" in data  # first the entry's name, then the loss's own parameters
    data = data.replace(b"params", metadata, 1)
    return import_model(data, "m", "claims", features=["a", "b"], **options)


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_known_predicts_as_catboost(loss):
    model = imported(loss)
    assert (model.manifest.objective, model.manifest.family, model.manifest.link) in (
        (loss, *LOSSES[loss]),
        ("TreeEnsembleClassifier", *LOSSES[loss]),
    )
    expected = STORED["models"][loss]["predicted"]
    np.testing.assert_allclose(Scorer(model).response(ROWS), expected, rtol=1e-6, atol=1e-7)


def test_a_poisson_model_gives_counts_and_no_logarithms():
    assert Scorer(imported("Poisson")).response(ROWS).min() > 0
    assert Scorer(imported("Poisson", link="identity")).response(ROWS).min() < 0


def test_a_loss_not_known_or_not_in_the_file_asks_for_the_link():
    with pytest.raises(UsageError, match="found LogLinQuantile; .*--link log"):
        imported("LogLinQuantile")
    model = imported("LogLinQuantile", link="log")
    raw = STORED["models"]["LogLinQuantile"][
        "predicted"
    ]  # CatBoost's predict leaves it a logarithm
    np.testing.assert_allclose(Scorer(model).response(ROWS), np.exp(raw), rtol=1e-6)
    with pytest.raises(UsageError, match="found none in the file"):
        imported("Poisson", metadata=b"others")
    assert imported("Poisson", metadata=b"others", link="log").manifest.link == "log"
