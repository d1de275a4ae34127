"""A model with segments: what its file holds, how it scores, and what credibility does to it."""

import numpy as np
import pyarrow as pa
import pytest

from kyros_spark.aggregates.rows import DriverRows
from kyros_spark.config import ModelSettings
from kyros_spark.errors import ModelFormatError, ModelNotSupportedError
from kyros_spark.explanation.explainer import Explainer
from kyros_spark.fitting.glm import fit_glm
from kyros_spark.fitting.relativities import training_record
from kyros_spark.fitting.segments.credibility import between_variance, credibility
from kyros_spark.fitting.segments.model import with_segments
from kyros_spark.fitting.segments.results import (
    StoredSegments,
    relativities_of_segments,
    segments_rows,
)
from kyros_spark.model.artefact import Model, model_to_bytes, read_model
from kyros_spark.model.exporters.onnx import _check
from kyros_spark.model.glm import glm_model
from kyros_spark.model.manifest import Feature, Manifest, Source
from kyros_spark.model.segments import key_feature
from kyros_spark.scoring.scorer import Scorer

AREA = Feature(name="area", kind="levels", levels=("a", "b", "c"))
AGE = Feature(name="age", impute=40.0)
REGIONS, TOWNS = 4, 3  # towns per region; the last region is small
COUNT = 9000


