"""Tell which models of a batch are outside the settings' thresholds, and fail where they say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kyros_spark.config import EvaluateSettings
from kyros_spark.errors import ThresholdError
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.evaluation.thresholds import Breach, breaches, judged_rows, measures
from kyros_spark.log import event
from kyros_spark.runs.run import Run


def hold_to_thresholds(
    run: Run,
    settings: EvaluateSettings,
    models: Sequence[EvaluatedModel],
    metrics: Sequence[Mapping[str, Any]],
    predicted: Iterable[str],
) -> list[Breach]:
    """Put each model's measures and broken bounds into the run's details and the log.

    metrics: the rows of `evaluation_metrics`. predicted: names of all models of the batch.
    """
    rows = judged_rows(run.batch, models, metrics)
    broken = list(breaches(rows, settings.thresholds, settings.quantiles))
    run.details["measures"] = {reference: measures(row) for reference, row in rows.items()}
    run.details["breaches"] = [breach.to_json() for breach in broken]
    for breach in broken:
        event(breach.sentence(), level=30)
    of_batch = {*predicted, *(model.name for model in models)}
    if unknown := sorted(set(settings.thresholds.models) - of_batch):
        event(
            f"evaluate.thresholds.models: {', '.join(unknown)} did not predict batch {run.batch}; "
            f"its models are {', '.join(sorted(of_batch))}",
            level=30,
        )
    return broken


def refuse(run: Run, settings: EvaluateSettings, broken: Sequence[Breach]) -> None:
    """Fail for broken bounds if the settings say so; to be called when all is written.

    Raises:
        ThresholdError: names each model, measure, bound and value.
    """
    if not broken or not settings.fail_on_threshold:
        return
    raise ThresholdError(
        f"{'; '.join(breach.sentence() for breach in broken)}. The tables of the evaluation are "
        f"written (SELECT * FROM evaluation_metrics WHERE batch_id = '{run.batch}'), and so is the "
        "report: mend the model or the data, or change evaluate.thresholds"
    )
