"""Make prices to explain of what predict would score: models, composites and products."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kyros_spark.errors import ModelNotSupportedError
from kyros_spark.explanation.price import Price, PricePart
from kyros_spark.model.artefact import Model
from kyros_spark.model.manifest import Manifest
from kyros_spark.model.predicted_column import PredictedColumn
from kyros_spark.scoring.scoring_pass import ScoringModel
from kyros_spark.stages.predict.scoring_plan import ScoringPlan


def prices_of(plan: ScoringPlan) -> tuple[Price, ...]:
    """Return the prices of all outputs of a plan, in its order.

    Raises:
        ModelNotSupportedError: a price is no sum on the scale of one link.
    """
    return tuple(_price(output, plan.models) for output in plan.outputs)


def _price(output: PredictedColumn, models: Sequence[ScoringModel]) -> Price:
    outputs = {
        name: (number, k)
        for number, model in enumerate(models)
        for k, name in enumerate(model.outputs)
    }
    chosen = [outputs[part] for part in output.parts]
    manifests = [models[number].model.manifest for number, _ in chosen]
    for manifest in manifests:
        _check(output, manifest, is_product=len(chosen) > 1)
    used = [used_features(models[number].model) for number, _ in chosen]
    features = tuple(dict.fromkeys(name for names in used for name in names.values()))
    places = {name: n for n, name in enumerate(features)}
    parts = tuple(
        PricePart(
            number,
            k,
            tuple(names),
            tuple(places[name] for name in names.values()),
            _scale(manifest),
        )
        for (number, k), names, manifest in zip(chosen, used, manifests, strict=True)
    )
    is_log = manifests[0].link == "log"
    factors = [manifest.rebalance for manifest in manifests if is_log] + [output.factor]
    return Price(
        name=output.name,
        version=output.version,
        link=manifests[0].link,
        features=features,
        parts=parts,
        shift=math.fsum(map(math.log, factors)),
        factor=output.factor,
        load=output.load,
        shown_load=output.load + (manifests[0].large_loss_load if len(manifests) == 1 else 0.0),
    )


def used_features(model: Model) -> dict[int, str]:
    """Return number and name of the features that a model uses: in a tree, those of a split."""
    names = dict(enumerate(feature.name for feature in model.manifest.features))
    if model.manifest.kind != "trees":
        return names
    cut = np.flatnonzero(np.diff(model.arrays["cut_start"]))
    by_set = model.arrays.get("set_feature", np.zeros(0, np.int64))
    used = {*cut.tolist(), *by_set.tolist()}
    return {number: name for number, name in names.items() if number in used}


def _scale(manifest: Manifest) -> float:
    return manifest.rebalance if manifest.link == "identity" else manifest.sigmoid


def _check(output: PredictedColumn, manifest: Manifest, is_product: bool) -> None:
    """Refuse what is no sum of contributions."""
    if is_product and (manifest.link != "log" or manifest.large_loss_load):
        actual = f"link {manifest.link}" + (", with a load" if manifest.large_loss_load else "")
        raise ModelNotSupportedError(
            f"model {output.name}, part {manifest.name}: expected parts of log link without a "
            f"large-loss load, whose contributions add up, found {actual}; explain its parts"
        )
    if manifest.link in ("logit", "softmax") and manifest.rebalance != 1.0:
        raise ModelNotSupportedError(
            f"model {output.name}: expected no rebalance factor behind link {manifest.link}, found "
            f"{manifest.rebalance:g}; explain its raw score in Python, by explanation.explainer"
        )
