"""run: the stages in order, for one or more batches; stops at the first failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.errors import UsageError
from kyros_spark.log import event
from kyros_spark.runs import Run
from kyros_spark.stages.clean import clean
from kyros_spark.stages.evaluate import evaluate
from kyros_spark.stages.execute import Workplace
from kyros_spark.stages.predict import predict
from kyros_spark.stages.prepare import prepare
from kyros_spark.stages.train import train

STAGES = ("clean", "prepare", "train", "predict")
KNOWN = (*STAGES, "evaluate")  # evaluate is run where it is asked for


@dataclass
class Chain:
    """The runs of a chain, in order, and the step it stopped at, if it did."""

    runs: list[Run] = field(default_factory=list)
    stopped_at: tuple[str, str] | None = None
    error: BaseException | None = None


def run(
    spark: SparkSession,
    config: Config,
    batches: Sequence[str] = (),
    stages: Sequence[str] = STAGES,
    run_id: str | None = None,
) -> Chain:
    """Run stages for batches: clean and prepare each batch, train once, predict each batch.

    All steps carry ``run_id``, where one is given. Training needs its own batches prepared; where
    they are not among ``batches`` and a model is registered, leave train out:
    ``--stages clean,prepare,predict``.

    Raises:
        UsageError: no batches are known, or a stage is not one that a chain knows.
    """
    chosen = list(batches) or list(config.batches)
    if not chosen:
        raise UsageError("run: give --batch ID (again for more), or list batches in the settings")
    for stage in stages:
        if stage not in KNOWN:
            raise UsageError(f"run --stages: expected some of {', '.join(KNOWN)}, found '{stage}'")
    place = Workplace(spark, config, waiting=[])
    chain = Chain()
    steps = _steps(config, chosen, stages, run_id)
    for number, (stage, batch, work) in enumerate(steps, start=1):
        event(f"step {number} of {len(steps)}: {stage} {batch}")
        try:
            chain.runs.append(work(place))
        except Exception as error:  # the chain reports every failure, whatever it is
            chain.stopped_at, chain.error = (stage, batch), error
            break
    if place.waiting:
        place.ledger.record(*place.waiting)
    return chain


def _steps(
    config: Config, batches: Sequence[str], stages: Sequence[str], run_id: str | None
) -> list[tuple[str, str, Callable[[Workplace], Run]]]:
    steps: list[tuple[str, str, Callable[[Workplace], Run]]] = []

    def add(stage: str, batch: str, work: Callable[[Workplace], Run]) -> None:
        if stage in stages:
            steps.append((stage, batch, work))

    for batch in batches:
        add("clean", batch, lambda p, b=batch: clean(p.spark, p.config, b, run_id, place=p))  # type: ignore[misc]
        add("prepare", batch, lambda p, b=batch: prepare(p.spark, p.config, b, run_id, place=p))  # type: ignore[misc]
    if config.train is not None and set(config.train.batches) & set(batches):
        label = "+".join(config.train.batches)
        add("train", label, lambda p: train(p.spark, p.config, run_id=run_id, place=p))
    for batch in batches:
        add("predict", batch, lambda p, b=batch: predict(p.spark, p.config, b, run_id, place=p))  # type: ignore[misc]
    for batch in batches:
        add("evaluate", batch, lambda p, b=batch: evaluate(p.spark, p.config, b, run_id, place=p))  # type: ignore[misc]
    return steps
