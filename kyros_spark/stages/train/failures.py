"""Keep one model's failure from losing the others of its run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kyros_spark.errors import (
    ConcurrentRunError,
    DamagedFileError,
    FitError,
    GateError,
    KyrosError,
    SparkLostError,
    StorageFullError,
)
from kyros_spark.foreign_errors import java_cause
from kyros_spark.log import event
from kyros_spark.registry import Entry, Registered
from kyros_spark.runs.failures import translate_failures
from kyros_spark.runs.run import Run, error_line
from kyros_spark.stages.train.candidates import Candidate

# Of the run, not of a model: no other model would fare better.
_OF_THE_RUN = (ConcurrentRunError, DamagedFileError, SparkLostError, StorageFullError)
_CANCELLED = re.compile(r"SPARK_JOB_CANCELLED|Job \d+ cancelled")


@contextmanager
def attempt(run: Run, candidate: Candidate) -> Iterator[None]:
    """Do a model's part of the work, and keep its failure for the run's end.

    Raises:
        KyrosError: what failed would fail for every model: Spark is gone, a device is full.
    """
    try:
        with translate_failures(run):
            yield
    except _OF_THE_RUN:
        raise
    except Exception as error:  # a library may fail in any way
        if _CANCELLED.search(str(error)):
            raise
        candidate.failure = error
        event(f"{_reason(candidate)}; the other models go on", level=40)


def check_parts(candidate: Candidate, candidates: Mapping[str, Candidate]) -> None:
    """Refuse a composite whose parts could not be made.

    Raises:
        FitError: names them.
    """
    settings = candidate.settings
    names = [n for n in (*settings.parts, *settings.beside) if candidates[n].failure is not None]
    if names:
        raise FitError(
            f"model {candidate.name}: expected its parts to be trained, found that "
            f"{', '.join(names)} failed"
        )


def failure_details(candidate: Candidate) -> dict[str, Any]:
    """Return what the result line has of a model that failed."""
    assert candidate.failure is not None
    return {"how": "failed", "error": error_line(candidate.failure)}


def check(candidates: Iterable[Candidate], registered: Registered) -> None:
    """Raise for the models that failed, and for those that the gate refused.

    Raises:
        KyrosError: of the first failure's kind; it names each model that failed, and those that
            are registered.
        GateError: no model failed, but the gate refused some.
    """
    failed = [candidate for candidate in candidates if candidate.failure is not None]
    if not failed:
        registered.check()
        return
    reasons = [_reason(candidate) for candidate in failed]
    try:
        registered.check()
    except GateError as refusal:
        reasons.append(str(refusal))
    reasons += _survivors(registered.changed)
    first = failed[0].failure
    kind = type(first) if isinstance(first, KyrosError) else FitError
    raise kind(". ".join(reasons)) from first


def _reason(candidate: Candidate) -> str:
    """Return why a model failed, in a sentence that names it."""
    error, label = candidate.failure, f"model {candidate.name}"
    assert error is not None
    if not isinstance(error, KyrosError):
        cause = f"{type(error).__name__}: {java_cause(error)}"
        return f"{label}: expected a model, found an unforeseen failure: {cause}"
    text = str(error)
    return text if text.startswith(f"{label}:") else f"{label}: {text}"


def _survivors(changed: Iterable[Entry]) -> list[str]:
    names = [f"{entry.reference} ({entry.status})" for entry in changed]
    return [f"The run's other models are registered: {', '.join(names)}"] if names else []
