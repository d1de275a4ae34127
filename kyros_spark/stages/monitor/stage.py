"""monitor: one batch -> `drift` and `profile_metrics`; rules say what is out of order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pyspark.sql import SparkSession

from kyros_spark.config import Config, MonitorSettings
from kyros_spark.delta.where import batch as of_batch
from kyros_spark.log import event
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.portfolio import Portfolio, batch_of
from kyros_spark.runs.run import Run
from kyros_spark.stages.monitor.account import drift_rows, judge, refuse, scores
from kyros_spark.stages.monitor.batch import MonitoredBatch, monitored_batch
from kyros_spark.stages.monitor.claims import compare_claims
from kyros_spark.stages.monitor.confidence import check_confidence
from kyros_spark.stages.monitor.features import MeasuredFeatures, compare_features, measure
from kyros_spark.stages.monitor.models import MeasuredModel, compare_models, measure_models
from kyros_spark.stages.monitor.previous import previous_batch, profile_row
from kyros_spark.stages.monitor.score_slices import measure_slices
from kyros_spark.stages.monitor.webhook import post
from kyros_spark.tables.drift import DRIFT
from kyros_spark.tables.profile_metrics import PROFILE_METRICS


def monitor(
    spark: SparkSession, config: Config, batch: str | None = None, run_id: str | None = None
) -> Run:
    """Compare a batch with the training batches and with the batch before, and judge it by rules.

    Features are measured as soon as the batch is prepared, its models' predictions once it is
    predicted, and what claims say of them where claims are known.

    Raises:
        BatchMissingError: the batch is neither prepared nor predicted.
        DriftError: a rule with ``action: fail`` is broken; everything is written.
    """
    return execute(monitor_work(Portfolio(spark, config), batch), run_id)


def monitor_work(portfolio: Portfolio, batch: str | None) -> Work[MonitoredBatch]:
    """Return what monitor would do on a batch."""
    config, label = portfolio.config, batch_of("monitor", batch, portfolio.config)
    settings = config.monitor

    def inputs() -> Inputs[MonitoredBatch]:
        monitored = monitored_batch(portfolio, label)
        return Inputs(monitored.identity(), monitored)

    own = settings.model_dump(mode="json", exclude={"prometheus", "webhook", "openlineage"})
    own["evaluate"] = config.evaluate.model_dump(mode="json", include={"confidence", "judged"})
    do = partial(_monitor, settings)
    return Work(portfolio, "monitor", label, inputs, own, do)


def _monitor(settings: MonitorSettings, run: Run, monitored: MonitoredBatch) -> None:
    if monitored.no_baseline:
        event(f"monitor {run.batch}: nothing to compare with: {monitored.no_baseline}", level=30)
    run.rows_in = monitored.rows
    features = measure(monitored, settings, run)
    models = measure_models(monitored, settings, run)
    slices = measure_slices(monitored, settings, run, features, models)
    for name, reason in features.left_out.items() if not monitored.no_baseline else ():
        event(f"monitor {run.batch}: feature {name} is not compared: {reason}", level=30)
    with run.phase("compare"):
        previous = previous_batch(monitored)
        rows = [
            *compare_features(monitored, features, previous),
            *compare_models(monitored, models, previous),
            *slices.rows(monitored, previous),
            *compare_claims(monitored, settings, run, features, models),
        ]
    before = monitored.previous[1].details if monitored.previous is not None else None
    broken = judge(run, settings, rows, before)
    refuse_models = check_confidence(monitored, settings, run, models)
    run.details |= _summary(monitored, features, models) | scores(rows)
    with run.phase("write"):
        profiles = [*_profiles(features, models), *slices.profiles()]
        _write(monitored, run, profiles, drift_rows(run, rows, broken))
    post(settings.webhook, monitored.portfolio.config.portfolio, run, broken)
    refuse(run, broken)
    refuse_models()


def _summary(
    monitored: MonitoredBatch, features: MeasuredFeatures, models: list[MeasuredModel]
) -> dict[str, object]:
    """Return what the run's details say of what was compared."""
    no_interval = [m.name for m in models if m.scores is not None and m.scores.width is None]
    return {
        "baseline": monitored.baseline_label,
        "previous": monitored.previous[0] if monitored.previous is not None else None,
        "features": len({subject.column for subject in features.profile}),
        "models": {model.name: model.version for model in models},
        "without_interval": no_interval,
        "not_compared": {
            **features.left_out,
            **{model.name: model.no_baseline for model in models if model.no_baseline},
        },
    }


def _profiles(
    features: MeasuredFeatures, models: list[MeasuredModel]
) -> Iterator[dict[str, object]]:
    """Yield the rows of table profile_metrics, without batch and run."""
    for subject, histogram in features.profile.items():
        yield profile_row(subject, features.bins_of(subject), histogram)
    for model in models:
        if model.bins is not None and model.scores is not None:
            yield profile_row(model.subject, model.bins, model.scores.histogram)


def _write(
    monitored: MonitoredBatch,
    run: Run,
    profiles: list[dict[str, object]],
    drift: list[dict[str, object]],
) -> None:
    """Replace the batch's rows in both tables, in one commit per table."""
    tables, where = monitored.portfolio.tables, of_batch(run.batch)
    same = {"window": run.batch, "batch_id": run.batch, "run_id": run.run_id}
    profiles = [row | same for row in profiles]
    for table, rows in ((PROFILE_METRICS, profiles), (DRIFT, drift)):
        run.outputs[table.name] = tables.replace_rows(
            table, rows, run.run_id, where, batch=run.batch
        )
    run.rows_out = len(drift)
