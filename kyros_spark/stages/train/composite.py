"""Make composites of models that were just trained or kept: pin parts and judge the product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kyros_spark import environment
from kyros_spark.aggregates.rows import RowSource
from kyros_spark.config import ModelSettings
from kyros_spark.digest import digest
from kyros_spark.fitting.calibrate import calibrate
from kyros_spark.model.artefact import Model, model_hash, model_to_bytes
from kyros_spark.model.manifest import Manifest, Part, Source
from kyros_spark.registry import Entry, Registry, Trained, next_version


@dataclass(frozen=True)
class PinnedModel:
    """A model that a composite may pin: under the version it has, or is about to get."""

    part: Part
    model: Model
    data: bytes


def pinned_models(
    registry: Registry,
    names: Sequence[str],
    trained: Sequence[Trained],
    kept: Mapping[str, Entry],
    registered: Sequence[Entry],
) -> dict[str, PinnedModel]:
    """Return the models that a composite names: those of this run, else those registered.

    kept: by name, the entries of models that were not trained again. registered: all entries.
    """
    pinned = {}
    new = {model.name: model.model for model in trained}
    for name in names:
        if name in new:
            data, version = model_to_bytes(new[name]), next_version(registered, name)
            model, sha256 = new[name], model_hash(data)
        else:
            model, data = registry.load(kept[name])
            version, sha256 = kept[name].version, kept[name].sha256
        pinned[name] = PinnedModel(Part(name=name, version=version, sha256=sha256), model, data)
    return pinned


def pins(settings: ModelSettings, pinned: Mapping[str, PinnedModel]) -> dict[str, str]:
    """Return a composite's parts as inputs of its fingerprint."""
    parts = {name: pinned[name].part for name in (*settings.parts, *settings.beside)}
    return {f"part {name}": f"{part.version} {part.sha256}" for name, part in parts.items()}


def compose(
    name: str,
    settings: ModelSettings,
    pinned: Mapping[str, PinnedModel],
    prepared: RowSource,
    provenance: Mapping[str, Any],
) -> tuple[Model, dict[str, float]]:
    """Return the composite and its metrics: deviances of its family for the parts' product."""
    names = [*settings.parts, *settings.beside]
    roles = ["factor"] * len(settings.parts) + ["beside"] * len(settings.beside)
    parts = [
        pinned[part].part.model_copy(update={"role": role})
        for part, role in zip(names, roles, strict=True)
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
        feature_spec_hash=digest([pinned[n].model.manifest.feature_spec_hash for n in names]),
        training=dict(provenance),
    )
    factors = [pinned[part].model for part in settings.parts]
    return calibrate(name, Model(manifest, {}), factors, prepared, settings)
