"""run: the stages in order, for one or more batches; stops at the first failure.

A batch that misses the thresholds of evaluate, or breaks a rule of monitor that fails, goes no
further, but stops no other batch, which it is no input of: the chain fails at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.errors import KyrosError, ThresholdError
from kyros_spark.log import event
from kyros_spark.runs.execute import Work, execute
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.stages.clean.stage import clean_work
from kyros_spark.stages.evaluate.stage import evaluate_work
from kyros_spark.stages.explain.stage import explain_work
from kyros_spark.stages.graph import check_run, training_label
from kyros_spark.stages.monitor.stage import monitor_work
from kyros_spark.stages.predict.stage import predict_work
from kyros_spark.stages.prepare.stage import prepare_work
from kyros_spark.stages.train.stage import train_work

STAGES = ("clean", "prepare", "train", "predict", "monitor")
OPTIONAL_STAGES = ("explain", "evaluate")  # run if they are asked for


def default_stages(config: Config) -> tuple[str, ...]:
    """Return the stages that a pipeline runs if none are named.

    Prices are explained along with every batch where the settings have a section ``explain``.
    """
    return STAGES if config.explain is None else (*STAGES, "explain")


@dataclass(frozen=True)
class Step:
    """One stage on one batch, and how to get what it would do."""

    stage: str
    batch: str
    work: Callable[[Portfolio], Work[Any]]


@dataclass
class PipelineRun:
    """The runs of a pipeline, in order, and the step it stopped at, if it did."""

    runs: list[Run] = field(default_factory=list)
    stopped_at: tuple[str, str] | None = None
    error: BaseException | None = None

    def fail(self, step: Step, error: Exception) -> None:
        """Keep a failure; the first that ends the work, or else the first refusal, is the error."""
        is_refusal = isinstance(error, ThresholdError)
        if is_refusal:
            self.runs.append(error.kyros_run)  # type: ignore[attr-defined]  # its tables are written
        if self.error is None or not is_refusal:
            self.stopped_at, self.error = (step.stage, step.batch), error


def run(
    spark: SparkSession,
    config: Config,
    batches: Sequence[str] = (),
    stages: Sequence[str] | None = None,
    run_id: str | None = None,
    fuse: bool = False,
) -> PipelineRun:
    """Run stages for batches: clean and prepare each batch, train once, predict each batch.

    All steps carry ``run_id``, where one is given. Training needs its own batches prepared; where
    they are not among ``batches`` and a model is registered, leave train out:
    ``--stages clean,prepare,predict``.
    stages: by default `default_stages`.
    fuse: leave out prepare for batches that nobody trains on, explains or evaluates; predict then
    computes their features on the way.

    Raises:
        UsageError: no batches are known, or a stage is not one of a pipeline.
    """
    stages = default_stages(config) if stages is None else stages
    chosen = check_run(config, batches, stages)
    portfolio, skipped = Portfolio(spark, config), list[Run]()
    pipeline = PipelineRun()
    steps = steps_of(config, chosen, stages, fuse)
    refused = set[str]()
    for number, step in enumerate(steps, start=1):
        if step.batch in refused:
            event(f"step {number} of {len(steps)}: {step.stage} {step.batch} is left out")
            continue
        event(f"step {number} of {len(steps)}: {step.stage} {step.batch}")
        try:
            pipeline.runs.append(execute(step.work(portfolio), run_id, skipped))
        except Exception as error:  # the pipeline reports every failure, whatever it is
            pipeline.fail(step, error)
            if not isinstance(error, KyrosError):
                event("unforeseen failure", level=40, cause=error, error=type(error).__name__)
            if not isinstance(error, ThresholdError):
                break
            refused.add(step.batch)
    try:
        _close(portfolio, skipped)
    except Exception as error:
        if pipeline.error is None:
            raise
        # What stopped the pipeline must be reported: of a dead JVM this is one more complaint.
        event(f"the skipped steps could not be written to the ledger: {error}")
    return pipeline


def _close(portfolio: Portfolio, skipped: Sequence[Run]) -> None:
    try:
        portfolio.ledger.record(*skipped)
    finally:
        portfolio.tables.release()


def steps_of(
    config: Config, batches: Sequence[str], stages: Sequence[str], fuse: bool = False
) -> list[Step]:
    """Return the steps of a pipeline in their order."""
    trained_on = config.train.batches if config.train is not None and "train" in stages else ()
    needed = not fuse or {"evaluate", "explain"} & set(stages)
    prepared = batches if needed else set(batches) & set(trained_on)
    prepared_in_order = [batch for batch in batches if batch in prepared]
    steps: list[Step] = []
    for batch in batches:
        steps.append(Step("clean", batch, partial(clean_work, batch=batch)))
        if batch in prepared:
            steps.append(Step("prepare", batch, partial(prepare_work, batch=batch)))
    if set(trained_on) & set(batches):
        steps.append(Step("train", training_label(config), train_work))
    if config.monitor.gates_features:  # before anything of the batch is predicted
        steps += [Step("monitor", b, partial(monitor_work, batch=b)) for b in prepared_in_order]
    for batch in batches:
        fused = batch not in prepared
        steps.append(Step("predict", batch, partial(predict_work, batch=batch, fuse=fused)))
    for batch in batches:
        steps.append(Step("monitor", batch, partial(monitor_work, batch=batch)))
    for batch in batches:
        steps.append(Step("explain", batch, partial(explain_work, batch=batch)))
    for batch in batches:
        steps.append(Step("evaluate", batch, partial(evaluate_work, batch=batch)))
    return [step for step in steps if step.stage in stages]
