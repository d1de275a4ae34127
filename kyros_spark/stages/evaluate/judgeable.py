"""Say of each model of a batch whether it can be judged, by how many of its rows, or why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kyros_spark.config import EvaluateSettings
from kyros_spark.errors import PredictionValueError
from kyros_spark.evaluation.base import BatchTotals
from kyros_spark.evaluation.rows import WHOLE
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.log import event
from kyros_spark.stages.evaluate.judged_input import JudgedInput
from kyros_spark.stages.evaluate.stored_predictions import Selection


def judgeable(
    batch: str, selection: Selection, totals: BatchTotals
) -> tuple[dict[int, EvaluatedModel], dict[int, str]]:
    """Return every model by number, marked with whether it is judged, and why others are not.

    Raises:
        DataContractError: none of the models asked for can be judged.
    """
    marked, reasons = {}, {}
    faults = {model.number: totals.fault(batch, model) for model in selection.stored.models}
    for model in selection.stored.models:
        fault = faults[model.number]
        if fault is None:
            marked[model.number] = totals.labelled(model)
            continue
        if all(faults[asked.number] is not None for asked in selection.models):
            raise fault
        event(f"model {model.reference} is not judged: {fault}", level=30)
        reasons[model.number] = str(fault)
        marked[model.number] = replace(model, settings=None, reason=str(fault))
    return marked, reasons


def without_bins(rows: JudgedInput, reasons: Mapping[int, str]) -> JudgedInput:
    """Return the input in which models that are not judged have no stability either."""
    return replace(rows, no_bins={**rows.no_bins, **reasons})


def account_details(
    totals: BatchTotals, models: list[EvaluatedModel], settings: EvaluateSettings
) -> dict[str, Any]:
    """Return each judged model's rows for the result line, and warn where many are left out.

    Raises:
        PredictionValueError: more rows are left out than the settings allow.
    """
    details = {}
    for model in models:
        if model.settings is None:
            continue
        account = totals.accounts(model)[WHOLE]
        details[model.reference] = account.details()
        sentence = account.sentence(model.settings.target, model.settings.per)
        if model.labelled and account.share > settings.max_left_out_share:
            raise PredictionValueError(
                f"model {model.reference}: {sentence}: expected at most a share of "
                f"{settings.max_left_out_share:g} (evaluate.max_left_out_share) in a batch whose "
                "targets are known"
            )
        if model.labelled and account.share > settings.left_out_warning_share:
            event(f"model {model.reference} is judged with {sentence}", level=30)
    return details
