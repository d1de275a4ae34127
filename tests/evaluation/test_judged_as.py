"""What an imported model is judged as: a binary classifier of any library is a probability."""

from types import SimpleNamespace

import pytest

from kyros_spark.config import EvaluateSettings
from kyros_spark.evaluation.subjects import _judged_as, evaluated_model
from kyros_spark.model.importers import catboost_losses, lightgbm, mllib, onnx, xgboost
from kyros_spark.model.manifest import Manifest, Source

# Every objective of a library that is told apart from a probability by nothing but its name.
FAMILIES = {
    **{f"xgboost {name}": known for name, known in xgboost.OBJECTIVES.items()},
    **{f"lightgbm {name}": known for name, known in lightgbm.OBJECTIVES.items()},
    **{f"catboost {name}": known for name, known in catboost_losses.LOSSES.items()},
    **{f"mllib {name}": known for name, known in mllib.TREES.items()},
    **{f"onnx {link}": (family, link) for link, family in onnx.FAMILIES.items()},
}
BINARY = {name: known for name, known in FAMILIES.items() if known[0] == "binomial"}


def manifest(name, family, link):
    return Manifest(
        name="lapse", kind="trees", source=Source(library="other", version="1"), family=family,
        link=link, target="lapsed", per="policies", objective=name.split()[1], intercept=0.0,
        features=(),
    )  # fmt: skip


@pytest.mark.parametrize("name", list(BINARY))
def test_a_binary_classifier_is_judged_as_a_probability_and_a_margin_is_not(name):
    family, link = BINARY[name]
    settings, reason = _judged_as("lapse", [manifest(name, family, link)], EvaluateSettings())
    if name == "xgboost binary:logitraw":
        assert settings is None and "import the model with --link logit" in reason
        settings, reason = _judged_as("l", [manifest(name, family, "logit")], EvaluateSettings())
    assert (settings.family, settings.target, settings.per) == ("binomial", "lapsed", "policies")
    assert reason == ""


def test_every_library_has_a_binary_classifier():
    assert {name.split()[0] for name in BINARY} == {name.split()[0] for name in FAMILIES}


@pytest.mark.parametrize("of_product", [0.0, 3.5])
@pytest.mark.parametrize("of_beside", [0.0, 2.0])
def test_what_stands_beside_a_composite_is_judged_by_the_amounts_that_it_predicts(
    of_product, of_beside
):
    """Only a model that carries the large losses is expected to reach them."""

    def stored(load, family="tweedie", parts=()):
        return SimpleNamespace(
            manifest=SimpleNamespace(
                family=family, target="claim_amount", per="exposure", large_loss_load=load,
                parts=parts, outputs=(), objective="", link="log", features=(), training={},
            )
        )  # fmt: skip

    beside = SimpleNamespace(name="premium", version=7, role="beside")
    models = {
        ("both", "1"): stored(of_product, parts=(beside,)), ("premium", "7"): stored(of_beside),
    }  # fmt: skip
    registry = SimpleNamespace(load=lambda entry: (entry, b""))
    for name, load in (("both", of_product), ("both.premium", of_beside)):
        judged = evaluated_model(registry, models, 0, (name, "1"), EvaluateSettings(), 1)
        expected = "claim_amount_with_excess" if load else "claim_amount"
        assert judged.settings.target == expected, name
