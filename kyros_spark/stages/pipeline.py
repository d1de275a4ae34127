"""run: the stages in order, for one or more batches; stops at the first failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.errors import UsageError
from kyros_spark.log import event
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import Run
from kyros_spark.stages.clean.stage import clean
from kyros_spark.stages.evaluate.stage import evaluate
from kyros_spark.stages.predict.stage import predict
from kyros_spark.stages.prepare.stage import prepare
from kyros_spark.stages.train.stage import train

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
    fuse: bool = False,
) -> Chain:
    """Run stages for batches: clean and prepare each batch, train once, predict each batch.

    All steps carry ``run_id``, where one is given. Training needs its own batches prepared; where
    they are not among ``batches`` and a model is registered, leave train out:
    ``--stages clean,prepare,predict``.
    fuse: leave out prepare for batches that nobody trains on or evaluates; predict then computes
    their features on the way.

    Raises:
        UsageError: no batches are known, or a stage is not one that a chain knows.
    """
    chosen = list(batches) or list(config.batches)
    if not chosen:
        raise UsageError("run: give --batch ID (again for more), or list batches in the settings")
    for stage in stages:
        if stage not in KNOWN:
            raise UsageError(f"run --stages: expected some of {', '.join(KNOWN)}, found '{stage}'")
    portfolio = Portfolio(spark, config, waiting=[])
    chain = Chain()
    steps = steps_of(config, chosen, stages, run_id, fuse)
    for number, (stage, batch, work) in enumerate(steps, start=1):
        event(f"step {number} of {len(steps)}: {stage} {batch}")
        try:
            chain.runs.append(work(portfolio))
        except Exception as error:  # the chain reports every failure, whatever it is
            chain.stopped_at, chain.error = (stage, batch), error
            break
    try:
        _close(portfolio)
    except Exception as error:
        if chain.error is None:
            raise
        # What stopped the chain is what has to be told: of a dead JVM this is one more complaint.
        event(f"the skipped steps could not be written to the ledger: {error}")
    return chain


def _close(portfolio: Portfolio) -> None:
    try:
        if portfolio.waiting:
            portfolio.ledger.record(*portfolio.waiting)
    finally:
        portfolio.tables.release()


def steps_of(
    config: Config,
    batches: Sequence[str],
    stages: Sequence[str],
    run_id: str | None = None,
    fuse: bool = False,
) -> list[tuple[str, str, Callable[[Portfolio], Run]]]:
    """Return the steps of a chain in their order: stage, batch, and what does it."""
    steps: list[tuple[str, str, Callable[[Portfolio], Run]]] = []
    trained_on = config.train.batches if config.train is not None and "train" in stages else ()
    needed = batches if not fuse or "evaluate" in stages else set(batches) & set(trained_on)

    def add(stage: str, work: Callable[..., Run], batch: str, **more: Any) -> None:
        def step(portfolio: Portfolio) -> Run:
            return work(
                portfolio.spark, portfolio.config, batch, run_id, portfolio=portfolio, **more
            )

        if stage in stages:
            steps.append((stage, batch, step))

    for batch in batches:
        add("clean", clean, batch)
        if batch in needed:
            add("prepare", prepare, batch)
    if set(trained_on) & set(batches):
        label = "+".join(trained_on)
        steps.append(
            ("train", label, lambda p: train(p.spark, p.config, run_id=run_id, portfolio=p))
        )
    for batch in batches:
        add("predict", predict, batch, fuse=batch not in needed)
    for batch in batches:
        add("evaluate", evaluate, batch)
    return steps
