"""A deviance is shown with the power or theta that it is of."""

from kyros_spark.config import ModelSettings
from kyros_spark.evaluation.report.measured import measure, measures
from kyros_spark.evaluation.results import own_parameters
from kyros_spark.evaluation.subjects import EvaluatedModel


def judged(number, family, **own):
    settings = ModelSettings(
        method="glm", family=family, target="claim_amount", per="exposure", **own
    )
    return EvaluatedModel(number, f"m{number}", "1", settings)


def test_the_power_or_theta_stands_beside_the_family_that_has_one():
    models = [judged(0, "tweedie", tweedie_power=1.6), judged(1, "negative_binomial", theta=0.5),
              judged(2, "poisson"), EvaluatedModel(3, "unknown", "1", None)]  # fmt: skip
    assert [own_parameters(model) for model in models] == [
        {"tweedie_power": 1.6, "theta": None},
        {"tweedie_power": None, "theta": 0.5},
        {"tweedie_power": None, "theta": None},
        {"tweedie_power": None, "theta": None},
    ]
    rows = [
        {"family": m.settings and m.settings.family, **own_parameters(m)}
        for m in (*models, *models)
    ]
    assert measure(rows[0]) == "tweedie 1.6" and measure(rows[3]) == ""
    assert measures(rows) == ["tweedie 1.6", "negative_binomial 0.5", "poisson"]
