"""Decide what each model of a batch is judged as: family, target, and unit (``per``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from kyros_spark.config import OWN_PARAMETERS, EvaluateSettings, ModelSettings
from kyros_spark.model.manifest import Manifest
from kyros_spark.registry import Entry, Registry

# The target of a model with a large-loss load: claim amounts before capping.
WITH_EXCESS = "claim_amount_with_excess"
_PART = re.compile(r"^([A-Za-z_]\w*)@(\d+)$")


@dataclass(frozen=True)
class EvaluatedModel:
    """A model and what it is judged as.

    number      its position among the batch's models; part of its column names
    settings    family, target, per; None if it cannot be judged, and ``reason`` says why
    used        its features; those of its parts for a composite
    trained_on  its training batches
    labelled    whether its target is known in the batch
    version_at  the version of table predictions that holds its predictions
    """

    number: int
    name: str
    version: str
    settings: ModelSettings | None
    used: frozenset[str] = frozenset()
    trained_on: tuple[str, ...] = ()
    labelled: bool = False
    reason: str = ""
    version_at: int = -1

    @property
    def reference(self) -> str:
        """Return NAME@VERSION."""
        return f"{self.name}@{self.version}"

    @property
    def prediction(self) -> str:
        """Return the name of the column of its predictions."""
        return f"_p{self.number}"

    @property
    def judged(self) -> ModelSettings:
        """Return what it is judged as.

        Raises:
            ValueError: the model cannot be judged. A caller asks only for those that can.
        """
        if self.settings is None:
            raise ValueError(self.reason)
        return self.settings

    @property
    def is_probability(self) -> bool:
        """Return whether its predictions are judged as probabilities."""
        return self.settings is not None and self.settings.family == "binomial"


def evaluated_model(
    registry: Registry,
    registered: Mapping[tuple[str, str], Entry],
    number: int,
    stored: tuple[str, str],
    settings: EvaluateSettings,
    version_at: int,
) -> EvaluatedModel:
    """Return a stored model, or product of models, with what it is judged as.

    registered: the registry's entries by name and version, read once for all models.
    stored: model_name and model_version, as in table predictions.

    Raises:
        UnknownModelError: the registry does not know the version.
    """
    name, version = stored
    parts = [_PART.match(part) for part in version.split("*")]
    pairs = [(p[1], p[2]) for p in parts if p is not None] or [(name.partition(".")[0], version)]
    manifests = _manifests(registry, registered, pairs)
    predicting = _beside(registry, registered, name, manifests[0]) or manifests
    with_excess = any(manifest.large_loss_load for manifest in predicting)
    chosen, reason = _judged_as(name, manifests, settings, with_excess)
    return EvaluatedModel(
        number,
        name,
        version,
        chosen,
        frozenset(_features(registry, registered, predicting)),
        tuple(dict.fromkeys(b for m in manifests for b in m.training.get("batches", ()))),
        reason=reason,
        version_at=version_at,
    )


def _beside(
    registry: Registry,
    registered: Mapping[tuple[str, str], Entry],
    name: str,
    manifest: Manifest,
) -> list[Manifest]:
    """Return the manifest of the model beside a composite that made these predictions, if one did.

    It is judged by the composite's family, to be compared with it, but by what it predicts itself.
    """
    title = name.partition(".")[2]
    pairs = [
        (part.name, str(part.version))
        for part in manifest.parts
        if part.role == "beside" and part.name == title
    ]
    return _manifests(registry, registered, pairs)


def _features(
    registry: Registry,
    registered: Mapping[tuple[str, str], Entry],
    manifests: Sequence[Manifest],
) -> Iterator[str]:
    """Name the models' features; a composite has those of the parts that it multiplies."""
    for manifest in manifests:
        yield from (feature.name for feature in manifest.features)
        pairs = [(p.name, str(p.version)) for p in manifest.parts if p.role == "factor"]
        yield from _features(registry, registered, _manifests(registry, registered, pairs))


def _manifests(
    registry: Registry,
    registered: Mapping[tuple[str, str], Entry],
    pairs: Sequence[tuple[str, str]],
) -> list[Manifest]:
    """Return the manifests of versions, each by its name and number."""
    entries = [registered.get(pair) or registry.find("@".join(pair))[0] for pair in pairs]
    return [registry.load(entry)[0].manifest for entry in entries]


def _judged_as(
    name: str, manifests: Sequence[Manifest], settings: EvaluateSettings, with_excess: bool = False
) -> tuple[ModelSettings | None, str]:
    if name in settings.judged:
        return _model_settings({"method": "glm", **settings.judged[name].model_dump()}), ""
    if any(manifest.outputs for manifest in manifests):
        return None, "a class's probability is not judged: deviance, A/E and Gini are of amounts"
    if any((m.objective, m.link) == ("binary:logitraw", "identity") for m in manifests):
        return None, "a margin is not judged: import the model with --link logit for probabilities"
    facts = _facts(manifests[0]) if len(manifests) == 1 else _product(manifests)
    if with_excess:
        facts |= {"target": WITH_EXCESS}
    chosen = _model_settings(facts)
    if chosen:
        return chosen, ""
    summary = ", ".join(f"{key} {facts.get(key)}" for key in ("family", "target", "per"))
    return None, f"{summary} is not judged; declare it in evaluate.judged.{name}"


def _facts(manifest: Manifest) -> dict[str, Any]:
    """Return what a single model is judged as; later sources override earlier ones."""
    declared = {"method": "glm", "family": manifest.family, "target": manifest.target}
    settings = manifest.training.get("settings") or {}
    # A fit records the parameters of every family; only those of its own family count.
    parameter = OWN_PARAMETERS.get(manifest.family, "")
    fitted = {parameter: value} if (value := manifest.training.get(parameter)) else {}
    return {**declared, "per": manifest.per, **settings, **fitted}


def _product(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """Return what a product is judged as: frequency x severity is a pure premium, Tweedie."""
    targets, pers = ([getattr(m, kind) for m in manifests] for kind in ("target", "per"))
    target = next((t for t in targets if t not in pers), None)
    per = next((p for p in pers if p not in targets), None)
    return {"method": "glm", "family": "tweedie", "target": target, "per": per}


def _model_settings(facts: Mapping[str, Any]) -> ModelSettings | None:
    try:
        return ModelSettings.model_validate(dict(facts))
    except ValidationError:  # no target, or a family without a deviance here
        return None
