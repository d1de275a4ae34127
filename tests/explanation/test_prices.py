"""A price is the sum of its parts' contributions: lists, rests and products add up to it."""

import math

import numpy as np
import pyarrow as pa
import pytest
import xgboost

from kyros_spark.errors import ModelNotSupportedError
from kyros_spark.explanation.explaining_pass import ExplainingModel, ExplainingPass
from kyros_spark.explanation.ranking import listed, ranked
from kyros_spark.model.artefact import model_to_bytes
from kyros_spark.model.glm import glm_model
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.model.manifest import Feature, Manifest, Source
from kyros_spark.model.predicted_column import PredictedColumn
from kyros_spark.scoring.scoring_pass import ScoringModel, inputs_of, pass_models, scores
from kyros_spark.stages.explain.prices import prices_of
from kyros_spark.stages.predict.scoring_plan import ScoringPlan
from tests.scoring.boosters import boost, model_of, training_rows

FUEL = Feature(name="fuel", kind="levels", levels=("petrol", "diesel"))
AGE = Feature(name="age", kind="numeric", impute=40.0)
AREA = Feature(name="area", kind="levels", levels=("A", "B"))
ROWS = pa.RecordBatch.from_pydict(
    {
        "fuel": pa.array(["petrol", "diesel", "hydrogen", None]),
        "age": pa.array([50.0, 20.0, None, 40.0]),
        "area": pa.array(["B", "A", "B", "B"]),
    }
)
FREQUENCY = {"tables": {"fuel": [0.0, 0.5]}, "slopes": {"age": -0.01}, "features": (FUEL, AGE)}
SEVERITY = {
    "tables": {"fuel": [0.0, -0.2], "area": [0.0, 0.3]},
    "slopes": {},
    "features": (FUEL, AREA),
}


def glm(name, tables, slopes, features, **facts):
    manifest = Manifest(
        name=name, kind="glm", source=Source(library="kyros-spark", version="1"), features=features,
        **{"family": "poisson", "link": "log", "target": "claims", "intercept": -1.0, **facts},
    )  # fmt: skip
    model = glm_model(manifest, tables, slopes)
    return ScoringModel(name, model, model_to_bytes(model))


def plan_of(*models, **product):
    """Return the plan of these models, and of their product as if a composite pinned them."""
    outputs = [
        PredictedColumn(f"_{n}", name, "1", (name,), True)
        for n, name in enumerate(name for model in models for name in model.outputs)
    ]
    if product:
        names = tuple(model.name for model in models)
        outputs.append(PredictedColumn("_p", "product", "2", names, True, **product))
    return ScoringPlan(list(models), ["" for _ in models], outputs)


def explained(plan, rows=ROWS):
    inputs, reads = inputs_of(plan.models)
    alone = [[n] for n in range(len(plan.models))]
    workers = pass_models(plan.models, reads, "numpy", lambda _, data: data, alone)
    models = tuple(ExplainingModel(worker, "numpy", 1 << 20) for worker in workers)
    return ExplainingPass(models, tuple(inputs), prices_of(plan)).opened()(rows)


def test_a_glms_contributions_are_coefficient_times_value_and_its_rebalance_is_in_the_base():
    (rows,) = explained(plan_of(glm("frequency", **FREQUENCY, rebalance=1.1, large_loss_load=7.0)))
    assert rows.price.features == ("fuel", "age")
    np.testing.assert_allclose(rows.values, [[0, -0.5], [0.5, -0.2], [0, -0.4], [0, -0.4]])
    assert rows.base == pytest.approx(-1 + math.log(1.1)) and rows.price.shown_load == 7.0
    np.testing.assert_allclose(rows.prediction, np.exp(rows.base + rows.values.sum(axis=1)) + 7)


def test_a_products_contributions_are_those_of_its_parts_added_by_name():
    plan = plan_of(
        glm("frequency", **FREQUENCY), glm("severity", **SEVERITY, rebalance=2.0),
        factor=1.25, load=10.0,
    )  # fmt: skip
    frequency, severity, product = explained(plan)
    assert product.price.features == ("fuel", "age", "area") and product.price.version == "2"
    np.testing.assert_allclose(product.values[:, 0], frequency.values[:, 0] + severity.values[:, 0])
    np.testing.assert_allclose(product.values[:, 1], frequency.values[:, 1])
    np.testing.assert_allclose(product.values[:, 2], severity.values[:, 1])
    assert product.base == pytest.approx(frequency.base + severity.base + math.log(1.25))
    expected = frequency.prediction * severity.prediction * 1.25 + 10.0
    np.testing.assert_array_equal(product.prediction, expected)
    np.testing.assert_allclose(np.exp(product.raw) + 10.0, expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"link": "identity", "family": "gaussian"}, "link identity"),
        ({"large_loss_load": 5.0}, "with a load"),
    ],
)
def test_a_product_that_is_no_sum_is_refused(facts, words):
    plan = plan_of(glm("frequency", **FREQUENCY), glm("severity", **SEVERITY, **facts), load=1.0)
    with pytest.raises(ModelNotSupportedError, match=words):
        prices_of(plan)


