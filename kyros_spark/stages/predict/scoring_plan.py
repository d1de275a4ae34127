"""Load what predict applies: models and the pinned parts of composites, each scored once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kyros_spark.errors import ConfigError, ModelFileError
from kyros_spark.model.artefact import Model
from kyros_spark.model.manifest import Feature, Manifest, Part
from kyros_spark.model.predicted_column import PredictedColumn
from kyros_spark.registry import Entry, Registry
from kyros_spark.scoring.udf import ScoringModel


@dataclass
class ScoringPlan:
    """The models that one pass scores, the paths of their files, and the columns made of them."""

    models: list[ScoringModel] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    outputs: list[PredictedColumn] = field(default_factory=list)

    @property
    def features(self) -> list[Feature]:
        """Return the features of all models, each once."""
        by_name = {f.name: f for model in self.models for f in model.model.manifest.features}
        return list(by_name.values())

    def add_model(self, model: ScoringModel, path: str) -> None:
        """Take a model into the pass, once."""
        if model.name not in {taken.name for taken in self.models}:
            self.models.append(model)
            self.paths.append(path)

    def add_output(self, name: str, version: str, parts: Sequence[str], manifest: Manifest) -> None:
        """Add an output of a model, or of a composite, which multiplies the scores of its parts."""
        unit = manifest.per == "exposure"
        column = f"_output_{len(self.outputs)}"
        interval = manifest.interval
        output = PredictedColumn(column, name, version, tuple(parts), unit, interval=interval)
        if manifest.kind == "composite":  # any other model's scores hold its factor and load
            output = replace(output, factor=manifest.rebalance, load=manifest.large_loss_load)
        self.outputs.append(output)


def scoring_plan(
    registry: Registry, chosen: Sequence[Entry], products: Mapping[str, Sequence[str]]
) -> ScoringPlan:
    """Return the plan for the chosen models, and for products whose parts are all among them.

    A part of a composite that is chosen itself, in the same version, is scored once.

    Raises:
        ModelFileError: a file is not the one that was registered, or that a composite pins.
        ConfigError: a product's part has several outputs, or is a composite.
    """
    plan = ScoringPlan()
    loaded = {entry.name: registry.load(entry) for entry in chosen}
    for entry in chosen:
        model, data = loaded[entry.name]
        if model.manifest.kind != "composite":
            scoring_model = ScoringModel(entry.name, model, data)
            plan.add_model(scoring_model, entry.path)
            for name in scoring_model.outputs:
                plan.add_output(name, str(entry.version), [name], model.manifest)
    for entry in chosen:
        manifest = loaded[entry.name][0].manifest
        if manifest.kind == "composite":
            _add_composite(plan, registry, entry, manifest, chosen)
    for name, parts in products.items():
        if all(part in loaded for part in parts):
            _add_product(plan, name, parts, loaded, chosen)
    return plan


def pinned(registry: Registry, composite: str, part: Part) -> Entry:
    """Return the registered version that a composite pins.

    Raises:
        ModelFileError: the registry has another file under that version.
    """
    entry = registry.find(f"{part.name}@{part.version}")[0]
    if entry.sha256 != part.sha256:
        raise ModelFileError(
            f"model {composite}, part {part.name}@{part.version}: expected the file of SHA-256 "
            f"{part.sha256}, found {entry.sha256} registered; train the composite again"
        )
    return entry


def _add_composite(
    plan: ScoringPlan,
    registry: Registry,
    entry: Entry,
    manifest: Manifest,
    chosen: Sequence[Entry],
) -> None:
    factors = []
    for part in manifest.parts:
        pin = pinned(registry, entry.name, part)
        is_chosen = any((e.name, e.version) == (pin.name, pin.version) for e in chosen)
        name = pin.name if is_chosen else f"{pin.name}@{pin.version}"
        model, data = registry.load(pin)
        plan.add_model(ScoringModel(name, model, data), pin.path)
        if part.role == "factor":
            factors.append(name)
        else:
            beside = f"{entry.name}.{part.name}"
            plan.add_output(beside, str(entry.version), [name], model.manifest)
    plan.add_output(entry.name, str(entry.version), factors, manifest)


def _add_product(
    plan: ScoringPlan,
    name: str,
    parts: Sequence[str],
    loaded: Mapping[str, tuple[Model, bytes]],
    chosen: Sequence[Entry],
) -> None:
    for part in parts:
        manifest = loaded[part][0].manifest
        if manifest.outputs or manifest.kind == "composite":
            labels = ", ".join(output.label for output in manifest.outputs)
            outputs = f"the classes {labels}" if labels else "parts of its own"
            raise ConfigError(
                f"predict.products.{name}: expected models of one output, found {part} with "
                f"{outputs}"
            )
    versions = {entry.name: entry.version for entry in chosen}
    version = "*".join(f"{part}@{versions[part]}" for part in parts)
    unit = any(loaded[part][0].manifest.per == "exposure" for part in parts)
    column = f"_output_{len(plan.outputs)}"
    plan.outputs.append(PredictedColumn(column, name, version, tuple(parts), unit))
