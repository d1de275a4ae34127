"""Train one model on prepared rows: select rows, fit the features, fit, and build the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark import environment
from kyros_spark.aggregates.keyed_sums import ROWS, Grouped, sums_of, whole
from kyros_spark.aggregates.rows import RowSource, rows_of
from kyros_spark.config import ModelSettings, PrepareSettings, TrainSettings
from kyros_spark.errors import ConfigError, TrainingDataError
from kyros_spark.fitting.boosting import fit_boosting
from kyros_spark.fitting.glm import fit_glm
from kyros_spark.fitting.glm_fit import GlmFit
from kyros_spark.fitting.importance import total_gain
from kyros_spark.fitting.leakage import check_leakage, one_way_d2
from kyros_spark.fitting.relativities import training_record
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, modelled, of_split
from kyros_spark.fitting.sample import DRAW, drawn
from kyros_spark.fitting.segments.keys import fit_keys
from kyros_spark.fitting.segments.model import with_segments
from kyros_spark.fitting.spec import fit_features, spec_hash
from kyros_spark.model.artefact import Model
from kyros_spark.model.glm import glm_model
from kyros_spark.model.importers.xgboost import trees_from_xgboost
from kyros_spark.model.manifest import Feature, Manifest, Source
from kyros_spark.scoring.arrow_features import as_doubles


def train_model(
    name: str,
    prepared: RowSource | DataFrame,
    settings: ModelSettings,
    features: PrepareSettings,
    training: Mapping[str, Any],
    limits: TrainSettings | None = None,
) -> Model:
    """Return the trained model.

    training: provenance to store in the manifest (run, data versions, settings). limits: how much a
    feature may explain alone; None, as in the trials of a search, skips that check.

    Raises:
        TrainingDataError: the training part cannot carry the model.
        LeakageError: a feature explains too much alone, and the settings refuse that.
        FitError: the solver did not converge to a model.
    """
    names = chosen_features(name, settings, features)
    keep = list(dict.fromkeys([*names, *settings.by, "exposure", "split"]))
    keep += [DRAW] if settings.boosting.rows else []
    rows = modelled(rows_of(prepared), settings, keep)
    columns = [*keep, LABEL, WEIGHT, OFFSET]
    train_part = of_split(rows, columns, ("train",))
    count = _check_rows(name, train_part, settings)
    spec = fit_features(train_part, features, names, settings)
    if limits is not None:
        strengths = one_way_d2(train_part, count, spec, settings)
        check_leakage(name, strengths, limits)
        # Rounded: Spark adds in any order, and the same fit has to give the same file.
        rounded = {feature: round(d2, 4) for feature, d2 in strengths.items()}
        training = {**training, "one_way_d2": rounded}
    common: dict[str, Any] = {
        "name": name,
        "family": settings.family,
        "link": settings.link,
        "target": settings.target,
        "per": settings.per,
        "features": spec,
        "feature_spec_hash": spec_hash(spec),
    }
    if settings.method == "glm":
        model, fit = _glm(common, train_part, spec, settings, training)
        if not settings.by:
            return model
        keys = fit_keys(name, train_part, features, settings)
        return with_segments(model, fit, train_part, keys, settings)
    most = settings.boosting.rows
    parts = drawn(rows, keep, most) if most else of_split(rows, columns, ("train", "valid"))
    return _boosted(common, parts, spec, settings, training)


def chosen_features(name: str, settings: ModelSettings, features: PrepareSettings) -> list[str]:
    """Return the model's features: those that its settings name, or all that may rate.

    Raises:
        ConfigError: a named feature is not made by prepare, or may not be used by any model.
    """
    may_rate = [n for n, feature in features.features.items() if feature.may_rate]
    chosen = list(settings.features or (name for name in may_rate if name not in settings.by))
    unknown = [feature for feature in chosen if feature not in features.features]
    if unknown:
        raise ConfigError(
            f"train.models.{name}.features: '{', '.join(unknown)}' is not among prepare.features: "
            f"{', '.join(features.features)}"
        )
    barred = [feature for feature in chosen if feature not in may_rate]
    if barred:
        raise ConfigError(
            f"train.models.{name}.features: expected features that may rate, found "
            f"{', '.join(barred)}, which prepare.features tags rating_use: no or "
            "available_at_scoring: no; leave it out, or change the tag"
        )
    return chosen


def _glm(
    common: dict[str, Any],
    train_part: RowSource,
    spec: tuple[Feature, ...],
    settings: ModelSettings,
    training: Mapping[str, Any],
) -> tuple[Model, GlmFit]:
    fit = fit_glm(train_part, spec, settings)
    mllib = settings.glm.solver == "mllib"
    manifest = Manifest(
        **common,
        kind="glm",
        source=Source(
            library="spark-mllib" if mllib else "kyros-spark",
            version=environment.libraries()["pyspark"] if mllib else environment.package_version(),
        ),
        intercept=fit.intercept,
        training={**training, **training_record(fit)},
    )
    return glm_model(manifest, fit.tables, fit.slopes), fit


def _boosted(
    common: dict[str, Any],
    parts: RowSource,
    spec: tuple[Feature, ...],
    settings: ModelSettings,
    training: Mapping[str, Any],
) -> Model:
    fit = fit_boosting(parts, spec, settings)
    imported = trees_from_xgboost(fit.booster, fit.rounds)
    manifest = Manifest(
        **common,
        kind="trees",
        source=Source(library="xgboost", version=imported.version),
        objective=imported.objective,
        intercept=fit.start,
        category_rule="floor",
        training={
            **training,
            "rounds": fit.rounds,
            "importance": total_gain(fit.booster, fit.rounds, [feature.name for feature in spec]),
        },
    )
    return Model(manifest, imported.trees.as_dict())


def _check_rows(name: str, train_part: RowSource, settings: ModelSettings) -> int:
    """Return the number of rows to train on; refuse a training part without rows or target.

    Of a probability, it has to hold both outcomes.
    """

    def grouping(batch: pa.RecordBatch) -> Iterator[Grouped]:
        label, weight = (as_doubles(batch.column(name)) for name in (LABEL, WEIGHT))
        yield whole(batch, "", {"observed": label * weight, "weight": weight})

    sums = sums_of(train_part, (LABEL, WEIGHT), ("observed", "weight"), grouping)
    totals = sums.get("", {"": {ROWS: 0.0, "observed": 0.0}})[""]
    count, observed = int(totals[ROWS]), totals["observed"]
    if not count or observed <= 0:
        raise TrainingDataError(
            f"model {name}: expected rows with {settings.target} above zero and {settings.per} in "
            f"the training part of table prepared, found {count} rows with a total of "
            f"{observed:g}; are the claims of these batches known (sources.claims.batches)?"
        )
    if settings.family == "binomial" and observed >= totals["weight"]:
        raise TrainingDataError(
            f"model {name}: expected rows with {settings.target} below {settings.per} in the "
            f"training part of table prepared, found none in {count} rows: a probability needs "
            "both outcomes"
        )
    return count