@pytest.mark.parametrize(
    ("facts", "response"),
    [
        ({"link": "identity", "family": "gaussian", "rebalance": 1.5}, lambda raw: raw),
        ({"link": "logit", "family": "binomial"}, lambda raw: 1 / (1 + np.exp(-raw))),
        ({"link": "log", "sigmoid": 2.0}, np.exp),
    ],
)
def test_base_and_contributions_give_the_prediction_through_every_link(facts, response):
    model = glm("frequency", **FREQUENCY, **facts)
    (rows,) = explained(plan_of(model))
    np.testing.assert_allclose(response(rows.base + rows.values.sum(axis=1)), rows.prediction)
    np.testing.assert_array_equal(rows.prediction, scores([model], [ROWS], "numpy")["frequency"])


def test_the_list_and_the_rest_add_up_to_the_raw_score_whatever_the_length():
    booster, data = boost(8, max_depth=4), training_rows(300)[0]
    model = model_of(booster, "ubj")
    names = [feature.name for feature in model.manifest.features]
    batch = pa.RecordBatch.from_arrays([pa.array(data[:, n]) for n in range(len(names))], names)
    plan = plan_of(ScoringModel("boosted", model, model_to_bytes(model)))
    (rows,) = explained(plan, batch)
    columns = [batch.column(name) for name in rows.price.features]
    for top in (1, 3, 100, None):
        contributions, rest = listed(rows, columns, top)
        lists = contributions.to_pylist()
        sums = [sum(c["contribution"] for c in entries) for entries in lists]
        np.testing.assert_allclose(rows.base + np.array(sums) + rest, rows.raw, rtol=1e-14)
        assert max(map(len, lists)) <= (top or len(columns))
        for entries in lists:
            sizes = [abs(c["contribution"]) for c in entries]
            assert sizes == sorted(sizes, reverse=True)
    assert np.abs(rest).max() < 1e-5, "of all contributions, rounding alone is left"
    assert {len(entries) for entries in lists} == {len(columns)}


def test_each_listed_contribution_comes_with_its_feature_value_and_relativity():
    (rows,) = explained(plan_of(glm("frequency", **FREQUENCY)))
    contributions, rest = listed(rows, [ROWS.column(n) for n in rows.price.features], 5)
    shown = [
        [(c["feature"], c["value"], round(c["contribution"], 6)) for c in entries]
        for entries in contributions.to_pylist()
    ]
    assert shown == [
        [("age", "50", -0.5)],
        [("fuel", "diesel", 0.5), ("age", "20", -0.2)],
        [("age", None, -0.4)],
        [("age", "40", -0.4)],
    ]
    relativities = [c["relativity"] for e in contributions.to_pylist() for c in e]
    assert relativities == pytest.approx([math.exp(x) for x in (-0.5, 0.5, -0.2, -0.4, -0.4)])
    assert rest == pytest.approx([0, 0, 0, 0], abs=1e-15)


def test_features_that_no_split_reads_are_not_among_a_price():
    booster = boost(3, max_depth=1)
    model = model_of(booster, "ubj")
    (price,) = prices_of(plan_of(ScoringModel("stumps", model, model_to_bytes(model))))
    used = {f"{name}" for name in booster.get_score(importance_type="weight")}
    named = {feature.name for feature in model.manifest.features}
    assert set(price.features) < named and len(price.features) == len(used)


def test_of_classes_each_has_a_price_of_its_own_on_the_raw_scale():
    data = training_rows(50)[0]
    label = xgboost.DMatrix(data, np.arange(50) % 3)
    settings = {"objective": "multi:softprob", "num_class": 3, "max_depth": 3, "nthread": 1}
    booster = xgboost.train(settings, label, 4)
    names = [f"f{n}" for n in range(data.shape[1])]
    model = import_model(bytes(booster.save_raw("ubj")), "kind", "claims", features=names)
    batch = pa.RecordBatch.from_arrays([pa.array(data[:, n]) for n in range(len(names))], names)
    classes = explained(plan_of(ScoringModel("kind", model, model_to_bytes(model))), batch)
    assert [rows.price.link for rows in classes] == ["softmax"] * 3
    assert not any(rows.price.multiplies for rows in classes)
    raw = np.stack([rows.base + rows.values.sum(axis=1) for rows in classes], axis=1)
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    for k, rows in enumerate(classes):
        np.testing.assert_allclose(rows.prediction, shares[:, k], rtol=1e-5)


def test_ties_and_what_is_no_number_are_ranked_by_a_rule():
    values = np.array([[1.0, -1.0, 0.0], [0.0, np.nan, 5.0], [0.0, 0.0, 0.0]])
    best = ranked(values, 2)
    assert best.feature.tolist() == [0, 1, 1, 2]
    assert best.row.tolist() == [0, 0, 1, 1] and best.offsets.tolist() == [0, 2, 4, 4]
    assert ranked(values, None).offsets.tolist() == [0, 3, 6, 9]


def test_an_infinite_score_leaves_no_rest_and_no_wrong_sum():
    steep = glm("frequency", {}, {"age": 1e308}, (Feature(name="age", kind="numeric"),))
    rows = pa.RecordBatch.from_pydict({"age": pa.array([50.0, 0.0])})
    (result,) = explained(plan_of(steep), rows)
    contributions, rest = listed(result, [rows.column("age")], 5)
    assert np.isinf(result.prediction[0]) and np.isnan(rest[0]) and rest[1] == 0
    assert contributions.to_pylist()[0][0]["contribution"] == math.inf
