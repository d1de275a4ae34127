"""Get ready to explain: the models, and what each one's contributions are compared with.

The driver builds every explainer before anything is computed, so that a model which cannot be
explained is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kyros_spark.config import ExplainSettings
from kyros_spark.errors import CoversMissingError
from kyros_spark.explanation.covers import measured_covers
from kyros_spark.explanation.explaining_pass import ExplainingModel, ExplainingPass
from kyros_spark.explanation.price import Price
from kyros_spark.log import event
from kyros_spark.model.artefact import model_to_bytes
from kyros_spark.scoring.scoring_pass import ScoringModel, inputs_of, pass_models
from kyros_spark.stages.explain.prices import prices_of
from kyros_spark.stages.explain.reference import Reference
from kyros_spark.stages.predict.scoring_plan import ScoringPlan

_MIB = 1 << 20
Source = Callable[[int, bytes], Any]


@dataclass(frozen=True)
class Explaining:
    """The models of a run, ready to explain in this process or to be sent to workers.

    measured: names of the models whose covers a batch had to tell, since their files do not.
    """

    models: tuple[ScoringModel, ...]
    compared: tuple[ExplainingModel, ...]
    prices: tuple[Price, ...]
    measured: tuple[str, ...]

    def here(self) -> ExplainingPass:
        """Return what explains in this process."""
        return ExplainingPass(self.compared, tuple(inputs_of(list(self.models))[0]), self.prices)

    def narrowed(self, prices: Sequence[Price]) -> Explaining:
        """Return what explains these prices alone."""
        return replace(self, prices=tuple(prices))

    def sent(self, source: Source) -> ExplainingPass:
        """Return what explains on a worker. source: makes of a model's bytes what is sent."""
        models = [
            replace(model, scored=replace(model.scored, source=source(n, self.models[n].data)))
            for n, model in enumerate(self.compared)
        ]
        return replace(self.here(), models=tuple(models))


def explaining(plan: ScoringPlan, settings: ExplainSettings, reference: Reference) -> Explaining:
    """Return what explains the outputs of a plan.

    Raises:
        ModelNotSupportedError: a price is no sum, or a model's tables do not fit max_table_mb.
        ConfigError: something has to be measured on a batch, and none is named.
    """
    prices = prices_of(plan)
    models, measured = list[ScoringModel](), list[str]()
    compared = []
    for model in plan.models:
        try:
            compared.append(_compared(model, settings, reference))
        except CoversMissingError as error:
            event(f"{error}: measuring them on batch {reference.batch}")
            model = _measured(model, reference)
            measured.append(model.name)
            compared.append(_compared(model, settings, reference))
        models.append(model)
    reads = inputs_of(models)[1]
    placed = [
        replace(model, scored=replace(model.scored, arguments=read))
        for model, read in zip(compared, reads, strict=True)
    ]
    return Explaining(tuple(models), tuple(placed), prices, tuple(measured))


def _compared(
    model: ScoringModel, settings: ExplainSettings, reference: Reference
) -> ExplainingModel:
    """Return a model with what it is compared with, its explainer built."""
    (scored,) = pass_models([model], inputs_of([model])[1], settings.kernel, lambda _, data: data)
    plain = ExplainingModel(scored, settings.kernel, settings.max_table_mb * _MIB)
    if model.model.manifest.kind == "glm":
        if settings.reference == "mean":
            terms = reference.means(plain, model.model.manifest.features)
            plain = replace(plain, reference_terms=terms)
    elif settings.trees == "background":
        plain = replace(plain, background=reference.background(model))
    plain.explainer()
    return plain


def _measured(model: ScoringModel, reference: Reference) -> ScoringModel:
    with_covers = measured_covers(model.model, reference.cover_batches(model))
    return ScoringModel(model.name, with_covers, model_to_bytes(with_covers))
