"""A model is the same whether its rows are in the driver's process or on the executors."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from portfolio import FIRST
from pyspark.sql import functions as F

from kyros_spark.aggregates.batches import with_columns
from kyros_spark.aggregates.rows import ExecutorRows, collected
from kyros_spark.config import BoostingSettings, ModelSettings, load_config
from kyros_spark.fitting import glm_rows as glm_rows_module
from kyros_spark.fitting.balance import flat_load, rebalance_factor
from kyros_spark.fitting.boosting import _mean_score
from kyros_spark.fitting.calibrate import scored_rows
from kyros_spark.fitting.glm import fit_glm
from kyros_spark.fitting.glm_rows import glm_rows
from kyros_spark.fitting.interval import conformal_interval
from kyros_spark.fitting.leakage import one_way_d2
from kyros_spark.fitting.metrics import PREDICTED, quality
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, modelled, of_split
from kyros_spark.fitting.sample import DRAW, _totals, drawn, with_draw
from kyros_spark.fitting.spec import exposure_spreads, fit_features
from kyros_spark.model.artefact import read_model

ENDS = ("split", LABEL, WEIGHT, OFFSET)
FEATURES = ["fuel", "place", "driver", "power", "log_bonus"]


@pytest.fixture(scope="module")
def config(finished):
    return load_config(str(finished.config_file()))


@pytest.fixture(scope="module")
def prepared(finished, spark):
    rows = with_draw(finished.read(spark, "prepared", FIRST), ["policy_id"])
    rows = rows.withColumns({"policies": F.lit(1.0), "hit": F.expr("double(claim_count > 0)")})
    rows = rows.repartition(3, F.hash("policy_id")).cache()
    return collected(rows.coalesce(1)), ExecutorRows(rows)


def premium_of(rows, config):
    """Return the rows of the Tweedie model with what judges it, scored by its registered file."""
    settings = config.train.models["premium"]
    settings = settings.model_copy(
        update={"interval": config.train.models["pure_premium"].interval}
    )
    folder = Path(config.tables.artefact_folder()) / "premium"
    model = read_model(next(folder.glob("1-*.kyros")).read_bytes())
    keep = ["split", "exposure", "claim_excess", *(f.name for f in model.manifest.features)]
    judged = modelled(rows, settings, keep)
    return judged, scored_rows(judged, [*keep, *ENDS], [model], settings), settings


def count_of(rows, config):
    """Return the training part of the claim counts, and its settings."""
    settings, keep = config.train.models["frequency"], [*FEATURES, "exposure", "split", DRAW]
    judged = modelled(rows, settings, keep)
    return of_split(judged, [*keep, LABEL, WEIGHT, OFFSET], ("train", "valid")), settings, keep


def hit_of(rows):
    """Return the rows of a probability, judged by one that is not its fit, and its settings."""
    settings = ModelSettings(method="boosting", family="binomial", target="hit", per="policies")
    keep = [*FEATURES, "exposure", "split"]
    judged = modelled(rows, settings, keep)

    def scored(batch):
        bonus = batch.column("log_bonus").fill_null(0.0).to_numpy(zero_copy_only=False)
        return with_columns(batch, ENDS, {PREDICTED: 1 / (1 + np.exp(1 - bonus))})

    return judged, judged.changed(["log_bonus", *ENDS], scored), settings


def spec_of(rows, config):
    train, settings, _ = count_of(rows, config)
    return fit_features(train, config.prepare, FEATURES, settings)


def sampled(rows, config):
    train, _, keep = count_of(rows, config)
    totals = _totals(drawn(train, keep, 60))
    return {f"{part} {name}": value for part, of in totals.items() for name, value in of.items()}


def moments_of(rows, config):
    train = count_of(rows, config)[0]
    numbers = [feature for feature in spec_of(rows, config) if feature.kind == "numeric"]
    with glm_rows(train, numbers, config.train.models["frequency"]) as design:
        layout = design.fitted.layout
    return [*layout.centre, *layout.scale]


# Every sum of a fit: those that enter a model file, and those that only judge it.
SUMS = {
    "levels and means": lambda rows, c: [feature.model_dump() for feature in spec_of(rows, c)],
    "spreads": lambda rows, c: exposure_spreads(rows, ["power", "log_bonus"]),
    "one-way strength": lambda rows, c: one_way_d2(
        count_of(rows, c)[0], 100, spec_of(rows, c), count_of(rows, c)[1]
    ),
    "mean score": lambda rows, c: _mean_score(count_of(rows, c)[0], BoostingSettings()),
    "moments": moments_of,
    "balance": lambda rows, c: rebalance_factor("m", premium_of(rows, c)[1]),
    "load": lambda rows, c: flat_load(premium_of(rows, c)[0], premium_of(rows, c)[2]),
    "metrics": lambda rows, c: quality(*premium_of(rows, c)[1:]),
    "interval": lambda rows, c: conformal_interval("m", *premium_of(rows, c)[1:]).model_dump(),
    "sample": sampled,
    "one-way strength of a probability": lambda rows, c: one_way_d2(
        hit_of(rows)[0], 100, spec_of(rows, c), hit_of(rows)[2]
    ),
    "mean score of a probability": lambda rows, c: _mean_score(
        hit_of(rows)[0], BoostingSettings(), "logit"
    ),
    "metrics of a probability": lambda rows, c: quality(*hit_of(rows)[1:]),
}


@pytest.mark.repeats
@pytest.mark.parametrize("name", list(SUMS))
def test_every_sum_of_a_fit_is_the_same_both_ways(name, prepared, config):
    here, there = (SUMS[name](rows, config) for rows in prepared)
    assert here and here == there  # to the last digit: 1e-12 would do


@pytest.mark.slow
def test_a_logit_is_the_same_wherever_its_rows_are(prepared, config, monkeypatch):
    monkeypatch.setattr(glm_rows_module, "_is_small", lambda *_: False)  # they stay on the cluster
    settings = hit_of(prepared[0])[2].model_copy(update={"method": "glm"})
    names = [*FEATURES, LABEL, WEIGHT, OFFSET]
    fits = [
        fit_glm(of_split(hit_of(rows)[0], [*names, "split"], ("train",)), spec_of(rows, config),
                settings)
        for rows in prepared
    ]  # fmt: skip
    assert [fit.rows_held for fit in fits] == ["driver", "cluster"]
    for name in ("coefficient", "standard_error"):  # a base level has no standard error
        here, there = (
            [getattr(term, name) for term in fit.coefficients if not term.is_base] for fit in fits
        )
        assert there == pytest.approx(here, rel=1e-10, abs=1e-12)
    assert fits[0].statistics == pytest.approx(fits[1].statistics, rel=1e-12)
    glm = settings.glm.model_copy(update={"solver": "mllib"})
    rows = of_split(hit_of(prepared[1])[0], [*names, "split"], ("train",))
    mllib = fit_glm(rows, spec_of(prepared[1], config), settings.model_copy(update={"glm": glm}))
    for name, table in fits[0].tables.items():
        assert mllib.tables[name] == pytest.approx(table, rel=1e-5, abs=1e-7)
    assert mllib.slopes == pytest.approx(fits[0].slopes, rel=1e-5)


@pytest.fixture(scope="module")
def both(finished, spark, tmp_path_factory):
    """The models of the tiny portfolio trained here and on the executors: rows of `models`."""
    answers = []
    for words in ("", " --set spark.local_rows=0"):
        twin = finished.copy_to(tmp_path_factory.mktemp("both"))
        for table in ("models", "relativities"):
            shutil.rmtree(twin.base / table)
        twin.must(f"train{words}")
        rows = twin.read(spark, "models").collect()
        answers.append({row["model_name"]: row for row in rows})
    return answers


@pytest.mark.slow
def test_a_model_is_the_same_file_wherever_its_rows_were(both, finished):
    """One worker of xgboost.spark and xgboost here agree to the bit: threads change no sum."""
    here, there = both
    assert set(here) == set(finished.settings["train"]["models"])
    assert {name: row["sha256"] for name, row in here.items()} == {
        name: row["sha256"] for name, row in there.items()
    }
    for name, row in here.items():
        assert row["metrics"] == pytest.approx(there[name]["metrics"], rel=1e-12)


def test_a_bounded_fit_takes_the_rows_it_may_and_keeps_their_totals(prepared, config):
    rows = prepared[0]
    train, _, keep = count_of(rows, config)
    everything, totals = _totals(train), _totals(drawn(train, keep, 60))
    for part in ("train", "valid"):
        for name in ("target", "units"):
            whole = everything[f"{part} 0"][name] + everything[f"{part} 1"][name]
            kept = totals[f"{part} 0"][name] + totals[f"{part} 1"][name]
            assert kept == pytest.approx(whole, rel=1e-12)
    assert 50 < sum(of["rows"] for of in totals.values()) <= 60
    assert _totals(drawn(train, keep, 10_000)) == everything


def test_train_fits_on_as_many_rows_as_the_setting_allows(portfolio, spark):
    portfolio.set("train.models.boosted.boosting.rows", 100)
    line = portfolio.must("train")
    assert line["details"]["boosted"]["how"] == "trained"
    rows = portfolio.read(spark, "models").where("model_name = 'boosted'").collect()
    metrics = {row["model_version"]: row["metrics"] for row in rows}
    assert metrics[1]["all_rows"] == metrics[2]["all_rows"] == 120  # judged on all rows
    assert metrics[1]["train_deviance"] != metrics[2]["train_deviance"]
