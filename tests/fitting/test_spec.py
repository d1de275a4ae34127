"""What train learns of features: cut points against NumPy, order, base, rare and unseen levels."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from kyros_spark.aggregates.rows import ExecutorRows, collected
from kyros_spark.config import ModelSettings, PrepareSettings
from kyros_spark.errors import TrainingDataError
from kyros_spark.fitting.calibrate import calibrate
from kyros_spark.fitting.glm import fit_glm
from kyros_spark.fitting.rows import modelled
from kyros_spark.fitting.spec import exposure_spreads, fit_features
from kyros_spark.model.artefact import model_to_bytes, read_model
from kyros_spark.model.manifest import Feature, Manifest
from kyros_spark.scoring import arrow_features
from kyros_spark.scoring.udf import ScoringModel, predictions
from kyros_spark.transforms import encode
from kyros_spark.transforms.encode import encoded, is_unseen

FREQUENCY = {"method": "glm", "family": "poisson", "target": "claim_count", "per": "exposure"}
# level, number, exposure: city has the largest exposure, hamlet and farm the least.
ROWS = [
    ("city", 3.0, 1.0), ("city", 1.0, 1.0), ("city", 4.0, 1.0), ("village", 1.0, 1.0),
    ("village", 5.0, 0.9), ("suburb", 9.0, 1.0), ("hamlet", 2.0, 0.2), ("farm", None, 0.1),
]  # fmt: skip


def exactly(values, exposure, groups):
    """Return the cuts by their definition: below each, a share nearest to k / groups."""
    levels = np.unique(values)
    below = np.array([exposure[values < level].sum() for level in levels])
    near = {int(np.abs(below - exposure.sum() * k / groups).argmin()) for k in range(1, groups)}
    return [float(levels[place]) for place in sorted(near - {0})]


@pytest.fixture(scope="module")
def training(spark):
    return spark.createDataFrame(ROWS, "place string, value double, exposure double").cache()


def fitted(training, settings, **model):
    tree = {"exposure": "exposure", "split": {"by": ["place"]}, "features": settings}
    chosen = ModelSettings(**FREQUENCY, **model)
    return fit_features(training, PrepareSettings(**tree), list(settings), chosen)


def codes(frame, feature):
    return [row[0] for row in frame.select(encoded(feature, impute=True)).collect()]


@pytest.mark.parametrize("rows", [900, 60_000])
def test_cut_points_are_the_exposure_weighted_quantiles(spark, rows):
    random = np.random.default_rng(rows)
    skewed, exposure = np.exp(random.normal(size=rows)), random.uniform(0.1, 1, rows)
    exposure *= np.where(skewed > 1, 1.0, 0.3)  # or weighted and plain quantiles would agree
    tied = random.choice([0.0, 0.0, 0.0, 50.0, 51.0, 75.0], rows)
    table = np.column_stack([skewed, tied, exposure])
    frame = spark.createDataFrame(table.tolist(), "skewed double, tied double, exposure double")
    found = exposure_spreads(ExecutorRows(frame), ["skewed", "tied"])
    assert list(found["tied"].cuts(10)) == exactly(tied, exposure, 10) == [50.0, 51.0, 75.0]
    cuts = found["skewed"].cuts(10)
    if rows < 1000:
        assert list(cuts) == exactly(skewed, exposure, 10)
    shares = [exposure[skewed < cut].sum() / exposure.sum() for cut in cuts]
    assert shares == pytest.approx([k / 10 for k in range(1, 10)], abs=0.002)
    assert exposure[skewed < found["skewed"].median()].sum() / exposure.sum() == pytest.approx(
        0.5, abs=0.002
    )


def test_a_number_is_cut_where_train_learnt_to_whatever_comes_later(spark, training):
    (value,) = fitted(training, {"value": {"kind": "bins", "quantiles": 3}})
    assert (value.cuts, value.levels) == ((2.0, 5.0), ("<2", "2-<5", "5+", "(missing)"))
    assert value.levels[value.base_code] == "2-<5"
    later = spark.createDataFrame([(-1e9,), (1.999,), (2.0,), (1e9,), (None,)], "value double")
    assert codes(later, value) == [0, 0, 1, 2, 3]
    assert Feature.model_validate_json(value.model_dump_json()) == value


def test_a_number_that_never_varies_cannot_be_cut(spark):
    same = spark.createDataFrame([(7.0, 1.0), (7.0, 0.5)], "value double, exposure double")
    with pytest.raises(TrainingDataError, match="value: expected different numbers.* found one"):
        fitted(same, {"value": {"kind": "bins", "quantiles": 4}})


def test_codes_follow_the_declared_order_and_the_base_stays_the_largest(training):
    order = ["hamlet", "village", "suburb", "city"]
    (place,) = fitted(training, {"place": {"kind": "levels", "order": order}})
    assert place.levels == (*order, "farm") and place.levels[place.base_code] == "city"
    assert codes(training, place) == [3, 3, 3, 1, 1, 2, 0, 4]
    (named,) = fitted(training, {"place": {"kind": "levels", "order": order, "base": "suburb"}})
    assert (named.levels, named.base_code) == (place.levels, 2)
    (plain,) = fitted(training, {"place": {"kind": "levels"}})
    assert (plain.levels[0], plain.base_code) == ("city", 0)


def test_rare_and_unseen_levels_go_to_the_declared_place(spark, training):
    later = spark.createDataFrame([("city",), ("farm",), ("moon",), (None,)], "place string")
    for limits in ({"min_level_share": 0.1}, {"max_levels": 3}):
        (base,) = fitted(training, {"place": {"kind": "levels"}}, **limits)
        assert set(base.levels) == {"city", "village", "suburb"}
        assert codes(later, base) == [0, 0, 0, 0]
        (other,) = fitted(training, {"place": {"kind": "levels", "rare": "other"}}, **limits)
        assert other.levels == (*base.levels, "(other)")
        assert codes(later, other) == [0, 3, 3, 3]
        unseen = [row[0] for row in later.select(is_unseen(other)).collect()]
        assert unseen == [False, True, True, False]
    (whole,) = fitted(training, {"place": {"kind": "levels", "rare": "other"}})
    assert "(other)" not in whole.levels and codes(later, whole)[2] == whole.base_code


@pytest.mark.parametrize(
    ("impute", "value"), [("mean", 22.9 / 6.1), ("median", 3.0), (7, 7.0)], ids=str
)
def test_a_missing_number_is_what_was_declared_for_it(training, impute, value):
    (number,) = fitted(training, {"value": {"kind": "numeric", "impute": impute}})
    assert codes(training, number)[-1] == pytest.approx(value)


def test_an_earlier_format_version_cannot_hold_what_it_could_not_say():
    place = Feature(name="place", kind="levels", levels=("a", "b"), base_code=1)
    told = {
        "name": "m", "kind": "glm", "source": {"library": "l", "version": "1"}, "intercept": 0,
        "family": "poisson", "link": "log", "target": "claim_count", "features": [place],
    }  # fmt: skip
    assert Manifest(**told).features == (place,)
    with pytest.raises(ValueError, match="2 has no cuts or base_code"):
        Manifest(**told, format_version=2)


@pytest.fixture(scope="module")
def trained(finished, tmp_path_factory):
    """The tiny portfolio with an ordered, a grouped and a cut feature, trained and applied."""
    portfolio = finished.copy_to(tmp_path_factory.mktemp("spec"))
    features = portfolio.settings["prepare"]["features"]
    features["fuel"] |= {"order": ["electric", "diesel", "petrol"]}
    features["driver"] |= {"rare": "other"}
    features["power_class"] = {"kind": "bins", "column": "power", "quantiles": 2}
    models = portfolio.settings["train"]["models"]
    models["frequency"] |= {"max_levels": 2, "features": ["fuel", "driver", "power_class"]}
    portfolio.settings["train"]["models"] = {n: models[n] for n in ("frequency", "boosted")}
    portfolio.settings["predict"] = {"models": ["frequency", "boosted"]}
    portfolio.line = portfolio.must("run --batch 2023 --batch 2024")
    return portfolio


def manifest_of(portfolio, name):
    (path,) = sorted((portfolio.base / "artefacts" / name).glob("2-*.kyros"))
    return read_model(path.read_bytes()).manifest


def place_of(rows, column, other):
    """Return the level each row counts as: one of the two largest of the training part, or other."""
    given = rows[column].fillna("(missing)")
    train = (rows.split == "train") & (rows.batch_id == "2023")
    largest = rows.exposure[train].groupby(given[train]).sum().nlargest(2).index
    return given.where(given.isin(largest), largest[0] if other == "base" else other)


def test_ordered_grouped_and_cut_features_predict_as_statsmodels_fits_them(trained, spark):
    rows = trained.read(spark, "prepared").toPandas()
    told = trained.read(spark, "predictions").where("model_name = 'frequency'").toPandas()
    rows = rows.merge(told[["batch_id", "policy_id", "prediction"]])
    train = (rows.split == "train") & (rows.batch_id == "2023")
    power, exposure = rows.power_class[train], rows.exposure[train]
    given = power.notna()
    (cut,) = exactly(power[given].to_numpy(), exposure[given].to_numpy(), 2)
    named = (rows.power_class >= cut).map({True: "high", False: "low"})
    rows["power_level"] = named.where(rows.power_class.notna())
    terms = {
        "fuel": place_of(rows, "fuel", "base"),
        "driver": place_of(rows, "driver", "(other)"),
        "power": place_of(rows, "power_level", "base"),
    }
    assert set(terms["driver"]) >= {"(other)"} and len(set(terms["fuel"])) == 2
    design = sm.add_constant(pd.get_dummies(pd.DataFrame(terms), drop_first=True, dtype=float))
    family = sm.families.Poisson()
    fit = sm.GLM(
        rows.claim_count[train], design[train], family=family, offset=np.log(rows.exposure[train])
    ).fit(tol=1e-12)
    np.testing.assert_allclose(rows.prediction, fit.predict(design, offset=0), rtol=1e-6)


def test_trees_see_levels_and_bins_in_their_order(trained):
    features = {feature.name: feature for feature in manifest_of(trained, "boosted").features}
    assert features["fuel"].levels == ("electric", "diesel", "petrol")
    assert features["driver"].levels == ("<30", "30-<50", "50+")
    assert features["power_class"].levels[-1] == "(missing)" and features["power_class"].cuts


def test_a_changed_encoding_reaches_the_fit_the_judgement_and_the_prediction(
    finished, spark, monkeypatch
):
    """Training has one encoding of batches, and scoring one of SQL; test_arrow_features: alike."""
    (path,) = (finished.base / "artefacts" / "frequency").glob("*.kyros")
    model = read_model(path.read_bytes())
    settings = ModelSettings(**finished.settings["train"]["models"]["frequency"])
    prepared = finished.read(spark, "prepared", "2023").cache()
    features = model.manifest.features
    here = collected(prepared)

    def all_three():
        rows = modelled(here, settings, [*(feature.name for feature in features), "split"])
        score = predictions(spark, [ScoringModel("frequency", model, model_to_bytes(model))])
        return (
            fit_glm(rows, features, settings).tables,
            calibrate("frequency", model, [model], here, settings)[1]["train_deviance"],
            [row[0] for row in prepared.select(score["frequency"]).collect()],
        )

    before, code, codes = all_three(), encode._code, arrow_features._codes
    monkeypatch.setattr(encode, "_code", lambda f: f"(({code(f)}) + 1) % {len(f.levels)}")
    monkeypatch.setattr(
        arrow_features, "_codes", lambda f, column: (codes(f, column) + 1) % len(f.levels)
    )
    after = all_three()
    assert all(one != other for one, other in zip(before, after, strict=True))
    monkeypatch.undo()
    assert before == all_three()
