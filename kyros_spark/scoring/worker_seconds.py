"""Measure, on a worker, what its seconds went to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
KINDS = ("exchange", "conversion", "quantise", "kernel")


class WorkerSeconds:
    """Seconds by kind.

    ``exchange`` is all that is not ours: rows coming from Spark and going back, Arrow to pandas and
    back, and waiting for either.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.seconds = dict.fromkeys(KINDS, 0.0)
        self._since = time.perf_counter()

    def charge(self, kind: str) -> float:
        """Add what passed since the last call to a kind, and return it."""
        now = time.perf_counter()
        passed, self._since = now - self._since, now
        self.seconds[kind] += passed
        return passed

    def exchanged(self, batches: Iterable[T]) -> Iterator[T]:
        """Yield the batches; the time they take to come, and results to go, is exchange."""
        for batch in batches:
            self.charge("exchange")
            yield batch

    def moved(self, whole: str, part: str, seconds: Iterable[float]) -> dict[str, float]:
        """Return the seconds, with those of a part taken out of the kind that holds it."""
        taken = sum(seconds)
        return {**self.seconds, whole: self.seconds[whole] - taken, part: taken}
