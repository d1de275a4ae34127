"""Load what predict applies: models and the pinned parts of composites, each scored once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kyros_spark.errors import ConfigError, ModelFileError
from kyros_spark.model.artefact import Model
from kyros_spark.model.manifest import Manifest, Part
from kyros_spark.registry import Entry, Registry
from kyros_spark.scoring.udf import ScoringModel
from kyros_spark.transforms.predicted import PredictedColumn


@dataclass
class ScoringPlan:
    """What one pass scores, where its files lie, and what is made of the scores."""

    served: list[ScoringModel] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    outputs: list[PredictedColumn] = field(default_factory=list)

    def add(self, served: ScoringModel, path: str) -> None:
        """Take a model into the pass, once."""
        if served.name not in {one.name for one in self.served}:
            self.served.append(served)
            self.paths.append(path)

    def tell(self, name: str, version: str, parts: Sequence[str], of: Manifest) -> None:
        """Add an output of a model or of a composite, which has its parts' scores as its own."""
        unit = of.per == "exposure"
        column = f"_output_{len(self.outputs)}"
        output = PredictedColumn(column, name, version, tuple(parts), unit, interval=of.interval)
        if of.kind == "composite":  # another's factor and load are in its scores already
            output = replace(output, factor=of.rebalance, load=of.large_loss_load)
        self.outputs.append(output)


def service(
    registry: Registry, chosen: Sequence[Entry], products: Mapping[str, Sequence[str]]
) -> ScoringPlan:
    """Return the service of the chosen models, and of the products whose parts are all among them.

    A part of a composite that is chosen itself, in the same version, is scored once.

    Raises:
        ModelFileError: a file is not the one that was registered, or that a composite pins.
        ConfigError: a product's part has several outputs, or is a composite.
    """
    found = ScoringPlan()
    loaded = {entry.name: registry.load(entry) for entry in chosen}
    for entry in chosen:
        model, data = loaded[entry.name]
        if model.manifest.kind != "composite":
            one = ScoringModel(entry.name, model, data)
            found.add(one, entry.path)
            for name in one.outputs:
                found.tell(name, str(entry.version), [name], model.manifest)
    for entry in chosen:
        manifest = loaded[entry.name][0].manifest
        if manifest.kind == "composite":
            _add_composite(found, registry, entry, manifest, chosen)
    for name, parts in products.items():
        if all(part in loaded for part in parts):
            _add_product(found, name, parts, loaded, chosen)
    return found


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
    found: ScoringPlan,
    registry: Registry,
    entry: Entry,
    manifest: Manifest,
    chosen: Sequence[Entry],
) -> None:
    factors = []
    for part in manifest.parts:
        of = pinned(registry, entry.name, part)
        same = any((one.name, one.version) == (of.name, of.version) for one in chosen)
        name = of.name if same else f"{of.name}@{of.version}"
        model, data = registry.load(of)
        found.add(ScoringModel(name, model, data), of.path)
        if part.role == "factor":
            factors.append(name)
        else:
            beside = f"{entry.name}.{part.name}"
            found.tell(beside, str(entry.version), [name], model.manifest)
    found.tell(entry.name, str(entry.version), factors, manifest)


def _add_product(
    found: ScoringPlan,
    name: str,
    parts: Sequence[str],
    loaded: Mapping[str, tuple[Model, bytes]],
    chosen: Sequence[Entry],
) -> None:
    for part in parts:
        manifest = loaded[part][0].manifest
        if manifest.outputs or manifest.kind == "composite":
            several = ", ".join(one.label for one in manifest.outputs)
            told = f"the classes {several}" if several else "parts of its own"
            raise ConfigError(
                f"predict.products.{name}: expected models of one output, found {part} with {told}"
            )
    versions = {entry.name: entry.version for entry in chosen}
    version = "*".join(f"{part}@{versions[part]}" for part in parts)
    unit = any(loaded[part][0].manifest.per == "exposure" for part in parts)
    column = f"_output_{len(found.outputs)}"
    found.outputs.append(PredictedColumn(column, name, version, tuple(parts), unit))
