"""Make composites of models just trained or kept: pin their parts, and judge the product."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from kyros_spark import environment
from kyros_spark.config import ModelSettings
from kyros_spark.digest import digest
from kyros_spark.fitting.calibrate import calibrate
from kyros_spark.model.artefact import Model, model_hash, model_to_bytes
from kyros_spark.model.manifest import Manifest, Part, Source
from kyros_spark.registry import Entry, Registry, Trained, next_version
from kyros_spark.scoring.udf import ScoringModel, predictions


@dataclass(frozen=True)
class PinnedModel:
    """A model that a composite may pin: under the version it has, or is about to get."""

    part: Part
    model: Model
    data: bytes


def pieces(
    registry: Registry,
    names: Sequence[str],
    trained: Sequence[Trained],
    kept: Mapping[str, Entry],
    known: Sequence[Entry],
) -> dict[str, PinnedModel]:
    """Return the models that composites name: of this run, else as registered."""
    found = {}
    new = {one.name: one.model for one in trained}
    for name in names:
        if name in new:
            data, version = model_to_bytes(new[name]), next_version(known, name)
            model, sha256 = new[name], model_hash(data)
        else:
            model, data = registry.load(kept[name])
            version, sha256 = kept[name].version, kept[name].sha256
        found[name] = PinnedModel(Part(name=name, version=version, sha256=sha256), model, data)
    return found


def pins(settings: ModelSettings, found: Mapping[str, PinnedModel]) -> dict[str, str]:
    """Return a composite's parts as inputs of its fingerprint."""
    parts = {name: found[name].part for name in (*settings.parts, *settings.beside)}
    return {f"part {name}": f"{part.version} {part.sha256}" for name, part in parts.items()}


def compose(
    spark: SparkSession,
    name: str,
    settings: ModelSettings,
    found: Mapping[str, PinnedModel],
    prepared: DataFrame,
    provenance: Mapping[str, Any],
) -> tuple[Model, dict[str, float]]:
    """Return the composite and its metrics: deviances of its family, of the parts' product."""
    named = [*settings.parts, *settings.beside]
    roles = ["factor"] * len(settings.parts) + ["beside"] * len(settings.beside)
    parts = [
        found[part].part.model_copy(update={"role": role})
        for part, role in zip(named, roles, strict=True)
    ]
    manifest = Manifest(
        name=name,
        kind="composite",
        source=Source(library="kyros-spark", version=environment.package_version()),
        family=settings.family,
        link="identity",
        target=settings.target,
        per=settings.per,
        intercept=0.0,
        parts=tuple(parts),
        features=(),
        feature_spec_hash=digest([found[one].model.manifest.feature_spec_hash for one in named]),
        training=dict(provenance),
    )
    served = [ScoringModel(one, found[one].model, found[one].data) for one in settings.parts]
    scored = predictions(spark, served)
    score = functools.reduce(operator.mul, map(scored.getField, settings.parts))
    return calibrate(name, Model(manifest, {}), score, prepared, settings)
