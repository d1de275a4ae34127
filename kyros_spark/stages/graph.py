"""The graph of the stages: what each stage reads, and which stage wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from kyros_spark.config import Config
from kyros_spark.errors import UsageError


@dataclass(frozen=True)
class StageInput:
    """Tables that a stage reads, and the stage that wrote them.

    tables: the first is the one whose rows the reading stage works on.
    on: the batch itself, each batch that models are trained on (``training batches``), or the run
    that trained on all of them (``training``).
    """

    stage: str
    tables: tuple[str, ...]
    on: str = "batch"


STAGE_INPUTS: dict[str, tuple[StageInput, ...]] = {
    "clean": (),
    "prepare": (StageInput("clean", ("policies", "claims")),),
    "train": (StageInput("prepare", ("prepared", "feature_log"), on="training batches"),),
    "predict": (
        StageInput("prepare", ("prepared", "feature_log")),
        StageInput("train", ("models",), on="training"),
    ),
    # Features are judged without predictions too; the baseline is that of the training batches.
    "monitor": (
        StageInput("prepare", ("prepared", "feature_log")),
        StageInput("prepare", ("prepared",), on="training batches"),
        StageInput("predict", ("predictions",)),
    ),
    "explain": (
        StageInput("prepare", ("prepared", "feature_log")),
        StageInput("train", ("models",), on="training"),
        StageInput("predict", ("predictions",)),
    ),
    "evaluate": (StageInput("predict", ("predictions",)),),
}


def check_run(
    config: Config, batches: Sequence[str], stages: Sequence[str], command: str = "run"
) -> list[str]:
    """Return the batches that a pipeline works on: those given, or those of the settings.

    Raises:
        UsageError: no batches are known, or a stage is not one of a pipeline.
    """
    chosen = list(batches) or list(config.batches)
    if not chosen:
        raise UsageError(
            f"{command}: give --batch ID (again for more), or list batches in the settings"
        )
    expected = ", ".join(STAGE_INPUTS)
    if not stages:
        raise UsageError(f"{command} --stages: expected some of {expected}, found none")
    for stage in stages:
        if stage not in STAGE_INPUTS:
            near = difflib.get_close_matches(stage, STAGE_INPUTS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"{command} --stages: expected some of {expected}, found '{stage}'{hint}"
            )
    return chosen


def training_label(config: Config) -> str:
    """Return the batch that a run of train is recorded under: its batches, joined."""
    return "+".join(training_batches(config))


def training_batches(config: Config) -> tuple[str, ...]:
    """Return the batches that models are trained on; none where the settings train nothing."""
    return tuple(config.train.batches) if config.train is not None else ()


def earlier_steps(config: Config, stage: str, batch: str) -> list[tuple[str, str]]:
    """Return the steps, as (stage, batch), that a stage's work on a batch rests on."""
    steps: list[tuple[str, str]] = []
    for needed in STAGE_INPUTS.get(stage, ()):
        batches = {
            "batch": (batch,),
            "training batches": training_batches(config),
            "training": (training_label(config),),
        }[needed.on]
        steps += [(needed.stage, needed_batch) for needed_batch in batches]
    return steps