@pytest.fixture(scope="module")
def book():
    """Return rows by region and town; a few rows have no town, and town r0t0 has no claims."""
    random = np.random.default_rng(5)
    region = np.minimum(random.integers(0, 10, COUNT) // 3, REGIONS - 1)
    town, area = random.integers(0, TOWNS, COUNT), random.integers(0, 3, COUNT)
    age, units = random.uniform(18, 80, COUNT), random.uniform(0.2, 1.0, COUNT)
    level = random.normal(0, 0.4, (REGIONS, TOWNS))[region, town]
    effect = np.array([0.0, 0.4, -0.3])[area]
    claims = random.poisson(units * np.exp(level + effect - age / 50)).astype(float)
    claims[(region == 0) & (town == 0)] = 0.0
    towns = [
        f"r{r}t{t}" if n % 50 else None for n, (r, t) in enumerate(zip(region, town, strict=True))
    ]
    return pa.table(
        {
            "area": np.array(AREA.levels)[area],
            "age": age,
            "region": np.array([f"r{r}" for r in range(REGIONS)])[region],
            "town": towns,
            "_label": claims,
            "_weight": np.ones(COUNT),
            "_offset": np.log(units),
        }
    )


def fitted(book, credibility, **more):
    settings = ModelSettings(
        method="glm", family="poisson", target="claim_count", per="exposure",
        features=("area", "age"), by=("region", "town"), credibility=credibility,
        **{"min_rows": 100, "min_claims": 5, **more},
    )  # fmt: skip
    features = (AREA, AGE)
    levels = [sorted(set(book.column(name).drop_null().to_pylist())) for name in settings.by]
    keys = tuple(
        key_feature(Feature(name=name, kind="levels", levels=tuple(known)))
        for name, known in zip(settings.by, levels, strict=True)
    )
    rows = DriverRows(book)
    fit = fit_glm(rows, features, settings)
    record = {**training_record(fit), "settings": settings.model_dump(mode="json")}
    manifest = Manifest(
        name="frequency", kind="glm", source=Source(library="kyros-spark", version="1"),
        family="poisson", link="log", target="claim_count", per="exposure",
        intercept=fit.intercept, features=features, training=record,
    )  # fmt: skip
    parent = glm_model(manifest, fit.tables, fit.slopes)
    model = with_segments(parent, fit, rows, keys, settings)
    return parent, read_model(model_to_bytes(model))


@pytest.fixture(scope="module")
def models(book):
    return {name: fitted(book, name) for name in ("none", "buhlmann_straub", "ridge")}


def coded(model, book):
    """Return the book's columns as the scorer takes them."""
    columns = []
    for feature in model.manifest.features:
        values = book.column(feature.name).to_pylist()
        if feature.kind == "levels":
            codes = {level: code for code, level in enumerate(feature.levels)}
            columns.append(np.array([codes.get(v, feature.unseen_code) for v in values], float))
        else:
            columns.append(np.array(values))
    return columns


def segments_of(model):
    return segments_rows(StoredSegments(model), {"model_name": "f"}).to_pylist()


@pytest.mark.parametrize("credibility", ["none", "buhlmann_straub", "ridge"])
def test_a_row_is_scored_by_the_coefficients_that_relativities_tell_of_its_segment(
    models, book, credibility
):
    parent, model = models[credibility]
    told = {}
    for batch in relativities_of_segments(StoredSegments(model), {"model_name": "f"}):
        for row in batch.to_pylist():
            key = (row["feature"], row["level"])
            told.setdefault(row["segment"], {})[key] = row["coefficient"]
    columns = coded(model, book)
    scorer = Scorer(model)
    raw = scorer.raw(columns)
    np.testing.assert_array_equal(raw, Scorer(model, "numpy").raw(columns))
    of_parent = Scorer(parent).raw(columns[:2])
    regions, towns = book.column("region").to_pylist(), book.column("town").to_pylist()
    areas, ages = book.column("area").to_pylist(), book.column("age").to_pylist()
    by_parent = 0
    for n in range(0, COUNT, 7):
        terms = told.get(f"{regions[n]} / {towns[n]}") or told.get(regions[n])
        if terms is None:
            by_parent += 1
            assert raw[n] == pytest.approx(of_parent[n], abs=1e-12)
            continue
        expected = terms["(intercept)", None] + terms["area", areas[n]]
        assert raw[n] == pytest.approx(expected + terms["age", None] * ages[n], abs=1e-10)
    assert len(told) > 8 and by_parent < COUNT / 7
    explained = Explainer(model).contributions(columns)
    np.testing.assert_allclose(explained.base + explained.values[:, 0].sum(axis=1), raw, atol=1e-12)


def test_an_unseen_key_takes_the_region_and_a_missing_one_the_pooled_fit(models):
    parent, model = models["none"]
    known = {"area": 1.0, "age": 30.0}
    region = Scorer(model).raw([np.array([v]) for v in (*known.values(), 1.0, 0.0)])
    stored = StoredSegments(model)
    assert stored.has_own[stored.kept == 1][0], "the first region has a fit"
    whole = Scorer(model).raw([np.array([v]) for v in (*known.values(), 0.0, 0.0)])
    assert whole == Scorer(parent).raw([np.array([v]) for v in known.values()])
    assert region != whole
    elsewhere = Scorer(model).raw([np.array([v]) for v in (*known.values(), 1.0, 5.0)])
    assert elsewhere == region, "town 5 is another region's: no such combination was trained"


def test_the_table_says_what_became_of_each_segment(models, book):
    rows = {row["segment"]: row for row in segments_of(models["none"][1])}
    assert len(rows) == REGIONS + REGIONS * TOWNS
    silent = rows["r0 / r0t0"]
    assert (silent["status"], silent["reason"]) == ("parent", "no claims at all")
    assert silent["parent"] == "r0" and silent["deviance"] is None
    ordinary = rows["r1 / r1t1"]
    assert ordinary["status"] == "fitted" and ordinary["converged"] and not ordinary["reason"]
    assert 0 < ordinary["deviance"] <= ordinary["null_deviance"]
    with_town = sum(town is not None for town in book.column("town").to_pylist())
    assert sum(row["rows"] for name, row in rows.items() if "/" in name) == with_town
    assert sum(row["rows"] for name, row in rows.items() if "/" not in name) == COUNT


def test_credibility_meets_actual_over_expected_by_its_weight(models, book):
    _, model = models["buhlmann_straub"]
    units = np.exp(book.column("_offset").to_numpy())
    expected = np.exp(Scorer(model).raw(coded(model, book))) * units
    labels = [
        f"{r} / {t}"
        for r, t in zip(*(book.column(n).to_pylist() for n in model.manifest.by), strict=True)
    ]
    predicted = {}
    for label, value in zip(labels, expected.tolist(), strict=True):
        predicted[label] = predicted.get(label, 0.0) + value
    towns = [row for row in segments_of(model) if "/" in row["segment"]]
    for row in towns:
        wanted = row["expected"] + row["credibility"] * (row["observed"] - row["expected"])
        assert predicted[row["segment"]] == pytest.approx(wanted, rel=1e-9)
        assert 0 < row["credibility"] < 1 or row["status"] == "parent"
    silent = next(row for row in towns if row["observed"] == 0)
    assert silent["status"] == "level" and silent["reason"] == "no claims at all"


def test_the_variance_between_segments_is_buhlmann_and_straubs():
    """Their estimator with known variances within: on averages, it gives back the true one."""
    random = np.random.default_rng(3)
    weights = random.uniform(5, 50, (4000, 12))
    values = random.normal(1.0, 0.3, (4000, 12)) + random.normal(0, 1 / np.sqrt(weights))
    estimates = []
    for value, weight in zip(values, weights, strict=True):
        mean = (weight * value).sum() / weight.sum()
        by_hand = ((weight * (value - mean) ** 2).sum() - 11) / (
            weight.sum() - (weight**2).sum() / weight.sum()
        )
        found = between_variance(value, weight)
        assert found.between == pytest.approx(max(by_hand, 0.0), rel=1e-12)
        estimates.append(found.between)
    assert np.mean(estimates) == pytest.approx(0.09, rel=0.02)
    spread = between_variance(values[0], weights[0])
    np.testing.assert_allclose(
        credibility(spread, weights[0]), weights[0] / (weights[0] + 1 / spread.between)
    )
    assert between_variance(np.array([1.0]), np.array([5.0])).between == 0.0
    assert between_variance(np.ones(5), np.full(5, 9.0)).between == 0.0


def test_export_refuses_segments_by_name(models):
    _, model = models["none"]
    with pytest.raises(ModelNotSupportedError, match="segments by region, town"):
        _check(model.manifest, model.arrays)


DAMAGED = {
    "segment_key": lambda a: a[::-1].copy(),
    "segment_row": lambda a: a + 1000,
    "segment_value": lambda a: np.full_like(a, np.nan),
    "segment_facts": lambda a: a[:-1],
    "segment_error": lambda a: a[:-1],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_array_of_segments_is_refused(models, name):
    _, model = models["none"]
    arrays = {**model.arrays, name: DAMAGED[name](model.arrays[name])}
    with pytest.raises(ModelFormatError, match=name):
        model_to_bytes(Model(model.manifest, arrays))


def test_an_earlier_format_has_no_segments(models):
    _, model = models["none"]
    facts = model.manifest.model_dump() | {"format_version": 4}
    with pytest.raises(ValueError, match="4 has no segments"):
        Manifest(**facts)
